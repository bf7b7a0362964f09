//! The command line. This branch holds the commands of the control plane.

pub mod client;
pub mod control;
pub mod credential;
pub mod gate;
pub mod grant;
pub mod inventory;
mod made;
pub mod output;
pub mod profile;
pub mod revoke;
mod rows;
#[cfg(test)]
mod tests;
