//! The calls that a killed gate had not recorded to their end: from its journal, and from lines of the log
//! that say a call was open. Each gets the record that it still lacks, with the end `crash`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use memchr::memmem;

use crate::model::id::RequestId;

use super::crowd::Summary;
use super::journal::{self, OfBoot};
use super::line::{Encoder, OPEN_MEMBER};
use super::opening::Opening;
use super::proof::lines::{Kind, Record};
use super::proof::prover::{Counted, Prover};
use super::reader::{LineReader, Step};
use super::segment::{Boot, SegmentName};

/// By id, so that they are always written in the same order: that of their beginnings.
#[derive(Debug, Default)]
pub struct Left {
    calls: BTreeMap<[u8; 16], Call>,
}

#[derive(Debug)]
enum Call {
    /// An encoded [`Opening`], and whether the log has an entry of it too.
    InJournal(Vec<u8>, Entry),
    /// The line that says it is open.
    InLog(Vec<u8>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entry {
    None,
    InLog,
}

/// Who was denied what.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Stranger {
    client: Box<str>,
    source_ip: Option<IpAddr>,
    denial: Box<str>,
}

impl Stranger {
    fn of(opening: &Opening<'_>) -> Self {
        let Opening { client, source_ip, denial, .. } = opening;
        Self { client: (*client).into(), source_ip: *source_ip, denial: (*denial).into() }
    }
}

/// So many of one stranger have records of their own.
const OWN_MAX: u64 = 10;

impl Left {
    /// What stands in the journal, and whether that is this boot's.
    pub fn in_journal(home: &Path, boot: Boot) -> io::Result<(Self, OfBoot)> {
        let (open, of) = journal::left_open(home, boot)?;
        let open = open.into_iter().filter_map(|encoded| {
            let id = Opening::decode(&encoded)?.id.to_bytes();
            Some((id, Call::InJournal(encoded, Entry::None)))
        });
        Ok((Self { calls: open.collect() }, of))
    }

    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Looks at the next line of the boot.
    pub fn line(&mut self, line: &[u8]) {
        let is_open = memmem::find(line, OPEN_MEMBER.as_bytes()).is_some();
        if (self.calls.is_empty() && !is_open) || Kind::of(line) != Kind::Record {
            return;
        }
        let id = Record::parse(line).and_then(|record| RequestId::parse(&record.id));
        let Some(id) = id.map(RequestId::to_bytes) else { return };
        if is_open {
            match self.calls.get_mut(&id) {
                Some(Call::InJournal(_, entry)) => *entry = Entry::InLog,
                // The last says the most.
                Some(Call::InLog(_)) | None => {
                    self.calls.insert(id, Call::InLog(line.into()));
                }
            }
        } else {
            self.calls.remove(&id);
        }
    }

    /// Looks at all whole lines of a file.
    pub fn file(&mut self, directory: &Path, name: SegmentName) -> io::Result<()> {
        let mut reader = LineReader::of(directory, name)?;
        loop {
            match reader.step()? {
                Step::Line(line) => self.line(line),
                Step::TooLong => {}
                Step::End | Step::Torn => return Ok(()),
            }
        }
    }

    /// Appends the records that are lacking, as the next of their boot. Many denials of one stranger are one.
    pub fn write(&self, lines: &mut Vec<u8>, encoder: &mut Encoder, prover: &mut Prover) {
        let strangers = self.strangers();
        for (id, call) in &self.calls {
            let (start, seq) = (lines.len(), prover.state().seq + 1);
            let counted = match call {
                Call::InJournal(stored, entry) => {
                    let Some(opening) = Opening::decode(stored) else { continue };
                    match strangers.get(&Stranger::of(&opening)) {
                        Some((count, first)) if *count > OWN_MAX && *entry == Entry::None => {
                            if first != id {
                                continue;
                            }
                            encoder.summary(lines, seq, &Summary::of(&opening, *count));
                            Counted::Denied(*count)
                        }
                        Some(_) | None => {
                            encoder.crashed(lines, seq, &opening);
                            Counted::with_denial(opening.denial)
                        }
                    }
                }
                Call::InLog(line) => {
                    encoder.crashed_again(lines, seq, line);
                    let is_refusal = memmem::find(line, br#","decision":"denied""#).is_some();
                    if is_refusal { Counted::Denied(1) } else { Counted::Allowed }
                }
            };
            let line = lines.get(start..).filter(|line| !line.is_empty());
            let Some(line) = line else { continue };
            prover.record(line.strip_suffix(b"\n").unwrap_or(line), counted);
        }
    }

    /// Denials without a client, by source and denial: how many there are, and the id of the first.
    fn strangers(&self) -> BTreeMap<Stranger, (u64, [u8; 16])> {
        let mut strangers = BTreeMap::new();
        for (id, call) in &self.calls {
            let Call::InJournal(stored, Entry::None) = call else { continue };
            let Some(opening) = Opening::decode(stored) else { continue };
            if opening.client.is_empty() && !opening.denial.is_empty() {
                strangers.entry(Stranger::of(&opening)).or_insert((0, *id)).0 += 1;
            }
        }
        strangers
    }

    /// What of it the journal has, for a boot that can take no more lines.
    pub fn into_openings(self) -> impl Iterator<Item = Box<[u8]>> {
        self.calls.into_values().filter_map(|call| match call {
            Call::InJournal(encoded, _) => Some(encoded.into()),
            Call::InLog(_) => None,
        })
    }
}
