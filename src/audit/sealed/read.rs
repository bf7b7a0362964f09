//! Gives back the lines of a sealed file.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;

use super::cells::{Cursor, Second, Value, Values};
use super::columns::{BEGIN, BYTES, Kind, LINE, PROOF};

/// The bytes of the file that was sealed, group of rows by group of rows. Whatever is wrong with the file is an error of the
/// kind `InvalidData`.
pub struct Unsealed {
    file: SerializedFileReader<File>,
    /// Of all lines together, and of those that were made.
    bytes: u64,
    made: u64,
    columns: Vec<(Box<str>, Kind)>,
    next_group: usize,
    group: Group,
    lines: Vec<u8>,
    /// Given out of `lines`.
    given: usize,
    second: Second,
}

/// The rows that are given out.
#[derive(Default)]
struct Group {
    columns: Vec<(Box<str>, Cursor)>,
    line: Option<Cursor>,
    proof: Option<Cursor>,
    rows_left: usize,
}

impl Unsealed {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        guard(|| Self::begin(file))
    }

    fn begin(file: File) -> Result<Self, Wrong> {
        let file = SerializedFileReader::new(file)?;
        let about = file.metadata().file_metadata();
        let value = |wanted: &str| {
            let pairs = about.key_value_metadata()?;
            pairs.iter().find(|pair| pair.key == wanted)?.value.as_deref()
        };
        let lines = value(BEGIN).ok_or(Wrong::Format)?.as_bytes().to_vec();
        let bytes = value(BYTES).and_then(|bytes| bytes.parse().ok()).ok_or(Wrong::Format)?;
        let columns = about.schema_descr().columns().iter();
        let columns = columns.map(|column| Some((column.name().into(), Kind::of(column)?)));
        let columns = columns.collect::<Option<_>>().ok_or(Wrong::Format)?;
        let (group, second, made) = (Group::default(), Second::default(), lines.len() as u64);
        Ok(Self { file, bytes, made, columns, next_group: 0, group, lines, given: 0, second })
    }

    /// Of all lines together.
    pub const fn lines_bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the next lines; none at the end.
    fn advance(&mut self) -> Result<(), Wrong> {
        self.lines.clear();
        self.given = 0;
        while self.lines.len() < LINES_BYTES {
            if self.group.rows_left == 0 {
                if self.next_group == self.file.num_row_groups() {
                    break;
                }
                let reader = self.file.get_row_group(self.next_group)?;
                self.group = Group::read(&*reader, &self.columns)?;
                self.next_group += 1;
                continue;
            }
            let start = self.lines.len();
            self.group.write_row(&mut self.lines, &mut self.second);
            if self.lines.len() - start > ROW_BYTES_MAX {
                return Err(Wrong::Format);
            }
        }
        self.made += self.lines.len() as u64;
        let at_end = self.lines.is_empty();
        if self.made > self.bytes || (at_end && self.made != self.bytes) {
            self.lines.clear();
            return Err(Wrong::Format);
        }
        Ok(())
    }
}

impl Group {
    fn read(reader: &dyn RowGroupReader, columns: &[(Box<str>, Kind)]) -> Result<Self, Wrong> {
        let rows = usize::try_from(reader.metadata().num_rows()).map_err(|_| Wrong::Format)?;
        let bytes = u64::try_from(reader.metadata().total_byte_size()).unwrap_or(u64::MAX);
        if rows > ROWS_MAX || bytes > GROUP_BYTES_MAX {
            return Err(Wrong::Format);
        }
        let mut group = Self { rows_left: rows, ..Self::default() };
        for (at, (name, kind)) in columns.iter().enumerate() {
            let (levels, values) = read_column(reader.get_column_reader(at)?, rows)?;
            let cursor = Cursor::new(*kind, levels, values);
            match &**name {
                LINE => group.line = Some(cursor),
                PROOF => group.proof = Some(cursor),
                _ => group.columns.push((name.clone(), cursor)),
            }
        }
        Ok(group)
    }

    fn write_row(&mut self, out: &mut Vec<u8>, second: &mut Second) {
        self.rows_left -= 1;
        let start = out.len();
        for (name, column) in &mut self.columns {
            let Some(value) = column.step() else { continue };
            out.push(if out.len() == start { b'{' } else { b',' });
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            value.write(out, second);
        }
        out.extend_from_slice(if out.len() == start { b"{}\n" } else { b"}\n" });
        if let Some(Value::Text(line)) = self.line.as_mut().and_then(Cursor::step) {
            out.truncate(start);
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
        if let Some(Value::Text(lines)) = self.proof.as_mut().and_then(Cursor::step) {
            out.extend_from_slice(lines.as_bytes());
        }
    }
}

fn read_column(reader: ColumnReader, rows: usize) -> Result<(Vec<i16>, Values), Wrong> {
    let mut levels = Vec::with_capacity(rows);
    let values = match reader {
        ColumnReader::Int64ColumnReader(mut reader) => {
            let mut values = Vec::new();
            reader.read_records(rows, Some(&mut levels), None, &mut values)?;
            Values::Numbers(values)
        }
        ColumnReader::FixedLenByteArrayColumnReader(mut reader) => {
            let mut values = Vec::new();
            reader.read_records(rows, Some(&mut levels), None, &mut values)?;
            Values::Fixed(values)
        }
        ColumnReader::ByteArrayColumnReader(mut reader) => {
            let mut values = Vec::new();
            reader.read_records(rows, Some(&mut levels), None, &mut values)?;
            Values::Bytes(values)
        }
        // `Kind::of` knows none of these.
        ColumnReader::BoolColumnReader(_)
        | ColumnReader::Int32ColumnReader(_)
        | ColumnReader::Int96ColumnReader(_)
        | ColumnReader::FloatColumnReader(_)
        | ColumnReader::DoubleColumnReader(_) => return Err(Wrong::Format),
    };
    if levels.len() == rows { Ok((levels, values)) } else { Err(Wrong::Format) }
}

impl BufRead for Unsealed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.given == self.lines.len() {
            guard(|| self.advance())?;
        }
        Ok(self.lines.get(self.given..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.given = (self.given + amount).min(self.lines.len());
    }
}

impl Read for Unsealed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// Why a file is no sealed file.
enum Wrong {
    Parquet(ParquetError),
    Format,
}

impl From<ParquetError> for Wrong {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error)
    }
}

/// The library is made for files that it wrote itself: what somebody damaged may make it panic, and is only wrong.
fn guard<T>(read: impl FnOnce() -> Result<T, Wrong>) -> io::Result<T> {
    let read = catch_unwind(AssertUnwindSafe(read));
    let wrong = match read {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(Wrong::Parquet(error))) => error.to_string(),
        Ok(Err(Wrong::Format)) => "not in the form of this version".to_owned(),
        Err(_) => "a damaged Parquet file".to_owned(),
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is no sealed file: {wrong}")))
}

/// Lines are made in portions of about this size.
const LINES_BYTES: usize = 256 * 1024;
/// More than is ever written: this only bounds what a damaged file can ask for.
const ROWS_MAX: usize = 1 << 20;
const ROW_BYTES_MAX: usize = 32 << 20;
const GROUP_BYTES_MAX: u64 = 1 << 30;
