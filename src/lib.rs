//! One gate for REST and AI traffic. The life of a request is told in ARCHITECTURE.md.

pub mod audit;
pub mod cli;
pub mod clock;
pub mod model;
