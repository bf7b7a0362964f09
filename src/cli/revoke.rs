//! `onegate revoke`: final, in force when it returns, told by a receipt.

use clap::{Args, Subcommand};

use super::control::Control;
use super::made;
use super::output::{Failure, Output};
use crate::admin::wire;

#[derive(Debug, Subcommand)]
pub enum RevokeCommand {
    /// Revoke a client and with it all its credentials
    Client(Revoke),
    /// Revoke a profile (CLIENT/PROFILE) and with it all its credentials
    Profile(Revoke),
    /// Revoke one credential
    Credential(Revoke),
}

#[derive(Args, Debug)]
pub struct Revoke {
    id: String,
    #[arg(long)]
    reason: String,
}

impl RevokeCommand {
    pub fn run(self, control: &Control<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
        let (what, Revoke { id, reason }, target): (_, _, fn(String) -> wire::Target) = match self {
            Self::Client(revoke) => ("Client", revoke, wire::Target::Client),
            Self::Profile(revoke) => ("Profile", revoke, wire::Target::Profile),
            Self::Credential(revoke) => ("Credential", revoke, wire::Target::Credential),
        };
        let done = format!("{what} '{id}' is revoked.");
        let change = wire::Change::Revoke(wire::Revoke { target: target(id), reason });
        made::show(control.change(&change)?, &done, output)
    }
}
