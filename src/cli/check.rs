//! `onegate check`: every problem of the config, with its place and a fix.

use serde_json::json;

use super::Exit;
use super::output::{Failure, Format, Output};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::model::policy::Policy;
use crate::server::Source;

/// Prints the problems, or what the config holds.
pub fn run(source: &Source, output: &mut Output<'_>) -> Result<(), Failure> {
    match (source.load(), output.format) {
        (Ok(loaded), Format::Human) => {
            write!(output.out, "{}", loaded.warnings)?;
            let path = source.path.display();
            output.line(&format!("{path} is good: {}", counted(&loaded.policy)))
        }
        (Err(problems), Format::Human) => Err(Failure::config(&problems)),
        (Ok(loaded), Format::Json) => {
            rows(&loaded.warnings, output)?;
            output.json(&json!({ "good": true, "config": loaded.policy.digest }))
        }
        (Err(problems), Format::Json) => {
            rows(&problems, output)?;
            let count = problems.iter().count();
            Err(Failure::plain(Exit::ProblemFound, format!("{count} problems")))
        }
    }
}

/// `1 listener, 2 upstreams, … (config 3f2843288a682425)`.
fn counted(policy: &Policy) -> String {
    let counts = [
        (policy.listeners.len(), "listener"),
        (policy.upstreams.len(), "upstream"),
        (policy.apis.len(), "api"),
        (policy.operations.len(), "operation"),
        (policy.products.len(), "product"),
        (policy.plans.len(), "plan"),
    ];
    let counts = counts.map(|(count, what)| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    });
    format!("{} (config {})", counts.join(", "), policy.digest)
}

fn rows(problems: &Diagnostics, output: &mut Output<'_>) -> Result<(), Failure> {
    problems.iter().try_for_each(|problem| output.json(&row(problem)))
}

/// Places count from 1; a problem of a file as a whole has none.
fn row(problem: &Diagnostic) -> serde_json::Value {
    json!({
        "severity": problem.severity.as_str(),
        "file": &*problem.file,
        "line": problem.spot.as_ref().map(|spot| spot.line),
        "column": problem.spot.as_ref().map(|spot| spot.column),
        "message": problem.message,
        "fix": problem.fix,
    })
}
