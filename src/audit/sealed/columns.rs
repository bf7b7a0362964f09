//! The columns of a sealed file: the keys of a record in the order in which a line has them, and how the
//! values of each are kept.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::basic::{Encoding, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type, TypePtr};

/// How a value stands in a line, and in a column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A whole number from 0 to 2^63 - 1.
    Number,
    /// RFC 3339, UTC, six digits after the point.
    Time,
    /// 36 lower-case characters.
    Uuid,
    /// 32 lower-case hexadecimal digits.
    Hex,
    Text,
    /// Any other value, as it stands in the line.
    Json,
}

/// Keys of records. Only [`PROOF`] and [`LINE`] are none.
pub const COLUMNS: [(&str, Kind); 51] = [
    ("v", Kind::Number),
    ("seq", Kind::Number),
    ("node", Kind::Text),
    ("boot", Kind::Text),
    ("id", Kind::Uuid),
    ("time", Kind::Time),
    ("surface", Kind::Text),
    ("client", Kind::Text),
    ("profile", Kind::Text),
    ("credential", Kind::Text),
    ("credential_kind", Kind::Text),
    ("holder", Kind::Text),
    ("agent", Kind::Text),
    ("peer_ip", Kind::Text),
    ("source_ip", Kind::Text),
    ("method", Kind::Text),
    ("host", Kind::Text),
    ("path", Kind::Text),
    ("api", Kind::Text),
    ("operation", Kind::Text),
    ("product", Kind::Text),
    ("decision", Kind::Text),
    ("denial", Kind::Text),
    ("failure", Kind::Text),
    ("reason", Kind::Text),
    ("limit", Kind::Text),
    ("shadow_limit", Kind::Text),
    ("scopes_required", Kind::Json),
    ("status", Kind::Number),
    ("upstream", Kind::Text),
    ("endpoint", Kind::Text),
    ("count", Kind::Number),
    ("entry", Kind::Text),
    ("end", Kind::Text),
    ("duration_us", Kind::Number),
    ("upstream_us", Kind::Number),
    ("request_bytes", Kind::Number),
    ("response_bytes", Kind::Number),
    ("policy", Kind::Text),
    ("trace_id", Kind::Hex),
    ("parent_request_id", Kind::Text),
    ("actor", Kind::Text),
    ("action", Kind::Text),
    ("target", Kind::Text),
    ("reason_given", Kind::Text),
    ("ticket", Kind::Text),
    ("before", Kind::Json),
    ("after", Kind::Json),
    ("mcp", Kind::Json),
    (LINE, Kind::Text),
    (PROOF, Kind::Text),
];

/// A record's line where its columns alone would give another one: then this one counts.
pub const LINE: &str = "line";
/// The lines of the proof that follow a record, each with its line break.
pub const PROOF: &str = "proof";
/// In the file's metadata: all lines before the first record.
pub const BEGIN: &str = "onegate.begin";
/// In the file's metadata: the bytes of all lines together.
pub const BYTES: &str = "onegate.bytes";

impl Kind {
    const fn physical(self) -> Physical {
        match self {
            Self::Number | Self::Time => Physical::INT64,
            Self::Uuid | Self::Hex => Physical::FIXED_LEN_BYTE_ARRAY,
            Self::Text | Self::Json => Physical::BYTE_ARRAY,
        }
    }

    fn logical(self) -> Option<LogicalType> {
        match self {
            Self::Number | Self::Hex => None,
            Self::Time => Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
            Self::Uuid => Some(LogicalType::Uuid),
            Self::Text => Some(LogicalType::String),
            Self::Json => Some(LogicalType::Json),
        }
    }

    /// The kind of a column that is read; None for one that no version had.
    pub fn of(column: &ColumnDescriptor) -> Option<Self> {
        let kinds = [Self::Number, Self::Time, Self::Uuid, Self::Hex, Self::Text, Self::Json];
        let is_flat = column.max_rep_level() == 0 && column.max_def_level() == 1;
        let is_of = |kind: &Self| {
            column.physical_type() == kind.physical()
                && column.logical_type_ref() == kind.logical().as_ref()
                && (kind.physical() != Physical::FIXED_LEN_BYTE_ARRAY || column.type_length() == 16)
        };
        kinds.into_iter().find(is_of).filter(|_| is_flat)
    }
}

pub fn schema() -> Result<TypePtr, ParquetError> {
    let column = |(name, kind): &(&str, Kind)| {
        let column = Type::primitive_type_builder(name, kind.physical())
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(kind.logical());
        let fixed = kind.physical() == Physical::FIXED_LEN_BYTE_ARRAY;
        if fixed { column.with_length(16) } else { column }.build().map(Arc::new)
    };
    let columns = COLUMNS.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("record").with_fields(columns).build().map(Arc::new)
}

pub fn properties() -> Result<WriterPropertiesPtr, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("onegate ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_statistics_truncate_length(Some(64))
        .set_max_row_group_row_count(None);
    for (name, kind) in &COLUMNS {
        let column = ColumnPath::from(*name);
        properties = match kind {
            Kind::Number | Kind::Time => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED),
            // Split into streams they would be a tenth smaller, and DuckDB could not read them.
            Kind::Uuid | Kind::Hex => properties.set_column_dictionary_enabled(column, false),
            Kind::Text | Kind::Json => properties,
        };
        if [LINE, PROOF].contains(name) {
            let column = ColumnPath::from(*name);
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_statistics_enabled(column, EnabledStatistics::None);
        }
    }
    Ok(Arc::new(properties.build()))
}

/// Of zstd: more than this costs much more time than it saves room.
const LEVEL: i32 = 3;
