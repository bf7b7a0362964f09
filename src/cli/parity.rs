//! `onegate parity`: what it compares, and how it tells what is not alike.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::json;

use super::Exit;
use super::control::no_inventory;
use super::output::{Failure, Format, Head, Output};
use crate::admin::{APPLY_BYTES_MAX, parse, wire};
use crate::inventory::change::{Change, NewClient};
use crate::inventory::store::DATABASE_FILE;
use crate::parity::{self, Asked, Clients, Difference, ParityError, Report};
use crate::server::Source;

#[derive(Args, Debug)]
pub struct ParityArgs {
    /// Whose calls are compared: an inventory.db, or a file as `inventory apply` takes it [default: the
    /// inventory of the data directory]
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// Only this client; may be repeated [default: all]
    #[arg(long = "client", value_name = "ID")]
    only: Vec<String>,
}

/// Rows that people are shown. `--json` has all.
const ROWS_MAX: usize = 200;
/// Longest value in a row.
const VALUE_CHARS_MAX: usize = 60;
/// How a database of SQLite begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

impl ParityArgs {
    pub fn run(self, source: &Source, output: &mut Output<'_>) -> Result<(), Failure> {
        let loaded = source.load().map_err(|problems| {
            let mut failure = Failure::config(&problems);
            // Nothing was compared.
            failure.exit = Exit::NotDone;
            failure
        })?;
        let clients = match &self.inventory {
            Some(file) => of_file(file)?,
            None => of_directory(&loaded.policy.server.data_dir)?,
        };
        let program = std::env::current_exe()?;
        let gate = |config: &Path, data_dir: &Path| command(&program, config, data_dir);
        let report =
            parity::run(Asked { loaded, clients, only: self.only, gate: &gate }).map_err(failed)?;
        tell(&report, output)
    }
}

/// The gate as anyone starts it.
fn command(program: &Path, config: &Path, data_dir: &Path) -> Command {
    let mut command = Command::new(program);
    let words: [OsString; 5] =
        ["--config".into(), config.into(), "--data-dir".into(), data_dir.into(), "run".into()];
    command.args(words);
    command
}

fn failed(error: ParityError) -> Failure {
    let fix = error.fix();
    Failure::not_done(error, fix)
}

fn of_directory(data_dir: &Path) -> Result<Clients, Failure> {
    let database = data_dir.join(DATABASE_FILE);
    if database.exists() { Ok(Clients::Database(database)) } else { Err(no_inventory(data_dir)) }
}

fn of_file(path: &Path) -> Result<Clients, Failure> {
    let in_file = |why: &dyn std::fmt::Display| {
        Failure::not_done(format!("{}: {why}", path.display()), "Name another with --inventory.")
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let most = SQLITE.len() as u64;
        file.take(most).read_to_end(&mut bytes)
    });
    read.map_err(|error| in_file(&error))?;
    if bytes == SQLITE {
        return Ok(Clients::Database(path.to_owned()));
    }
    told(path).map_err(|error| in_file(&error)).map(Clients::Told)
}

fn told(path: &Path) -> Result<Vec<NewClient>, Box<dyn std::error::Error>> {
    let mut text = String::new();
    File::open(path)?.take(APPLY_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    if text.len() > APPLY_BYTES_MAX {
        return Err(io::Error::other("it is longer than 64 MiB").into());
    }
    let apply: wire::Apply = toml::from_str(&text)?;
    let Change::Apply(clients) = parse::change(&wire::Change::Apply(apply))? else {
        return Ok(Vec::new());
    };
    Ok(clients)
}

pub fn tell(report: &Report, output: &mut Output<'_>) -> Result<(), Failure> {
    match output.format {
        Format::Json => {
            for difference in &report.differences {
                output.json(&as_json(difference))?;
            }
        }
        Format::Human => tell_people(report, output)?,
    }
    if report.differences.is_empty() {
        return Ok(());
    }
    let count = report.differences.len() + report.more;
    let what = if count == 1 { "difference" } else { "differences" };
    Err(Failure::plain(Exit::ProblemFound, format!("{count} {what} between REST and MCP")))
}

fn as_json(difference: &Difference) -> serde_json::Value {
    let Difference { client, operation, case, surface, differs } = difference;
    json!({
        "client": client,
        "operation": operation,
        "case": case,
        "surface": surface,
        "fact": differs.fact,
        "rest": differs.rest,
        "other": differs.other,
    })
}

fn tell_people(report: &Report, output: &mut Output<'_>) -> Result<(), Failure> {
    let Report { clients, operations, surfaces, calls, allowed, denied, uncalled, .. } = report;
    let surfaces = match surfaces.split_last() {
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    };
    output.line(&format!(
        "{clients} clients (two of them made to be refused) and {operations} tools: {calls} calls by \
         REST, and the same by {surfaces}",
    ))?;
    let denied = denied.iter().map(|(code, count)| format!(", {count} {code}"));
    output.line(&format!("{allowed} allowed{}", denied.collect::<String>()))?;
    for (tool, why) in uncalled {
        output.line(&format!("{tool} was not called: {why}"))?;
    }
    if report.differences.is_empty() {
        return output.line("No difference.");
    }
    output.line("")?;
    let rows = report.differences.iter().take(ROWS_MAX).map(|difference| {
        let Difference { client, operation, case, surface, differs } = difference;
        let value = |value: &Option<String>| value.as_deref().map_or("-".to_owned(), shown);
        let (rest, other) = (value(&differs.rest), value(&differs.other));
        let words = [client, operation, case, *surface, &differs.fact].map(str::to_owned);
        words.into_iter().chain([rest, other]).collect()
    });
    output
        .table(Head(&["CLIENT", "OPERATION", "CASE", "SURFACE", "WHAT", "REST", "OTHER"]), rows)?;
    let hidden = (report.differences.len() + report.more).saturating_sub(ROWS_MAX);
    if hidden > 0 {
        output.line(&format!("and {hidden} more"))?;
    }
    output.line("")
}

/// Short, and on one line.
fn shown(value: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = value.chars().map(plain).take(VALUE_CHARS_MAX).collect();
    if value.chars().nth(VALUE_CHARS_MAX).is_some() {
        shown.push('…');
    }
    if shown.is_empty() { "(empty)".to_owned() } else { shown }
}
