//! Sealed files: what a finished file of the log becomes, Parquet with a column for each key of a record.
//!
//! A sealed file gives back the file that it was made from, byte for byte: that is looked at before the other is
//! removed, so that the proof over the log's lines holds for it too. `docs/audit-format.md` says how lines
//! and rows become each other; `columns` is that table, `cells` its values, `make` and `read` the two ways. Which files are
//! sealed, and when, is not known here.

mod cells;
mod columns;
mod make;
mod read;

pub use make::{Made, SealError, content, make};
pub use read::Unsealed;

#[cfg(test)]
mod tests;
