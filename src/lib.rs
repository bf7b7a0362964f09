//! One gate for REST and AI traffic. The life of a request is told in ARCHITECTURE.md.

pub mod audit;
pub mod clock;
pub mod demo;
pub mod edge;
pub mod metrics;
pub mod model;
pub mod request;
