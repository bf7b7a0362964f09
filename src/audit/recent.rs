//! The newest requests that match, read backwards from the log's end and not further than a bound:
//! a glance for people in a hurry, never an answer to an auditor.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use memchr::memmem;

use super::filter::Filter;
use super::line::Line;
use super::query::{ScanError, failed};
use super::reader::{LineReader, Step};
use super::segment::SegmentName;
use crate::model::time::UnixMicros;

/// One request, as far as a glance goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recent {
    pub time: UnixMicros,
    pub operation: Option<String>,
    pub status: Option<u16>,
    pub source_ip: Option<IpAddr>,
}

/// How much of the log's end is looked at.
const BYTES_MAX: u64 = 8 << 20;

/// At most `rows_max` requests that match, newest first. Only lines that hold `text` are looked at
/// more closely, so whatever the filter wants must hold it.
pub fn requests(
    directory: &Path,
    filter: &Filter,
    text: &str,
    rows_max: usize,
) -> Result<Vec<Recent>, ScanError> {
    let names = match SegmentName::list(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(directory, error)),
    };
    let finder = memmem::Finder::new(text);
    let mut found = Vec::new();
    let mut budget = BYTES_MAX;
    for name in names.iter().rev() {
        if found.len() >= rows_max || budget == 0 {
            break;
        }
        let path = name.present_path(directory);
        let look = || {
            let (mut reader, bytes) = LineReader::end_of(directory, *name, budget)?;
            let rows = newest(&mut reader, filter, &finder, rows_max - found.len())?;
            Ok((rows, bytes))
        };
        let (rows, bytes) = look().map_err(|error| failed(&path, error))?;
        budget = budget.saturating_sub(bytes);
        found.extend(rows.into_iter().rev());
    }
    Ok(found)
}

fn newest(
    reader: &mut LineReader,
    filter: &Filter,
    finder: &memmem::Finder<'_>,
    rows_max: usize,
) -> io::Result<VecDeque<Recent>> {
    let mut rows = VecDeque::new();
    loop {
        let bytes = match reader.step()? {
            Step::Line(bytes) if finder.find(bytes).is_some() => bytes,
            Step::Line(_) | Step::TooLong => continue,
            Step::End | Step::Torn => return Ok(rows),
        };
        let Ok(line) = Line::parse(bytes) else { continue };
        if line.action.is_some() || line.is_open() || !filter.matches(&line) {
            continue;
        }
        if rows.len() == rows_max {
            rows.pop_front();
        }
        rows.push_back(Recent {
            time: line.time,
            operation: line.operation.as_deref().map(str::to_owned),
            status: line.status,
            source_ip: line.source_ip,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audit::AuditSettings;
    use crate::audit::filter::ClientFilter;
    use crate::audit::tests::{Directory, SETTINGS, bare, full, open_log};
    use crate::model::id::ClientId;
    use crate::model::record::RequestRecord;

    #[test]
    fn the_newest_come_first_across_files() {
        let directory = Directory::new();
        let client = ClientFilter::Is(ClientId::parse("mobile-app").expect("a name"));
        let filter = Filter { client: Some(client), ..Filter::default() };
        let look = |rows_max| {
            let found = requests(directory.path(), &filter, "mobile-app", rows_max);
            found.expect("reads").iter().map(|row| row.status).collect::<Vec<_>>()
        };
        assert_eq!(look(5), []);
        let settings = AuditSettings { segment_bytes_max: 3000, ..SETTINGS };
        let (log, recorder) = open_log(&directory, settings, |_| ());
        for n in 0..20_u16 {
            let record = if n.is_multiple_of(2) { full(n.into()) } else { bare(n.into()) };
            let record = RequestRecord { status: 200 + n, ..record };
            log.reserve().expect("room").complete(Box::new(record));
        }
        log.flush(Duration::from_mins(1)).expect("written");
        assert_eq!(look(3), [Some(218), Some(216), Some(214)]);
        assert_eq!(look(50).len(), 10);
        recorder.close().expect("closes");
    }
}
