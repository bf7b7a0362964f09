//! `onegate demo`: a sample API, the gate before it and two clients, ready to paste.

pub mod payments;
