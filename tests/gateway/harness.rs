//! What the end-to-end tests stand on: a gate, an upstream that remembers, a client that can send
//! any bytes, and the audit as a witness. It asserts what holds for every test and knows nothing of
//! any one of them.

pub mod address;
pub mod agent;
pub mod answers;
pub mod audit;
pub mod authority;
pub mod bench;
pub mod client;
pub mod curl;
pub mod demo;
pub mod events;
pub mod faults;
pub mod flow;
pub mod folder;
pub mod frames;
pub mod gate;
pub mod http;
pub mod http2;
pub mod injector;
pub mod inspector;
pub mod listening;
pub mod logs;
pub mod mcp;
pub mod nginx;
pub mod node;
pub mod poll;
pub mod python;
pub mod records;
pub mod scripted;
pub mod service;
pub mod setup;
pub mod toolbox;
pub mod tools;
pub mod upstream;
pub mod witness;
