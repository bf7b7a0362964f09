//! `onegate client`: who calls.

use clap::{Args, Subcommand};

use super::connect::Connect;
use super::control::Control;
use super::output::{Failure, Format, Output};
use super::{made, rows, tools};
use crate::admin::wire;
use crate::server::Source;

#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Add a client with its profile `default`, grants and one key, which is shown once
    Add(AddClient),
    /// List all clients
    List,
    /// Show one client: profiles, grants, credentials
    Show { id: String },
    /// Give a client new values; what is not named stays
    Change(ChangeClient),
    /// Print ready-to-paste set-up for MCP clients that call as this client, without its key
    Connect(Connect),
}

#[derive(Args, Debug)]
pub struct AddClient {
    id: String,
    /// app, partner, service or agent
    #[arg(long)]
    kind: String,
    /// Who answers for it
    #[arg(long)]
    owner: String,
    #[arg(long)]
    purpose: String,
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
    /// Last day (2027-01-31, UTC) or time (RFC 3339); an agent has 90 days unless told
    #[arg(long, conflicts_with = "no_expiry")]
    expires: Option<String>,
    #[arg(long)]
    no_expiry: bool,
    /// The word after `og_` in its key: 2 to 10 of a-z
    #[arg(long, default_value = "live")]
    environment: String,
}

#[derive(Args, Debug)]
pub struct ChangeClient {
    id: String,
    #[arg(long)]
    owner: Option<String>,
    #[arg(long)]
    purpose: Option<String>,
    /// Last day (2027-01-31, UTC) or time (RFC 3339)
    #[arg(long, conflicts_with = "no_expiry")]
    expires: Option<String>,
    #[arg(long)]
    no_expiry: bool,
    /// The profile whose plan, presentation or scopes change [default: default]
    #[arg(long)]
    profile: Option<String>,
    #[arg(long, conflicts_with = "no_plan")]
    plan: Option<String>,
    #[arg(long)]
    no_plan: bool,
    /// How agents are shown its tools: direct, search, auto; or config, as that says
    #[arg(long)]
    presentation: Option<String>,
    /// Allow exactly the scopes given; may be repeated
    #[arg(long = "scope", conflicts_with = "no_scopes")]
    scopes: Vec<String>,
    #[arg(long)]
    no_scopes: bool,
}

impl ClientCommand {
    /// `source` is the config, for what the inventory does not tell.
    pub fn run(
        self,
        control: &Control<'_>,
        source: &Source,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::Add(add) => {
                let done = format!("Client '{}' is added.", add.id);
                let change = wire::Change::AddClient(add.into_wire());
                made::show(control.change(&change)?, &done, output)
            }
            Self::List => {
                let reader = control.reader()?;
                rows::list(None, output, rows::CLIENT, rows::client, |q| reader.clients(q))
            }
            Self::Show { id } => show(control, source, &id, output),
            Self::Change(change) => {
                let done = format!("Client '{}' is changed.", change.id);
                let change = wire::Change::ChangeClient(change.into_wire());
                made::show(control.change(&change)?, &done, output)
            }
            Self::Connect(connect) => connect.run(control, source, output),
        }
    }
}

impl AddClient {
    fn into_wire(self) -> wire::NewClient {
        let issue = wire::NewCredential {
            issue: true,
            environment: Some(self.environment),
            ..wire::NewCredential::default()
        };
        wire::NewClient {
            id: self.id,
            kind: self.kind,
            owner: self.owner,
            purpose: self.purpose,
            expires: self.expires,
            no_expiry: self.no_expiry,
            products: self.products,
            scopes: self.scopes,
            plan: self.plan,
            presentation: self.presentation,
            profile: vec![],
            credential: vec![issue],
        }
    }
}

impl ChangeClient {
    fn into_wire(self) -> wire::ClientChange {
        let new_scopes = self.no_scopes || !self.scopes.is_empty();
        wire::ClientChange {
            id: self.id,
            owner: self.owner,
            purpose: self.purpose,
            expires: self.expires,
            no_expiry: self.no_expiry,
            profile: self.profile,
            plan: self.plan,
            no_plan: self.no_plan,
            presentation: self.presentation,
            scopes: new_scopes.then_some(self.scopes),
        }
    }
}

/// All there is to say of one client.
fn show(
    control: &Control<'_>,
    source: &Source,
    id: &str,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let reader = control.reader()?;
    let detail = reader.client(id)?;
    let credentials = rows::all(id, |query| reader.credentials(query))?;
    let profiles = detail.profiles.iter().map(|profile| profile.name.clone());
    let seen = tools::seen(source, id, profiles)?;
    if output.format == Format::Json {
        return output.json(&wire::ClientShown { detail, credentials, tools: seen });
    }
    let wire::ClientDetail { client, profiles, grants, quarantines } = &detail;
    output.fields(&rows::client_fields(client))?;
    if !quarantines.is_empty() {
        output.line("")?;
        output.table(rows::QUARANTINE, quarantines.iter().map(rows::quarantine))?;
    }
    output.line("")?;
    output.table(rows::PROFILE, profiles.iter().map(rows::profile))?;
    output.line("")?;
    output.table(rows::GRANT, grants.iter().map(rows::grant))?;
    output.line("")?;
    output.table(rows::CREDENTIAL, credentials.iter().map(rows::credential))?;
    if let Some(seen) = seen {
        output.line("")?;
        tools::tell(id, &seen, output)?;
    }
    Ok(())
}
