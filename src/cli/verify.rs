//! `onegate audit verify`: the whole log checked against its proof, with nothing but the public key.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::audit;
use crate::audit::completeness::counted;
use crate::audit::proof::key::PublicKey;
use crate::audit::proof::lines::Control;
use crate::audit::verify::{Report, verify};

use super::Exit;
use super::audit::Format;

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// A public key that the log has or had, or the file that has it [default: audit.pub in the data directory]
    #[arg(long, value_name = "KEY|FILE")]
    key: Option<String>,
    /// Checkpoints that were kept elsewhere: each must be in the log. May be given more than once
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

impl VerifyArgs {
    /// Problems and the verdict go to `out`, what hinders the check to `err`.
    pub fn run(
        &self,
        data_dir: &Path,
        format: Format,
        out: &mut impl Write,
        err: &mut impl Write,
    ) -> Exit {
        let told = self.check(data_dir).and_then(|(key, report)| {
            let exit = if report.problems.is_empty() { Exit::Done } else { Exit::ProblemFound };
            let text = match format {
                Format::Table => human(&key, &report),
                Format::Json => json(&key, &report),
            };
            out.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
            Ok(exit)
        });
        told.unwrap_or_else(|error| {
            // Where nobody can read it, the exit code still tells.
            writeln!(err, "error: {error}").unwrap_or_default();
            Exit::NotDone
        })
    }

    fn check(&self, data_dir: &Path) -> Result<(PublicKey, Report), String> {
        let key = self.public_key(data_dir)?;
        let mut anchors = Vec::new();
        for path in &self.checkpoint {
            let text = read(path)?;
            let notes = notes(&text).filter(|notes| !notes.is_empty());
            let none =
                || format!("{}: it holds no whole checkpoint, or more than such", path.display());
            anchors.extend(notes.ok_or_else(none)?);
        }
        let directory = audit::directory(data_dir);
        let report = verify(&directory, &key, &anchors);
        let report = report.map_err(|error| {
            format!("cannot read the audit log: {}: {error}", directory.display())
        })?;
        Ok((key, report))
    }

    fn public_key(&self, data_dir: &Path) -> Result<PublicKey, String> {
        let not_one = |what: &str| format!("{what} is no public key: name+hash+base64 is one");
        if let Some(key) = self.key.as_deref().and_then(PublicKey::parse) {
            return Ok(key);
        }
        let path = self.key.as_ref().map_or_else(|| data_dir.join("audit.pub"), PathBuf::from);
        PublicKey::parse(&read(&path)?).ok_or_else(|| not_one(&path.display().to_string()))
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// The notes in a text, one after the other: each ends with its signature. Or in lines that hold one as the log has it,
/// whatever a logger wrote before. None when the last does not end.
fn notes(text: &str) -> Option<Vec<String>> {
    let in_json: Vec<String> = text.lines().filter_map(note_in_json).collect();
    if !in_json.is_empty() {
        return Some(in_json);
    }
    let mut notes = Vec::new();
    let mut note = String::new();
    for line in text.lines() {
        if note.is_empty() && line.is_empty() {
            continue;
        }
        note.push_str(line);
        note.push('\n');
        if line.starts_with("\u{2014} ") {
            notes.push(std::mem::take(&mut note));
        }
    }
    note.is_empty().then_some(notes)
}

fn note_in_json(line: &str) -> Option<String> {
    let json = line.get(line.find("{\"checkpoint\":")?..)?;
    match Control::parse(json.as_bytes())? {
        Control::Checkpoint(note) => Some(note),
        Control::Segment(_) | Control::Commit(_) => None,
    }
}

fn human(key: &PublicKey, report: &Report) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        text.push_str(&format!("{problem}\n"));
    }
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    let Report { records, files, sealed, boots, checkpoints, anchors, problems, .. } = report;
    let verdict = match problems.len() as u64 {
        0 => "OK".to_owned(),
        count => format!("NOT OK: {}", counted(count, "problem")),
    };
    let sealed = if *sealed > 0 { format!(" ({sealed} sealed)") } else { String::new() };
    let files = counted(*files, "file") + &sealed;
    let read = [counted(*records, "record"), files, counted(*boots, "boot")].join(", ");
    let read = format!("{read}, {}", counted(*checkpoints, "checkpoint"));
    let anchor = match *anchors {
        0 => "none".to_owned(),
        count => counted(count, "checkpoint"),
    };
    text.push_str(&format!("{verdict}; {read}; key: {}; anchor: {anchor}\n", key.name()));
    text
}

fn json(key: &PublicKey, report: &Report) -> String {
    let problem = |problem: &audit::verify::Problem| json!({ "file": problem.file, "line": problem.line, "what": problem.what });
    let value = json!({
        "ok": report.problems.is_empty(),
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
        "notes": report.notes,
        "records": report.records,
        "files": report.files,
        "sealed": report.sealed,
        "boots": report.boots,
        "checkpoints": report.checkpoints,
        "key": key.to_string(),
        "anchor": (report.anchors > 0).then_some(report.anchors),
    });
    format!("{value}\n")
}
