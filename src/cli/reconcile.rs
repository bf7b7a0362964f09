//! `onegate audit reconcile`: the upstream's access log against ours.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::audit;
use crate::audit::completeness::counted;
use crate::audit::reconcile::{Calls, Difference, Report};
use crate::model::id::UpstreamName;

use super::Exit;
use super::audit::Format;

#[derive(Debug, clap::Args)]
pub struct ReconcileArgs {
    /// An access log of the upstream, in any format that has X-Request-Id: in nginx's $http_x_request_id, in
    /// Apache's %{X-Request-Id}i. May be given more than once
    #[arg(long, value_name = "FILE", required = true)]
    upstream: Vec<PathBuf>,
    /// The upstream whose logs they are, by its name in the config, where there are several
    #[arg(long, value_name = "NAME", value_parser = UpstreamName::parse)]
    name: Option<UpstreamName>,
}

impl ReconcileArgs {
    /// Differences go to `out`, the sentence and errors to `err`.
    pub fn run(
        &self,
        data_dir: &Path,
        format: Format,
        out: &mut impl Write,
        err: &mut impl Write,
    ) -> Exit {
        let compared = self.compare(data_dir).and_then(|(lines, report)| {
            self.show(&report, format, out).map_err(|error| error.to_string())?;
            Ok((lines, report))
        });
        let (exit, told) = match compared {
            Ok((lines, report)) => {
                let is_same = report.differences.is_empty();
                let exit = if is_same { Exit::Done } else { Exit::ProblemFound };
                (exit, sentence(lines, &report))
            }
            Err(error) => (Exit::NotDone, format!("error: {error}")),
        };
        // Where nobody can read it, the exit code still tells.
        writeln!(err, "{told}").unwrap_or_default();
        exit
    }

    fn compare(&self, data_dir: &Path) -> Result<(u64, Report), String> {
        let mut calls = Calls::default();
        for (position, path) in self.upstream.iter().enumerate() {
            let unread = |error| format!("cannot read {}: {error}", path.display());
            calls.add(position, path).map_err(unread)?;
        }
        let lines = calls.count() as u64;
        let report = calls.compare(&audit::directory(data_dir), self.name.as_ref());
        report.map(|report| (lines, report)).map_err(|error| error.to_string())
    }

    fn show(&self, report: &Report, format: Format, out: &mut impl Write) -> std::io::Result<()> {
        let file = |at: &usize| {
            self.upstream.get(*at).map(|path| path.display().to_string()).unwrap_or_default()
        };
        for difference in &report.differences {
            match (format, difference) {
                (Format::Table, Difference::NoRecord { file: at, line, id }) => {
                    let what = match id {
                        Some(id) => format!("no record has the id {id}"),
                        None => "a call without a request id: it did not come through the gate"
                            .to_owned(),
                    };
                    writeln!(out, "{}:{line}: {what}", file(at))?;
                }
                (Format::Table, Difference::NoCall { id, time, client, what }) => {
                    let client = client.as_deref().unwrap_or("-");
                    writeln!(out, "{id}: {time} {client} {what}: not in the upstream's log")?;
                }
                (Format::Json, Difference::NoRecord { file: at, line, id }) => {
                    let id = id.map(|id| id.to_string());
                    let row =
                        json!({ "lacks": "record", "file": file(at), "line": line, "id": id });
                    writeln!(out, "{row}")?;
                }
                (Format::Json, Difference::NoCall { id, time, client, what }) => {
                    let time = time.to_string();
                    let row = json!({ "lacks": "call", "id": id, "time": time, "client": client, "what": what });
                    writeln!(out, "{row}")?;
                }
            }
        }
        Ok(())
    }
}

fn sentence(lines: u64, report: &Report) -> String {
    let no_record = |difference: &&Difference| matches!(difference, Difference::NoRecord { .. });
    let calls = report.differences.iter().filter(no_record).count() as u64;
    let records = report.differences.len() as u64 - calls;
    let Some((from, to)) = report.span else {
        return format!(
            "None of {} has the id of a record: does the upstream log X-Request-Id?",
            counted(lines, "line")
        );
    };
    format!(
        "Compared {} of the upstream with {} from {from} to {to}: {} without a record, {} without a call.",
        counted(lines, "call"),
        counted(report.records, "record"),
        counted(calls, "call"),
        counted(records, "record"),
    )
}
