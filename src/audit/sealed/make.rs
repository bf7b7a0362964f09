//! Makes a sealed file of a finished one.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ahash::AHashMap;
use parquet::data_type::{ByteArrayType, FixedLenByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::audit::proof::lines::Kind as LineKind;
use crate::audit::proof::statement::Content;
use crate::audit::proof::tree::Hash;
use crate::audit::reader::{LineReader, Step};
use crate::model::time::UnixMicros;

use super::cells::{Cells, Second, Value, Values};
use super::columns::{self, BEGIN, BYTES, COLUMNS, LINE, PROOF};
use super::read::Unsealed;

/// What was sealed, and what it became.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Made {
    pub records: u64,
    /// The times of the earliest and the latest record; None without records.
    pub times: Option<(UnixMicros, UnixMicros)>,
    /// Of the file that was sealed.
    pub lines: Content,
    /// Of the sealed file.
    pub sealed: Content,
}

/// Seals the finished file at `from` as a new file at `to`, brings that to the medium, and sees that it gives back
/// the very bytes. It gives up when `stops` says so.
pub fn make(from: &Path, to: &Path, stops: &dyn Fn() -> bool) -> Result<Made, SealError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let mut making = Making::new(BufWriter::new(file))?;
    let mut reader = LineReader::open(from)?;
    loop {
        match reader.step()? {
            Step::Line(_) if stops() => return Err(SealError::Stopped),
            Step::Line(line) => making.line(line)?,
            Step::End => break,
            Step::TooLong | Step::Torn => return Err(SealError::NotWhole),
        }
    }
    let (mut made, file) = making.finish()?;
    file.sync_all()?;
    made.sealed = content(File::open(to)?, stops)?;
    let again = content(Unsealed::open(to)?, stops)?;
    if again == made.lines { Ok(made) } else { Err(SealError::NotTheSame) }
}

/// What somebody reads from there. It gives up, as interrupted, when `stops` says so.
pub fn content(mut from: impl Read, stops: &dyn Fn() -> bool) -> io::Result<Content> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        if stops() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(Content { bytes, sha256: Hash(sha256.finalize().into()) });
        }
        sha256.update(buffer.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
}

struct Making {
    out: SerializedFileWriter<BufWriter<File>>,
    /// The place of each column.
    places: AHashMap<&'static str, usize>,
    cells: Vec<Cells>,
    /// All lines before the first record.
    begin: String,
    /// The lines after the last record.
    proof: Option<String>,
    rows: usize,
    /// Bytes of the lines in this group of rows.
    group_bytes: usize,
    rebuilt: Vec<u8>,
    second: Second,
    sha256: Sha256,
    made: Made,
}

impl Making {
    fn new(out: BufWriter<File>) -> Result<Self, SealError> {
        let out = SerializedFileWriter::new(out, columns::schema()?, columns::properties()?)?;
        let nothing = Content { bytes: 0, sha256: Hash::default() };
        Ok(Self {
            out,
            places: COLUMNS.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect(),
            cells: COLUMNS.iter().map(|(_, kind)| Cells::new(*kind)).collect(),
            begin: String::new(),
            proof: None,
            rows: 0,
            group_bytes: 0,
            rebuilt: Vec::new(),
            second: Second::default(),
            sha256: Sha256::new(),
            made: Made { records: 0, times: None, lines: nothing, sealed: nothing },
        })
    }

    fn line(&mut self, line: &[u8]) -> Result<(), SealError> {
        self.sha256.update(line);
        self.sha256.update(b"\n");
        self.made.lines.bytes += line.len() as u64 + 1;
        self.group_bytes += line.len();
        let text = std::str::from_utf8(line).map_err(|_| SealError::NotWhole)?;
        if LineKind::of(line) == LineKind::Record {
            self.end_row();
            if self.rows >= GROUP_ROWS || self.group_bytes >= GROUP_BYTES {
                self.end_group()?;
            }
            self.record(text);
            return Ok(());
        }
        let lines = match &mut self.proof {
            None if self.made.records == 0 => &mut self.begin,
            proof => proof.get_or_insert_default(),
        };
        if lines.len() + text.len() >= PROOF_BYTES_MAX {
            return Err(SealError::NotWhole);
        }
        lines.push_str(text);
        lines.push('\n');
        Ok(())
    }

    /// The proof is the last column: only now it is known.
    fn end_row(&mut self) {
        if self.made.records > 0
            && let Some(cells) = self.places.get(PROOF).and_then(|at| self.cells.get_mut(*at))
            && cells.levels.len() < self.rows
        {
            cells.push(self.proof.take().map(|lines| Value::Text(lines.into())).as_ref());
        }
    }

    fn record(&mut self, line: &str) {
        let mut values = [const { None }; COLUMNS.len()];
        let known = Members { places: &self.places, found: &mut values };
        let is_object = serde_json::Deserializer::from_str(line).deserialize_map(known).is_ok();
        self.rebuilt.clear();
        let mut before = b'{';
        for ((name, _), value) in COLUMNS.iter().zip(&values) {
            let Some(value) = value else { continue };
            self.rebuilt.push(before);
            self.rebuilt.push(b'"');
            self.rebuilt.extend_from_slice(name.as_bytes());
            self.rebuilt.extend_from_slice(b"\":");
            value.write(&mut self.rebuilt, &mut self.second);
            before = b',';
        }
        self.rebuilt.push(b'}');
        let is_same = is_object && self.rebuilt == line.as_bytes();
        for (((name, _), cells), value) in COLUMNS.iter().zip(&mut self.cells).zip(&values) {
            match *name {
                PROOF => {}
                LINE => cells.push((!is_same).then(|| Value::Text(line.into())).as_ref()),
                _ => cells.push(value.as_ref()),
            }
        }
        let time = self.places.get("time").and_then(|at| values.get(*at)?.as_ref());
        if let Some(Value::Time(time)) = time {
            let time = UnixMicros(*time);
            let (first, last) = self.made.times.unwrap_or((time, time));
            self.made.times = Some((first.min(time), last.max(time)));
        }
        self.rows += 1;
        self.made.records += 1;
    }

    fn end_group(&mut self) -> Result<(), SealError> {
        self.end_row();
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.out.next_row_group()?;
        for cells in &mut self.cells {
            let Some(mut column) = group.next_column()? else { break };
            let (levels, values) = cells.take();
            let levels = Some(&levels[..]);
            match &values {
                Values::Numbers(of) => {
                    column.typed::<Int64Type>().write_batch(of, levels, None)?;
                }
                Values::Fixed(of) => {
                    column.typed::<FixedLenByteArrayType>().write_batch(of, levels, None)?;
                }
                Values::Bytes(of) => {
                    column.typed::<ByteArrayType>().write_batch(of, levels, None)?;
                }
            }
            column.close()?;
        }
        group.close()?;
        (self.rows, self.group_bytes) = (0, 0);
        Ok(())
    }

    fn finish(mut self) -> Result<(Made, File), SealError> {
        self.end_group()?;
        self.made.lines.sha256 = Hash(self.sha256.finalize().into());
        let bytes = self.made.lines.bytes.to_string();
        for (key, value) in [(BEGIN, self.begin), (BYTES, bytes)] {
            self.out.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let file = self.out.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((self.made, file))
    }
}

/// Reads the members of a record into their columns. One that has none, or that comes twice, is passed over: the
/// columns then give another line.
struct Members<'m, 'a> {
    places: &'m AHashMap<&'static str, usize>,
    found: &'m mut [Option<Value<'a>>; COLUMNS.len()],
}

impl<'a> Visitor<'a> for Members<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) =
            map.next_entry::<std::borrow::Cow<'a, str>, &'a RawValue>()?
        {
            let Some(at) = self.places.get(&*key).copied() else { continue };
            if let (Some((name, kind)), Some(found)) = (COLUMNS.get(at), self.found.get_mut(at))
                && ![LINE, PROOF].contains(name)
            {
                *found = Value::parse(*kind, value.get());
            }
        }
        Ok(())
    }
}

/// Rows are grouped: so many, or lines of so many bytes. Both bound what is in memory at a time.
const GROUP_ROWS: usize = 65_536;
const GROUP_BYTES: usize = 32 << 20;
/// The proof between two records is far shorter.
const PROOF_BYTES_MAX: usize = 16 << 20;

/// Why a file was not sealed.
#[derive(Debug)]
pub enum SealError {
    File(io::Error),
    Parquet(ParquetError),
    /// It has lines that are too long, or none of this format, or its last one is not whole.
    NotWhole,
    Stopped,
    /// It was sealed before, and was something else then.
    NotAsStated,
    /// The sealed file does not give back what was sealed.
    NotTheSame,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "{error}"),
            Self::Parquet(error) => write!(f, "{error}"),
            Self::NotWhole => f.write_str("it has a line that is none of the log, or is not whole"),
            Self::Stopped => f.write_str("the gate stops"),
            Self::NotAsStated => f.write_str("it is not what was sealed under its name before"),
            Self::NotTheSame => f.write_str("what was written does not give back its lines"),
        }
    }
}

impl std::error::Error for SealError {}

impl From<io::Error> for SealError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::Interrupted { Self::Stopped } else { Self::File(error) }
    }
}

impl From<ParquetError> for SealError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error)
    }
}
