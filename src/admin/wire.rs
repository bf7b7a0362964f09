//! What the admin socket and `inventory apply` files say, as text has it: the serialised form of
//! the control plane. `parse` makes values of it, `show` makes it of values.

mod quarantine;

pub use quarantine::{EndQuarantine, NewQuarantine, Quarantine};

use std::fmt;

use serde::{Deserialize, Serialize};

/// `POST /v1/changes`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    AddClient(NewClient),
    ChangeClient(ClientChange),
    AddProfile(AddProfile),
    AddGrant(AddGrant),
    RemoveGrant(RemoveGrant),
    AddCredential(AddCredential),
    Revoke(Revoke),
    Suspend(Suspend),
    Resume(Resume),
    Quarantine(NewQuarantine),
    EndQuarantine(EndQuarantine),
    Apply(Apply),
}

/// Also the file of `inventory apply`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    #[serde(default)]
    pub client: Vec<NewClient>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NewClient {
    pub id: String,
    pub kind: String,
    pub owner: String,
    pub purpose: String,
    pub expires: Option<String>,
    #[serde(default)]
    pub no_expiry: bool,
    #[serde(default)]
    pub products: Vec<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
    pub plan: Option<String>,
    pub presentation: Option<String>,
    #[serde(default)]
    pub profile: Vec<NewProfile>,
    #[serde(default)]
    pub credential: Vec<NewCredential>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    pub name: String,
    #[serde(default)]
    pub products: Vec<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
    pub plan: Option<String>,
    pub presentation: Option<String>,
}

/// Either `issue = true`, or `id` and `secret_sha256` of a key that was made elsewhere.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    pub profile: Option<String>,
    pub holder: Option<String>,
    pub expires: Option<String>,
    #[serde(default)]
    pub issue: bool,
    pub environment: Option<String>,
    pub id: Option<String>,
    pub secret_sha256: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientChange {
    pub id: String,
    pub owner: Option<String>,
    pub purpose: Option<String>,
    pub expires: Option<String>,
    #[serde(default)]
    pub no_expiry: bool,
    pub profile: Option<String>,
    pub plan: Option<String>,
    #[serde(default)]
    pub no_plan: bool,
    /// `config` is as the config says.
    pub presentation: Option<String>,
    pub scopes: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AddProfile {
    pub client: String,
    pub profile: NewProfile,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AddGrant {
    pub client: String,
    pub profile: Option<String>,
    pub product: String,
    pub until: Option<String>,
    pub reason: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveGrant {
    pub client: String,
    pub profile: Option<String>,
    pub product: String,
    pub reason: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AddCredential {
    pub client: String,
    pub credential: NewCredential,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    pub target: Target,
    pub reason: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    pub target: Suspendable,
    /// As `expires` of a client; without it, until it is resumed.
    pub until: Option<String>,
    pub reason: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    pub target: Suspendable,
    pub reason: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspendable {
    Client(String),
    Credential(String),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Client(String),
    /// `CLIENT/PROFILE`.
    Profile(String),
    Credential(String),
}

/// The answer to a change that was made.
#[derive(Debug, Deserialize, Serialize)]
pub struct Made {
    pub revision: u64,
    pub outcome: Outcome,
    /// What did not go as it should, though the change is made.
    pub warning: Option<String>,
}

/// What `--json` prints of a change that has nothing else to tell.
#[derive(Debug, Serialize)]
pub struct Revision {
    pub revision: u64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    Issued(Vec<IssuedKey>),
    Stopped(Receipt),
    Limited(Receipt),
    Applied { added: usize, unchanged: usize, keys: Vec<IssuedKey> },
}

/// A new key, for the one time it is shown.
#[derive(Debug, Deserialize, Serialize)]
pub struct IssuedKey {
    pub client: String,
    pub profile: String,
    pub credential: String,
    pub key: ShownOnce,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Something to call with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A secret text that Debug does not show.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub struct ShownOnce(pub String);

impl fmt::Debug for ShownOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What a revocation or a suspension stopped, or a quarantine holds for.
#[derive(Debug, Deserialize, Serialize)]
pub struct Receipt {
    /// Those that could be used until then.
    pub credentials: Vec<String>,
    pub requests_ended: u64,
    /// Those of them whose answer had begun: event streams, WebSockets, downloads.
    pub streams_ended: u64,
    pub enforced_us: u64,
    /// What it called last, newest first.
    pub last_calls: Vec<LastCall>,
}

/// One of the last calls of what was stopped.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LastCall {
    pub time: String,
    /// None when it was refused before one was found.
    pub operation: Option<String>,
    pub status: Option<u16>,
    pub source: Option<String>,
}

/// Part of a list; `next` asks for the following part as `?after=`.
#[derive(Debug, Deserialize, Serialize)]
pub struct Page<Item> {
    pub rows: Vec<Item>,
    pub next: Option<String>,
}

/// A row of `GET /v1/clients`.
#[derive(Debug, Deserialize, Serialize)]
pub struct Client {
    pub id: String,
    pub kind: String,
    pub owner: String,
    pub purpose: String,
    pub status: String,
    pub expires: Option<String>,
    /// The end of its suspension, also one that has passed; or "until it is resumed".
    pub suspended_until: Option<String>,
    /// The end of its last quarantine, also one that has passed.
    pub quarantined_until: Option<String>,
    pub created: String,
    pub profiles: u32,
    pub grants: u32,
    /// Active ones.
    pub credentials: u32,
}

/// `GET /v1/clients/{id}`. Its credentials are a list of their own.
#[derive(Debug, Deserialize, Serialize)]
pub struct ClientDetail {
    pub client: Client,
    pub profiles: Vec<Profile>,
    pub grants: Vec<Grant>,
    pub quarantines: Vec<Quarantine>,
}

/// All of one client, as `client show --json` prints it.
#[derive(Debug, Serialize)]
pub struct ClientShown {
    #[serde(flatten)]
    pub detail: ClientDetail,
    pub credentials: Vec<Credential>,
    /// By profile; none where there is no MCP endpoint.
    pub tools: Option<Vec<ToolsSeen>>,
}

/// What the agents of a profile see over MCP.
#[derive(Debug, Serialize)]
pub struct ToolsSeen {
    pub profile: String,
    /// `direct`, `search` or `auto`: the profile's own, or else the config's.
    pub presentation: String,
    /// What it may call.
    pub operations: usize,
    /// What stands in its list.
    pub tools: usize,
    /// Of their definitions, a token counted as four bytes of JSON: models count differently, and not far from it.
    pub tokens: usize,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Profile {
    pub name: String,
    pub status: String,
    pub plan: Option<String>,
    /// None: as the config says.
    pub presentation: Option<String>,
    pub scopes: Vec<String>,
}

/// A row of `GET /v1/grants`.
#[derive(Debug, Deserialize, Serialize)]
pub struct Grant {
    pub client: String,
    pub profile: String,
    pub product: String,
    pub until: Option<String>,
    pub reason: Option<String>,
    pub actor: String,
    pub created: String,
}

/// A row of `GET /v1/credentials`.
#[derive(Debug, Deserialize, Serialize)]
pub struct Credential {
    pub id: String,
    pub client: String,
    pub profile: String,
    pub status: String,
    pub expires: Option<String>,
    /// The end of its suspension or its client's, as in a client's row.
    pub suspended_until: Option<String>,
    pub holder: Option<String>,
    pub created: String,
}

/// The query of a list.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    pub client: Option<String>,
    pub after: Option<String>,
}

/// `POST /v1/reload`, when the new config is in force.
#[derive(Debug, Deserialize, Serialize)]
pub struct Reloaded {
    pub message: String,
}

/// `POST /v1/audit/key`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    pub reason: String,
}

/// The public keys before and after, once the log is signed with the other.
#[derive(Debug, Deserialize, Serialize)]
pub struct KeyRotated {
    pub from: String,
    pub to: String,
}

/// `GET /v1/status`.
#[derive(Debug, Deserialize, Serialize)]
pub struct Status {
    pub version: String,
    /// Config digest and inventory revision, as in every record.
    pub policy: String,
    pub revision: u64,
    pub clients: usize,
    pub credentials: usize,
}

/// Every refusal (RFC 9457), with what to do about it.
#[derive(Debug, Deserialize, Serialize)]
pub struct Problem {
    pub title: String,
    pub status: u16,
    pub code: String,
    pub detail: String,
    pub fix: String,
}
