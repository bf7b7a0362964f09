//! One gate for REST and AI traffic. The life of a request is told in ARCHITECTURE.md.
//!
//! Modules in reading order: the vocabulary, the decision, what feeds it, what carries it out.

pub mod model;

pub mod request;

pub mod catalogue;
pub mod mcp;
pub mod openapi;

pub mod access_log;
pub mod audit;
pub mod clock;
pub mod config;
pub mod counters;
pub mod inventory;
pub mod metrics;

pub mod admin;
pub mod edge;
pub mod parity;

pub mod cli;
pub mod demo;
pub mod server;
