//! End to end: the built gate as a child process, real sockets on both sides, and its own CLI.
//!
//! Each file is about one promise. Whatever a test does, its gate is checked at the end: every
//! response has exactly one record, and no key stands in any file or output (`harness::gate`).
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, and reads real clocks"
)]

mod harness;

mod access_log;
mod admin;
mod anonymous;
mod audit;
mod audit_archive;
mod audit_crash;
mod audit_disk;
mod audit_durable;
mod audit_explain;
mod audit_flood;
mod audit_kills;
mod audit_proof;
mod balance;
mod bounds;
mod compression;
mod concurrency;
mod cors;
mod credentials;
mod denials;
mod flapping;
mod forward;
mod grpc;
mod health;
mod hostile;
mod http2;
mod http2_hostile;
mod http2_upstream;
mod ledger;
mod limits;
mod loop_brake;
mod mcp;
mod mcp_browsers;
mod mcp_changes;
mod mcp_clients;
mod mcp_collecting;
mod mcp_conformance;
mod mcp_connect;
mod mcp_crash;
mod mcp_denials;
mod mcp_dispatch;
mod mcp_hostile;
mod mcp_hosts;
mod mcp_http2;
mod mcp_leaving;
mod mcp_limits;
mod mcp_listen;
mod mcp_load;
mod mcp_malformed;
mod mcp_presentation;
mod mcp_promises;
mod mcp_streams;
mod mcp_transport;
mod metrics;
mod parity;
mod peers;
mod policy;
mod process;
mod quarantine;
mod quotas;
mod reload;
mod rest;
mod revocation;
mod rotation;
mod shaping;
mod streams;
mod suspension;
mod tls;
mod transport;
mod under_load;
mod upstream;
mod websocket;
