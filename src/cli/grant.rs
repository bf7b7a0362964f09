//! `onegate grant`: which products a profile may use.

use clap::{Args, Subcommand};

use super::control::Control;
use super::output::{Failure, Output};
use super::{made, rows};
use crate::admin::wire;

#[derive(Debug, Subcommand)]
pub enum GrantCommand {
    /// Grant a product to a profile of a client
    Add(AddGrant),
    /// List the grants of one client or of all
    List {
        #[arg(long)]
        client: Option<String>,
    },
    /// Take a granted product away
    Remove(RemoveGrant),
}

#[derive(Args, Debug)]
pub struct AddGrant {
    #[arg(long)]
    client: String,
    /// [default: default]
    #[arg(long)]
    profile: Option<String>,
    #[arg(long)]
    product: String,
    /// Last day (2027-01-31, UTC) or time (RFC 3339); without it, no end
    #[arg(long)]
    until: Option<String>,
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Args, Debug)]
pub struct RemoveGrant {
    #[arg(long)]
    client: String,
    /// [default: default]
    #[arg(long)]
    profile: Option<String>,
    #[arg(long)]
    product: String,
    #[arg(long)]
    reason: String,
}

impl GrantCommand {
    pub fn run(self, control: &Control<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
        match self {
            Self::Add(AddGrant { client, profile, product, until, reason }) => {
                let done = format!("Product '{product}' is granted to '{client}'.");
                let add = wire::AddGrant { client, profile, product, until, reason };
                made::show(control.change(&wire::Change::AddGrant(add))?, &done, output)
            }
            Self::List { client } => {
                let reader = control.reader()?;
                rows::list(client, output, rows::GRANT, rows::grant, |q| reader.grants(q))
            }
            Self::Remove(RemoveGrant { client, profile, product, reason }) => {
                let done = format!("Product '{product}' is no longer granted to '{client}'.");
                let remove = wire::RemoveGrant { client, profile, product, reason };
                made::show(control.change(&wire::Change::RemoveGrant(remove))?, &done, output)
            }
        }
    }
}
