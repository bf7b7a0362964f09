//! `onegate credential`: how callers prove to be a client.

use clap::{Args, Subcommand};

use super::control::Control;
use super::output::{Failure, Output};
use super::{made, rows};
use crate::admin::wire;

#[derive(Debug, Subcommand)]
pub enum CredentialCommand {
    /// Add a credential to a profile of a client; a key is shown once
    Add(AddCredential),
    /// List the credentials of one client or of all
    List {
        #[arg(long)]
        client: Option<String>,
    },
}

#[derive(Args, Debug)]
pub struct AddCredential {
    #[arg(long)]
    client: String,
    /// [default: default]
    #[arg(long)]
    profile: Option<String>,
    /// The person who will have it
    #[arg(long)]
    holder: Option<String>,
    /// Last day (2027-01-31, UTC) or time (RFC 3339); without it, it ends with its client
    #[arg(long)]
    expires: Option<String>,
    /// Issue an API key
    #[arg(long, required = true)]
    key: bool,
    /// The word after `og_` in the key: 2 to 10 of a-z
    #[arg(long, default_value = "live")]
    environment: String,
}

impl CredentialCommand {
    pub fn run(self, control: &Control<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
        match self {
            Self::Add(add) => {
                let done = format!("A credential is added to '{}'.", add.client);
                let change = wire::Change::AddCredential(add.into_wire());
                made::show(control.change(&change)?, &done, output)
            }
            Self::List { client } => {
                let reader = control.reader()?;
                let fetch = |query: &_| reader.credentials(query);
                rows::list(client, output, rows::CREDENTIAL, rows::credential, fetch)
            }
        }
    }
}

impl AddCredential {
    fn into_wire(self) -> wire::AddCredential {
        let credential = wire::NewCredential {
            profile: self.profile,
            holder: self.holder,
            expires: self.expires,
            issue: self.key,
            environment: Some(self.environment),
            ..wire::NewCredential::default()
        };
        wire::AddCredential { client: self.client, credential }
    }
}
