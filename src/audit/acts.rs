//! What the log records of itself: requests that have no record, and boots that nobody had closed.

use serde_json::{Value, json};

use crate::model::id::RequestId;
use crate::model::record::{ActRecord, JsonText};
use crate::model::time::UnixMicros;

use super::journal::Unrecorded;
use super::proof::recovery::Recovered;
use super::proof::statement::Deleted;
use super::segment::SegmentName;

/// The action of the record of requests that have none.
pub const GAP_ACTION: &str = "audit.gap";
/// The action of the record of a boot that was killed.
pub const RECOVERED_ACTION: &str = "audit.recovered";
/// The action of the record of files that were deleted.
pub const DELETED_ACTION: &str = "audit.deleted";

/// The record of requests that have none.
pub fn gap(unrecorded: Unrecorded, time: UnixMicros) -> ActRecord {
    let Unrecorded { refused, served } = unrecorded;
    let after = json!({ "refused": refused, "served": served });
    of_the_log(GAP_ACTION, "", JsonText(after.to_string().into()), time)
}

/// The record of a boot that nobody had closed.
pub fn recovered(recovered: &Recovered, time: UnixMicros) -> ActRecord {
    let Recovered { file, bytes_cut, lines_unsigned, calls, damaged_at } = recovered;
    let damaged = match damaged_at {
        Some((line, fault)) => json!({ "line": line, "what": fault.to_string() }),
        None => Value::Null,
    };
    let after = json!({
        "bytes_cut": bytes_cut,
        "lines_unsigned": lines_unsigned,
        "calls_closed": calls,
        "damaged": damaged,
    });
    let target = format!("audit/{file}");
    of_the_log(RECOVERED_ACTION, &target, JsonText(after.to_string().into()), time)
}

/// The record of the deletion of these files, which had so many records.
pub fn deleted(files: &[SegmentName], records: u64, says: &Deleted) -> ActRecord {
    let Deleted { before, last, retention_seconds, time, .. } = says;
    let after = json!({
        "files": files.len(),
        "first": files.first().map(ToString::to_string),
        "records": records,
        "last_record": last.to_string(),
        "retention_seconds": retention_seconds,
        "log_begins_with": before.to_string(),
    });
    of_the_log(DELETED_ACTION, "audit", JsonText(after.to_string().into()), *time)
}

/// An act of the log itself.
fn of_the_log(action: &str, target: &str, after: JsonText, time: UnixMicros) -> ActRecord {
    let unix_ms = u64::try_from(time.millis()).unwrap_or_default();
    ActRecord {
        id: RequestId::from_parts(unix_ms, rand::random()),
        time,
        actor: "onegate".into(),
        action: action.into(),
        target: target.into(),
        reason_given: None,
        ticket: None,
        before: None,
        after: Some(after),
        succeeded: true,
        policy: "".into(),
    }
}
