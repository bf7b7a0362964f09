//! The upstream's own log against ours, by request id: calls that reached it and have no record here, and
//! records of calls that it does not know.
//!
//! A line of an access log may have any form, as long as it has the `X-Request-Id` that the gate sent, somewhere. A line without one
//! is a call that did not come through the gate.

use std::io;
use std::path::Path;

use ahash::AHashMap;

use crate::model::denial::Failure;
use crate::model::id::{RequestId, UpstreamName};
use crate::model::time::UnixMicros;

use super::filter::Filter;
use super::line::Line;
use super::period::Period;
use super::query::{ScanError, scan};
use super::reader::{LineReader, Step};

/// Calls by an upstream's access logs.
#[derive(Debug, Default)]
pub struct Calls {
    /// Which line has an id; more than one may, and the first counts.
    by_id: AHashMap<RequestId, usize>,
    lines: Vec<Call>,
}

/// One line.
#[derive(Clone, Copy, Debug)]
struct Call {
    /// By position.
    file: usize,
    /// From 1.
    line: u64,
    /// The last id that stands there, mostly the only one.
    id: Option<RequestId>,
    known: Known,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Known {
    Yes,
    Not,
}

/// Something that one side has and the other has not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Difference {
    /// A line of an access log, by position of its file.
    NoRecord { file: usize, line: u64, id: Option<RequestId> },
    /// A record.
    NoCall { id: Box<str>, time: UnixMicros, client: Option<Box<str>>, what: Box<str> },
}

/// What was compared.
#[derive(Debug, Default)]
pub struct Report {
    /// Calls first, in the order of their files; then records, in theirs.
    pub differences: Vec<Difference>,
    /// Records that were forwarded in the time that the access logs tell of.
    pub records: u64,
    /// From the first to the last call that has a record; None where none has.
    pub span: Option<(UnixMicros, UnixMicros)>,
}

impl Calls {
    /// Adds the calls of a file.
    pub fn add(&mut self, position: usize, path: &Path) -> io::Result<()> {
        let mut reader = LineReader::open(path)?;
        for number in 1.. {
            let ids: Vec<RequestId> = match reader.step()? {
                Step::Line([]) => continue,
                Step::Line(line) => ids_in(line).collect(),
                Step::TooLong => Vec::new(),
                Step::End | Step::Torn => break,
            };
            let is_again = ids.iter().any(|id| self.by_id.contains_key(id));
            let known = if is_again { Known::Yes } else { Known::Not };
            for id in &ids {
                self.by_id.entry(*id).or_insert(self.lines.len());
            }
            self.lines.push(Call { file: position, line: number, id: ids.last().copied(), known });
        }
        Ok(())
    }

    /// Lines that are calls.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// Compares them with the records of the log in `directory`; `name` is the upstream whose logs they are, where
    /// there are several.
    pub fn compare(
        mut self,
        directory: &Path,
        name: Option<&UpstreamName>,
    ) -> Result<Report, ScanError> {
        let mut report = Report::default();
        let mut unmatched = Vec::new();
        if let Some((from, to)) = self.span() {
            let period = Period { from: Some(from), to: Some(UnixMicros(to.0 + 1000)) };
            let filter = Filter { period, ..Filter::default() };
            scan(directory, &filter, None, |record, _| {
                let id = RequestId::parse(&record.id);
                let at = id.and_then(|id| self.by_id.get(&id).copied());
                if let Some(call) = at.and_then(|at| self.lines.get_mut(at)) {
                    call.known = Known::Yes;
                    report.records += 1;
                    let (from, to) = report.span.unwrap_or((record.time, record.time));
                    report.span = Some((from.min(record.time), to.max(record.time)));
                } else if was_forwarded(record, name) {
                    unmatched.push(Difference::of_record(record));
                }
                Ok(())
            })?;
        }
        for call in self.lines.iter().filter(|call| call.known == Known::Not) {
            let Call { file, line, id, .. } = *call;
            report.differences.push(Difference::NoRecord { file, line, id });
        }
        // Ids of others may be of any time: what the access logs tell of lies between the calls that are known.
        let in_span = |difference: &Difference| {
            let Difference::NoCall { time, .. } = difference else { return false };
            report.span.is_some_and(|(from, to)| (from..=to).contains(time))
        };
        let no_call: Vec<Difference> = unmatched.into_iter().filter(in_span).collect();
        report.records += no_call.len() as u64;
        report.differences.extend(no_call);
        Ok(report)
    }

    fn span(&self) -> Option<(UnixMicros, UnixMicros)> {
        let times = || self.by_id.keys().map(|id| id.made_at());
        Some((times().min()?, times().max()?))
    }
}

/// Whether it reached the upstream, as far as the gate knows.
fn was_forwarded(record: &Line<'_>, name: Option<&UpstreamName>) -> bool {
    let is_of = |upstream: &str| name.is_none_or(|name| name.as_str() == upstream);
    record.upstream.as_deref().is_some_and(is_of)
        && record.status.is_some()
        && record.failure.as_deref() != Some(Failure::UpstreamUnreachable.code())
}

impl Difference {
    fn of_record(record: &Line<'_>) -> Self {
        let words = [&record.method, &record.path].map(|text| text.as_deref().unwrap_or("-"));
        Self::NoCall {
            id: (*record.id).into(),
            time: record.time,
            client: record.client.as_deref().map(Into::into),
            what: words.join(" ").into(),
        }
    }
}

/// What may be request ids in a line: they are of UUID version 7, and so may be ids of others.
fn ids_in(line: &[u8]) -> impl Iterator<Item = RequestId> {
    line.windows(ID_BYTES)
        .filter(|window| window.get(8) == Some(&b'-') && window.get(14) == Some(&b'7'))
        .filter_map(|window| RequestId::parse(std::str::from_utf8(window).ok()?))
}

const ID_BYTES: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::{Directory, SETTINGS, bare, full, id, open_log};
    use crate::model::record::{Outcome, RequestRecord};

    #[test]
    fn ids_are_found_wherever_they_stand() {
        let check = |line: &str, expected: Option<RequestId>| {
            assert_eq!(ids_in(line.as_bytes()).next(), expected, "{line}");
        };
        let seven = id(7).to_string();
        check(&seven, Some(id(7)));
        check(&format!("10.0.0.1 - - [x] \"GET / HTTP/1.1\" 200 1 \"{seven}\""), Some(id(7)));
        check(&format!("{{\"request_id\":\"{seven}\",\"status\":200}}"), Some(id(7)));
        check(&format!("6ba7b810-9dad-11d1-80b4-00c04fd430c8 {seven}"), Some(id(7)));
        check("10.0.0.1 - - [x] \"GET / HTTP/1.1\" 200 1 \"-\"", None);
        check(seven.get(1..).expect("ASCII"), None);
        check("", None);
    }

    /// A log's files are looked into by their time, so the calls are of now.
    fn of_now(n: u8, record: RequestRecord) -> RequestRecord {
        let time = crate::clock::wall();
        let id = RequestId::from_parts(u64::try_from(time.millis()).expect("after 1970"), [n; 10]);
        RequestRecord { id, time, ..record }
    }

    #[test]
    fn each_side_is_told_what_the_other_lacks() {
        let directory = Directory::new();
        let (log, recorder) = open_log(&directory, SETTINGS, |_| ());
        let unreachable = Outcome::Failed(Failure::UpstreamUnreachable);
        let records = [
            of_now(1, full(1)),
            of_now(2, full(2)),
            of_now(3, RequestRecord { outcome: unreachable, ..full(3) }),
            // Denied: it never went there.
            of_now(4, bare(4)),
            of_now(5, full(5)),
        ];
        let [one, two, _, _, five] = [0, 1, 2, 3, 4].map(|at: usize| records[at].id);
        for record in records {
            log.reserve().expect("room").complete(Box::new(record));
        }
        recorder.close().expect("closes");
        let path = directory.path().join("access.log");
        let lines = format!("/{} {one}\n\nb {} x\nno id\nc {five}\na {one}\n", id(8), id(9));
        std::fs::write(&path, lines).expect("writes");
        let mut calls = Calls::default();
        calls.add(0, &path).expect("reads");
        assert_eq!(calls.count(), 5);
        let report = calls.compare(directory.path(), None).expect("reads");
        let told: Vec<String> = report
            .differences
            .iter()
            .map(|difference| match difference {
                Difference::NoRecord { line, id, .. } => format!("{line} {}", id.is_some()),
                Difference::NoCall { id, .. } => id.to_string(),
            })
            .collect();
        assert_eq!(told, ["3 true", "4 false", &two.to_string()]);
        assert_eq!(report.records, 3);

        let mut calls = Calls::default();
        calls.add(0, &path).expect("reads");
        let other = UpstreamName::parse("other").expect("a name");
        let report = calls.compare(directory.path(), Some(&other)).expect("reads");
        assert_eq!(report.differences.len(), 2, "records of other upstreams are not asked for");
    }

    #[test]
    fn a_log_without_ids_is_all_calls_of_others() {
        let directory = Directory::new();
        let path = directory.path().join("access.log");
        std::fs::write(&path, "one\ntwo\n").expect("writes");
        let mut calls = Calls::default();
        calls.add(0, &path).expect("reads");
        let report = calls.compare(directory.path(), None).expect("reads");
        assert_eq!((report.differences.len(), report.span), (2, None));
    }
}
