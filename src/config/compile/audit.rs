//! `[audit]`: how the log is written, what becomes of calls that it cannot take, and who is sent its
//! checkpoints. Every key has a default.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::section::{Section, Text};
use super::super::unit::Bytes;
use super::server::ServerPart;
use crate::model::policy::{ArchiveSettings, AuditSettings, CheckpointTo, Checkpoints, OnFailure};

const ON_FAILURE: [(&str, OnFailure); 2] = [("gap", OnFailure::Gap), ("refuse", OnFailure::Refuse)];

pub(super) fn audit(
    mut section: Section<'_>,
    server: &ServerPart,
    folder: &Path,
) -> (AuditSettings, Checkpoints, ArchiveSettings) {
    let settings = AuditSettings {
        queue_records_max: section.integer("queue_records_max", 16..=10_000_000).unwrap_or(65_536),
        flush_interval: section
            .quantity("flush_interval", MILLISECOND..=Duration::from_millis(100))
            .unwrap_or(Duration::from_millis(8)),
        segment_bytes_max: section
            .quantity("segment_bytes_max", Bytes::mib(1)..=Bytes::gib(16))
            .unwrap_or(Bytes::mib(256))
            .0,
        segment_age_max: section.quantity("segment_age_max", SECOND..=days(366)).unwrap_or(days(1)),
        denials_per_source: section.integer("denials_per_source", 0..=1_000_000).unwrap_or(10),
        on_failure: section.choice("on_failure", &ON_FAILURE).unwrap_or_default(),
    };
    compare_queue(settings.queue_records_max, server, &section);
    let checkpoints = checkpoints(&mut section, folder);
    let archive = ArchiveSettings {
        seal_after: section.quantity("seal_after", SECOND..=days(36_500)).unwrap_or(days(1)),
        retention: section.quantity("retention", days(1)..=days(36_500)).unwrap_or(days(400)),
    };
    section.finish();
    (settings, checkpoints, archive)
}

/// Most destinations of checkpoints.
const DESTINATIONS_MAX: usize = 8;

fn checkpoints(section: &mut Section<'_>, folder: &Path) -> Checkpoints {
    let every = section
        .quantity("checkpoints_every", SECOND..=Duration::from_hours(1))
        .unwrap_or(Duration::from_secs(10));
    let texts = section.texts("checkpoints_to", 0..=DESTINATIONS_MAX).unwrap_or_default();
    let to = texts.into_iter().filter_map(|text| destination(text, section, folder)).collect();
    Checkpoints { to, every }
}

fn destination(text: Text<'_>, section: &Section<'_>, folder: &Path) -> Option<CheckpointTo> {
    let path = |path: &str| {
        let is_path = !path.is_empty() && !path.contains('\0');
        is_path.then(|| folder.join(path))
    };
    let to = match text.text.split_once(':') {
        None if text.text == "stdout" => Some(CheckpointTo::Stdout),
        None if text.text == "syslog" => Some(CheckpointTo::Syslog(PathBuf::from("/dev/log"))),
        Some(("syslog", socket)) => path(socket).map(CheckpointTo::Syslog),
        Some(("command", program)) => path(program).map(CheckpointTo::Command),
        None | Some(_) => None,
    };
    if to.is_none() {
        let message = format!("\"{}\" is nowhere that checkpoints can go", text.text);
        let fix = "write \"stdout\", \"syslog\", \"syslog:/path/of/socket\" or \"command:/path/of/program\"";
        section.problems.error(text.at, message, fix);
    }
    to
}

const MILLISECOND: Duration = Duration::from_millis(1);
const fn days(count: u64) -> Duration {
    Duration::from_hours(24 * count)
}

const SECOND: Duration = Duration::from_secs(1);

/// A live request holds its place in the queue, so a queue that is not larger than all of them is
/// the true bound, with the wrong denial. That works, and the defaults are not so: a warning.
fn compare_queue(records_max: usize, server: &ServerPart, audit: &Section<'_>) {
    let requests_max = server.bounds.requests_max;
    let at = audit.place("queue_records_max").or(server.requests_max_at);
    if let Some(at) = at.filter(|_| records_max <= requests_max) {
        let message = format!(
            "\"audit.queue_records_max\" ({records_max}) is not more than \
             \"server.bounds.requests_max\" ({requests_max}): live requests alone can fill the \
             queue, and more are then refused as audit_unavailable"
        );
        let fix = format!("set queue_records_max above {requests_max}, or requests_max lower");
        audit.problems.warning(at, message, fix);
    }
}
