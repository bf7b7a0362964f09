//! The Model Context Protocol, pure: messages to what they ask, tool calls to REST requests, responses
//! to results. It parses, maps and renders; it never decides, does no I/O and knows no Pingora.
//!
//! Both eras meet here and part nowhere else: 2026-07-28, where each request stands for itself, and the
//! three revisions of 2025, which begin with `initialize`.

pub mod arguments;
pub mod envelope;
pub mod event;
pub mod fault;
pub mod json;
pub mod meta;
pub mod outcome;
pub mod reply;
#[cfg(test)]
mod testing;
