//! `[access_log]`: a line of JSON for each request. Without the section there is none.

use std::path::Path;

use super::super::section::Section;
use super::super::unit::Bytes;
use crate::model::policy::{AccessLogPath, AccessLogSettings};

pub(super) fn access_log(mut section: Section<'_>, folder: &Path) -> Option<AccessLogSettings> {
    section.need("path", "path = \"stdout\"");
    let path = section.text("path").map(|text| match text.text {
        "stdout" => AccessLogPath::Stdout,
        path => {
            if path.is_empty() || path.contains('\0') {
                let fix = "write \"stdout\" or \"/var/log/onegate/access.log\"";
                section.problems.error(text.at, "this is not a path of a file", fix);
            }
            AccessLogPath::File(folder.join(path))
        }
    });
    let buffer_bytes_max = section
        .quantity("buffer_bytes_max", Bytes::kib(64)..=Bytes::gib(1))
        .and_then(|bytes: Bytes| usize::try_from(bytes.0).ok())
        .unwrap_or(8 << 20);
    let is_there = section.is_there();
    section.finish();
    is_there.then_some(AccessLogSettings { path: path?, buffer_bytes_max })
}
