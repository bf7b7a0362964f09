//! L0, the vocabulary: what the gate talks about, as plain values.
//!
//! Nothing here does I/O, reads a clock, knows Pingora, or can be serialised: a serialisable type
//! is a promise to someone, and those promises live at the borders (`config::raw`, `audit::line`,
//! `admin::wire`).

pub mod api;
pub mod balance;
pub mod calendar;
pub mod certificate;
pub mod client;
pub mod denial;
pub mod facts;
pub mod hex;
pub mod id;
pub mod key;
pub mod loops;
pub mod mcp;
pub mod meter;
pub mod plan;
pub mod policy;
pub mod proof;
pub mod quarantine;
pub mod record;
pub mod shape;
pub mod snapshot;
pub mod template;
pub mod time;
pub mod tool;
pub mod trust;
pub mod upstream;
