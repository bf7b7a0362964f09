//! One gate for REST and AI traffic. The life of a request is told in ARCHITECTURE.md.

pub mod clock;
pub mod config;
pub mod model;
