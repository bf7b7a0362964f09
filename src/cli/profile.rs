//! `onegate profile`: further terms under which some of a client's credentials call.

use clap::{Args, Subcommand};

use super::control::Control;
use super::output::{Failure, Format, Output};
use super::{made, rows};
use crate::admin::wire;

#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// Add a profile to a client; its credentials are added afterwards
    Add(AddProfile),
    /// List the profiles of a client
    List {
        #[arg(long)]
        client: String,
    },
}

#[derive(Args, Debug)]
pub struct AddProfile {
    name: String,
    #[arg(long)]
    client: String,
    /// Grant a product; may be repeated
    #[arg(long = "product")]
    products: Vec<String>,
    /// Allow a scope; may be repeated
    #[arg(long = "scope")]
    scopes: Vec<String>,
    #[arg(long)]
    plan: Option<String>,
    /// How agents are shown its tools: direct, search or auto [default: as the config says]
    #[arg(long)]
    presentation: Option<String>,
}

impl ProfileCommand {
    pub fn run(self, control: &Control<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
        match self {
            Self::Add(AddProfile { name, client, products, scopes, plan, presentation }) => {
                let done = format!("Profile '{name}' is added to '{client}'.");
                let profile = wire::NewProfile { name, products, scopes, plan, presentation };
                let add = wire::AddProfile { client, profile };
                made::show(control.change(&wire::Change::AddProfile(add))?, &done, output)
            }
            Self::List { client } => {
                let profiles = control.reader()?.client(&client)?.profiles;
                match output.format {
                    Format::Human => {
                        output.table(rows::PROFILE, profiles.iter().map(rows::profile))
                    }
                    Format::Json => profiles.iter().try_for_each(|profile| output.json(profile)),
                }
            }
        }
    }
}
