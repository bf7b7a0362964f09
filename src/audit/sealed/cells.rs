//! The values of a column, and how each becomes the text of a line and back.

use std::borrow::Cow;

use bytes::Bytes;
use parquet::data_type::{ByteArray, FixedLenByteArray};

use crate::audit::json::{push_hex, push_number, push_text, second_text};

use super::columns::Kind;

/// One value.
#[derive(Debug)]
pub enum Value<'a> {
    Number(i64),
    /// Since 1970, in microseconds.
    Time(i64),
    Uuid([u8; 16]),
    Hex([u8; 16]),
    Text(Cow<'a, str>),
    Json(&'a str),
}

impl<'a> Value<'a> {
    /// Reads a value of a line; None where it is not of this kind.
    pub fn parse(kind: Kind, json: &'a str) -> Option<Self> {
        match kind {
            Kind::Number => json.parse().ok().filter(|number| *number >= 0).map(Self::Number),
            Kind::Time => {
                let time: jiff::Timestamp = quoted(json)?.parse().ok()?;
                Some(Self::Time(time.as_microsecond()))
            }
            Kind::Uuid => Some(Self::Uuid(uuid::Uuid::parse_str(quoted(json)?).ok()?.into_bytes())),
            Kind::Hex => {
                let digits = quoted(json).filter(|digits| digits.len() == 32)?;
                Some(Self::Hex(u128::from_str_radix(digits, 16).ok()?.to_be_bytes()))
            }
            Kind::Text => match quoted(json)? {
                plain if !plain.contains('\\') => Some(Self::Text(plain.into())),
                _ => serde_json::from_str::<String>(json).ok().map(|text| Self::Text(text.into())),
            },
            Kind::Json => Some(Self::Json(json)),
        }
    }

    /// Appends it as a line has it.
    pub fn write(&self, out: &mut Vec<u8>, second: &mut Second) {
        match self {
            Self::Number(number) => push_number(out, number.unsigned_abs()),
            Self::Time(micros) => second.push_time(out, *micros),
            Self::Uuid(bytes) => {
                let uuid = uuid::Uuid::from_bytes(*bytes);
                out.push(b'"');
                out.extend_from_slice(uuid.hyphenated().encode_lower(&mut [0; 36]).as_bytes());
                out.push(b'"');
            }
            Self::Hex(bytes) => {
                out.push(b'"');
                push_hex(out, *bytes);
                out.push(b'"');
            }
            Self::Text(text) => push_text(out, text),
            Self::Json(json) => out.extend_from_slice(json.as_bytes()),
        }
    }
}

fn quoted(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// The last second that was written, and its text: many records share one.
#[derive(Debug)]
pub struct Second(i64, String);

impl Default for Second {
    fn default() -> Self {
        Self(0, second_text(0))
    }
}

impl Second {
    fn push_time(&mut self, out: &mut Vec<u8>, micros: i64) {
        let second = micros.div_euclid(1_000_000);
        if self.0 != second {
            *self = Self(second, second_text(second));
        }
        out.push(b'"');
        out.extend_from_slice(self.1.as_bytes());
        out.extend_from_slice(format!("{:06}Z\"", micros.rem_euclid(1_000_000)).as_bytes());
    }
}

/// One column of a group of rows that is being filled.
#[derive(Debug)]
pub struct Cells {
    kind: Kind,
    /// For each row, 1 where there is a value and 0 where there is none.
    pub levels: Vec<i16>,
    numbers: Vec<i64>,
    /// All texts, or all values of 16 bytes, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// The values of a column as Parquet takes and gives them.
#[derive(Debug)]
pub enum Values {
    Numbers(Vec<i64>),
    Fixed(Vec<FixedLenByteArray>),
    Bytes(Vec<ByteArray>),
}

impl Cells {
    pub fn new(kind: Kind) -> Self {
        let (levels, numbers, bytes, ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { kind, levels, numbers, bytes, ends }
    }

    /// Takes in the next row's value.
    pub fn push(&mut self, value: Option<&Value<'_>>) {
        self.levels.push(i16::from(value.is_some()));
        match value {
            None => {}
            Some(Value::Number(number) | Value::Time(number)) => self.numbers.push(*number),
            Some(Value::Uuid(bytes) | Value::Hex(bytes)) => self.bytes.extend_from_slice(bytes),
            Some(Value::Text(text)) => self.push_bytes(text),
            Some(Value::Json(json)) => self.push_bytes(json),
        }
    }

    fn push_bytes(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len());
    }

    /// Gives the values, without those that are absent, and begins anew.
    pub fn take(&mut self) -> (Vec<i16>, Values) {
        let levels = std::mem::take(&mut self.levels);
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        let values = match self.kind {
            Kind::Number | Kind::Time => Values::Numbers(std::mem::take(&mut self.numbers)),
            Kind::Uuid | Kind::Hex => {
                let value = |at: usize| ByteArray::from(bytes.slice(at..at + 16)).into();
                Values::Fixed((0..bytes.len()).step_by(16).map(value).collect())
            }
            Kind::Text | Kind::Json => {
                let ends = std::mem::take(&mut self.ends);
                let starts = std::iter::once(0).chain(ends.iter().copied());
                let value = |(start, end): (usize, &usize)| bytes.slice(start..*end).into();
                Values::Bytes(starts.zip(&ends).map(value).collect())
            }
        };
        (levels, values)
    }
}

/// Goes over a column, row by row.
#[derive(Debug)]
pub struct Cursor {
    kind: Kind,
    levels: Vec<i16>,
    values: Values,
    row: usize,
    value: usize,
}

impl Cursor {
    pub const fn new(kind: Kind, levels: Vec<i16>, values: Values) -> Self {
        Self { kind, levels, values, row: 0, value: 0 }
    }

    /// The next row's value; None where it has none, and where it is not what its column says.
    pub fn step(&mut self) -> Option<Value<'_>> {
        let level = self.levels.get(self.row).copied();
        self.row += 1;
        if level != Some(1) {
            return None;
        }
        let at = self.value;
        self.value += 1;
        match &self.values {
            Values::Numbers(values) => {
                let number = *values.get(at)?;
                Some(if self.kind == Kind::Time {
                    Value::Time(number)
                } else {
                    Value::Number(number)
                })
            }
            Values::Fixed(values) => {
                let bytes = values.get(at)?.data().try_into().ok()?;
                Some(if self.kind == Kind::Uuid { Value::Uuid(bytes) } else { Value::Hex(bytes) })
            }
            Values::Bytes(values) => {
                let text = std::str::from_utf8(values.get(at)?.data()).ok()?;
                Some(if self.kind == Kind::Json {
                    Value::Json(text)
                } else {
                    Value::Text(text.into())
                })
            }
        }
    }
}
