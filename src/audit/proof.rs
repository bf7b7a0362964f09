//! What proves the log: hashes over its lines, and signed statements about them. `docs/audit-format.md` is
//! the format; nothing else knows it but this module.
//!
//! Nothing here reads or writes files but `key` and `recovery`.

pub mod checkpoint;
pub mod handover;
pub mod key;
pub mod lines;
pub mod note;
pub mod prover;
pub mod recovery;
pub mod replay;
pub mod statement;
pub mod tree;
