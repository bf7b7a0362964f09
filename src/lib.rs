//! One gate for REST and AI traffic. The life of a request is told in ARCHITECTURE.md.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod inventory;
pub mod model;
