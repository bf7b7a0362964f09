//! `onegate audit explain`: one record, and the decision replayed as it was then: by the config and the
//! inventory that the record names, with the code that decides. It reads files only, beside a gate or
//! without one.

mod show;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;

use super::Exit;
use super::audit::Format;
use crate::audit;
use crate::audit::completeness::Completeness;
use crate::audit::filter::{Filter, RecordId};
use crate::audit::line::{Line, Whole};
use crate::audit::query::{ScanError, scan};
use crate::config::kept::{Kept, Texts};
use crate::inventory::store::{DATABASE_FILE, Store};
use crate::model::denial::Denial;
use crate::model::id::CredentialId;
use crate::model::policy::Policy;
use crate::model::record::Surface;
use crate::model::snapshot::{Inventory, Label, Snapshot};
use crate::model::time::{MonoNs, Now};
use crate::request::Ask;
use crate::request::explain::{Step, Teller};
use crate::request::identify::Presented;
use crate::request::replay::{
    Asked, Outcome, Recalled, Recorded, Replayed, Verdict, beyond_replay, compare, replay,
};

#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The request's id, as the caller saw it in X-Request-Id
    id: RecordId,
}

/// Where what was in force is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub data_dir: &'a Path,
    /// Taken where the config of that moment is not kept, if it is the same.
    pub config: &'a Path,
}

/// What there is to say of a record.
enum Explained {
    /// It is of no single request.
    Nothing(&'static str),
    /// What of that moment is not to be had, and what to do.
    NotKept(String),
    Judged {
        steps: Vec<Step>,
        /// None where nothing of the call could be judged.
        replayed: Option<Replayed>,
        verdict: Verdict,
    },
}

impl ReplayArgs {
    /// The explanation goes to `out`, errors to `err`.
    pub fn run(
        &self,
        place: Place<'_>,
        format: Format,
        out: &mut impl Write,
        err: &mut impl Write,
    ) -> Exit {
        let (exit, told) = match self.explain(place, format, out) {
            Ok((exit, None)) => return exit,
            Ok((exit, Some(told))) => (exit, told),
            // Whoever read it has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Done,
            Err(error) => (Exit::NotDone, error.to_string()),
        };
        // Where nobody can read it, the exit code still tells.
        writeln!(err, "error: {told}").unwrap_or_default();
        exit
    }

    fn explain(
        &self,
        place: Place<'_>,
        format: Format,
        out: &mut impl Write,
    ) -> io::Result<(Exit, Option<String>)> {
        let (stored, found) = match self.find(place.data_dir) {
            Ok(found) => found,
            Err(error) => return Ok((Exit::NotDone, Some(error.to_string()))),
        };
        let record = stored.as_deref().and_then(|stored| {
            let whole = Whole::parse(stored)?;
            Some((Line::parse(stored).ok()?, whole, stored))
        });
        let Some((line, whole, stored)) = record else {
            let told = format!("no record has the id {}. {found}", self.id);
            return Ok((Exit::ProblemFound, Some(told)));
        };
        let explained = judge(&line, &whole, place);
        match format {
            Format::Table => show::text(&line, &whole, &explained, out)?,
            Format::Json => show::json(&line, &whole, stored, &explained, out)?,
        }
        Ok(match explained {
            Explained::NotKept(why) => (Exit::NotDone, Some(why)),
            Explained::Judged { verdict: Verdict::Differs, .. } => (Exit::ProblemFound, None),
            Explained::Nothing(_) | Explained::Judged { .. } => (Exit::Done, None),
        })
    }

    /// The record's line; the first, where an act was recorded once more.
    fn find(&self, data_dir: &Path) -> Result<(Option<Vec<u8>>, Completeness), ScanError> {
        let filter =
            Filter { period: self.id.period(), id: Some(self.id.clone()), ..Filter::default() };
        let mut line = None;
        let found = scan(&audit::directory(data_dir), &filter, Some(1), |_, bytes| {
            line = Some(bytes.to_vec());
            Ok(())
        })?;
        Ok((line, found))
    }
}

fn judge(line: &Line<'_>, whole: &Whole<'_>, place: Place<'_>) -> Explained {
    if line.action.is_some() {
        return Explained::Nothing("This is an act of administration: there is nothing to replay.");
    }
    if line.count.is_some() {
        let told = "This record stands for many calls that were denied, and of each it holds no more: \
                    there is nothing to replay.";
        return Explained::Nothing(told);
    }
    let (snapshot, fields) = match snapshot(whole.policy.as_deref().unwrap_or_default(), place) {
        Ok(snapshot) => (snapshot, HeaderMap::new()),
        Err(why) => return Explained::NotKept(why),
    };
    let call = recorded(line, whole, &fields);
    if let Some(what) = beyond_replay(&call).filter(|_| line.api.is_none()) {
        let verdict = Verdict::NotReplayed(what);
        return Explained::Judged { steps: Vec::new(), replayed: None, verdict };
    }
    let mut teller = Teller::default();
    let now = Now { mono: MonoNs::default(), wall: line.time };
    let replayed = replay(&snapshot, &call, now, &mut teller);
    let verdict = compare(&call, &replayed);
    Explained::Judged { steps: teller.steps, replayed: Some(replayed), verdict }
}

/// What was in force; otherwise what of it is not to be had.
fn snapshot(label: &str, place: Place<'_>) -> Result<Snapshot, String> {
    let Some(label) = Label::parse(label) else {
        return Err(format!("the record names no policy: \"{}\"", audit::render::shown(label)));
    };
    match (policy(label.digest, place), inventory(label.revision, place.data_dir)) {
        (Ok(policy), Ok(inventory)) => Ok(Snapshot::new(Arc::new(policy), inventory)),
        (Err(why), Ok(_)) | (Ok(_), Err(why)) => Err(why),
        (Err(policy), Err(inventory)) => Err(format!("{policy}\nerror: {inventory}")),
    }
}

fn policy(digest: &str, Place { data_dir, config }: Place<'_>) -> Result<Policy, String> {
    let texts = Kept::of(data_dir).find(digest).or_else(|why| {
        // The same text is the same config, wherever it is kept.
        let given = Texts::read(config).filter(|texts| *texts.digest() == *digest);
        given.ok_or_else(|| {
            format!(
                "the config {} of that moment is not kept: {why}\n  If its files are kept elsewhere, \
                 name the main one: onegate -c FILE --data-dir {} audit explain …",
                audit::render::shown(digest),
                data_dir.display(),
            )
        })
    })?;
    let unread = |problems| format!("this onegate cannot read the config {digest}:\n{problems}");
    texts.to_judge_by().map_err(unread)
}

fn inventory(revision: u64, data_dir: &Path) -> Result<Inventory, String> {
    if !data_dir.join(DATABASE_FILE).exists() {
        return Err(format!("there is no inventory in {}", data_dir.display()));
    }
    Store::peek_at(data_dir, revision).map_err(|error| format!("{error}\n  {}", error.fix()))
}

/// The record as the decision looks at it.
fn recorded<'a>(line: &'a Line<'_>, whole: &'a Whole<'_>, fields: &'a HeaderMap) -> Recorded<'a> {
    let outcome = outcome(line, whole);
    let credential = line.credential.as_deref().and_then(CredentialId::parse);
    let caller = Recalled::of(line.client.as_deref(), credential, outcome);
    let ask = Ask {
        method: line.method.as_deref().unwrap_or_default(),
        host: whole.host.as_deref().unwrap_or_default(),
        path: line.path.as_deref().unwrap_or_default(),
        presented: Presented::default(),
        body_bytes: None,
        body_may_follow: false,
        source_ip: line.source_ip.map(|ip| ip.to_canonical()),
        fields,
    };
    Recorded {
        ask,
        caller,
        outcome,
        api: line.api.as_deref(),
        operation: line.operation.as_deref(),
        product: whole.product.as_deref(),
        asked: asked(line),
    }
}

/// The gate's own operations are those of the api that has the endpoint's name, and over no other surface is one
/// called.
fn asked(line: &Line<'_>) -> Asked {
    let mcp = Surface::Mcp.as_str();
    let is_own = *line.surface == *mcp && line.api.as_deref() == Some(mcp);
    if is_own { Asked::Gate } else { Asked::Api }
}

fn outcome(line: &Line<'_>, whole: &Whole<'_>) -> Outcome {
    let end = whole.end.as_deref();
    if end == Some("revoked") {
        return Outcome::Withdrawn;
    }
    if let Some(code) = line.denial.as_deref() {
        let known = Denial::ALL.into_iter().find(|denial| denial.code() == code);
        return known.map_or(Outcome::Unknown, Outcome::Denied);
    }
    let ended_early = line.failure.is_some() || end != Some("complete");
    let is_undecided = line.operation.is_none() && ended_early && !line.is_open();
    if is_undecided { Outcome::Broken } else { Outcome::Allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what the gate answers itself is no call of an operation.
    #[test]
    fn a_tools_call_is_replayed_as_its_operation() {
        let check = |surface: &str, api: &str, expected: Asked| {
            let text = format!(
                r#"{{"v":1,"seq":1,"id":"-","time":"2026-03-01T12:00:00Z","surface":"{surface}","api":"{api}","decision":"allowed"}}"#
            );
            let line = Line::parse(text.as_bytes()).expect("a line");
            assert_eq!(asked(&line), expected, "{text}");
        };
        check("rest", "payments", Asked::Api);
        check("mcp", "payments", Asked::Api);
        check("mcp", "mcp", Asked::Gate);
        check("rest", "mcp", Asked::Api);
    }
}
