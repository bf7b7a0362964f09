//! `onegate client connect`: set-up for MCP clients, ready to paste. It prints where the key goes and
//! never a key: the gate has none to print.

mod endpoint;
mod setup;

use clap::Args;
use serde_json::{Value, json};

use self::endpoint::Endpoint;
use self::setup::{Connection, McpClient, Snippet};
use super::control::Control;
use super::output::{Failure, Format, Output};
use super::rows;
use crate::admin::wire;
use crate::inventory::error::nearest;
use crate::model::policy::Policy;
use crate::server::Source;

#[derive(Args, Debug)]
pub struct Connect {
    id: String,
    /// Where MCP clients reach the gate, when it is not where its config says; its path may be left out
    #[arg(long)]
    url: Option<String>,
    /// List the operations of one product only; what may be called stays the same
    #[arg(long)]
    product: Option<String>,
    /// List what only reads; what may be called stays the same
    #[arg(long)]
    readonly: bool,
    /// claude-code, claude-desktop, cursor, vscode, python or typescript; may be repeated [default: all]
    #[arg(long = "for", value_name = "NAME", value_parser = McpClient::parse)]
    mcp_clients: Vec<McpClient>,
}

/// The variable of the environment that the set-ups read the key from.
const VARIABLE: &str = "ONEGATE_KEY";
/// Waits for the key, so that neither a history nor a list of processes has it.
const SET_VARIABLE: &str = "read -rs ONEGATE_KEY && export ONEGATE_KEY";

impl Connect {
    pub fn run(
        &self,
        control: &Control<'_>,
        source: &Source,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let reader = control.reader()?;
        let detail = reader.client(&self.id)?;
        let credentials = rows::all(&self.id, |query| reader.credentials(query))?;
        let policy = source.load().map_err(|problems| Failure::config(&problems))?.policy;
        let mcp = policy.mcp.as_ref().ok_or_else(switched_off)?;
        let products: Vec<_> = detail.grants.iter().map(|row| &*row.product).collect();
        let told = self.url.as_deref().map(|url| endpoint::given(url, &mcp.path));
        let told = told.unwrap_or_else(|| endpoint::of_config(&policy, mcp, &products));
        let Endpoint { mut url, mut notes } = told?;
        self.narrow(&mut url, &policy)?;
        if let Some(product) = self.product.as_ref().filter(|of| !products.contains(&of.as_str())) {
            notes.push(format!(
                "'{product}' is not granted to it, so nothing is listed there. Grant it: onegate grant add --client \
                 {} --product {product}",
                self.id
            ));
        }
        notes.extend(of_client(&detail, &credentials));
        let connection = Connection { url: &url, client: &self.id };
        let wanted = |of: &McpClient| self.mcp_clients.is_empty() || self.mcp_clients.contains(of);
        let setups = McpClient::ALL.into_iter().filter(wanted);
        let setups: Vec<_> = setups.map(|of| (of, of.setup(&connection))).collect();
        match output.format {
            Format::Json => output.json(&as_json(&connection, &notes, &setups)),
            Format::Human => tell(&connection, &notes, &setups, output),
        }
    }
}

impl Connect {
    /// To what shall be listed there.
    fn narrow(&self, url: &mut String, policy: &Policy) -> Result<(), Failure> {
        if let Some(product) = &self.product {
            if !policy.products.iter().any(|known| known.name.as_str() == product) {
                let names = policy.products.iter().map(|known| known.name.as_str());
                let fix = match nearest(product, names) {
                    Some(near) => format!("Did you mean '{near}'?"),
                    None => "Name one of its [[product]]s.".to_owned(),
                };
                let problem = format!("the config has no product '{product}'");
                return Err(Failure::not_done(&problem, fix));
            }
            url.truncate(url.trim_end_matches('/').len());
            url.push('/');
            url.push_str(product);
        }
        if self.readonly {
            url.push_str("?readonly=true");
        }
        Ok(())
    }
}

fn switched_off() -> Failure {
    Failure::not_done(
        "the config has no MCP endpoint: it says [mcp] endpoint = \"off\"",
        "Take that line out and reload: onegate reload",
    )
}

/// Why the client's calls would be refused, or be of no use, and what to do about it.
fn of_client(detail: &wire::ClientDetail, credentials: &[wire::Credential]) -> Vec<String> {
    let wire::ClientDetail { client, grants, .. } = detail;
    let id = &client.id;
    let mut notes = Vec::new();
    let status = rows::client_status(client);
    match &*status {
        "revoked" => {
            return vec![format!(
                "'{id}' is revoked, for good: no key of it works. Make another: onegate client add"
            )];
        }
        "expired" => notes.push(format!(
            "'{id}' has expired. Give it more time: onegate client change {id} --expires DATE"
        )),
        "suspended" => notes
            .push(format!("'{id}' is suspended. Let it call again: onegate resume client {id}")),
        "quarantined" => notes.push(format!(
            "A part of the calls of '{id}' is taken from it for a while: onegate client show {id}"
        )),
        _ => {}
    }
    // What stops the client shows at its keys too, and is told already.
    let works = |row: &wire::Credential| {
        let own = rows::credential_status(row);
        own == "active" || own == status
    };
    if !credentials.iter().any(works) {
        notes.push(format!(
            "It has no key that works. This issues one and shows it once: onegate credential add \
             --client {id} --key"
        ));
    }
    if grants.is_empty() {
        notes.push(format!(
            "Nothing is granted to it, so it sees no tools. Grant a product: onegate grant add \
             --client {id} --product PRODUCT"
        ));
    }
    notes
}

type Setups = [(McpClient, Vec<Snippet>)];

fn as_json(to: &Connection<'_>, notes: &[String], setups: &Setups) -> Value {
    let snippet = |of: &Snippet| {
        json!({
            "about": of.about,
            "language": of.language.as_str(),
            "file": of.file,
            "text": of.text,
        })
    };
    let setups = setups.iter().map(|(of, snippets)| {
        (of.name().to_owned(), snippets.iter().map(snippet).collect::<Value>())
    });
    json!({
        "client": to.client,
        "url": to.url,
        "variable": VARIABLE,
        "set_variable": SET_VARIABLE,
        "notes": notes,
        "setups": setups.collect::<serde_json::Map<_, _>>(),
    })
}

fn tell(
    to: &Connection<'_>,
    notes: &[String],
    setups: &Setups,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    output.line(&format!("MCP clients call {} as '{}' with this set-up.", to.url, to.client))?;
    for note in notes {
        output.line(&format!("note: {note}"))?;
    }
    output.line(&format!(
        "\nNo key is in it: {VARIABLE} holds it. This line waits for the key (bash, zsh): paste it and press \
         Enter. Nothing shows it and no history has it. Then start the MCP client from the same shell.\n\n\
         {SET_VARIABLE}"
    ))?;
    for (of, snippets) in setups {
        let title = of.title();
        output.line(&format!("\n{title}\n{}", "-".repeat(title.len())))?;
        for Snippet { about, text, .. } in snippets {
            output.line(&format!("\n{about}\n\n{}", text.trim_end()))?;
        }
    }
    Ok(())
}
