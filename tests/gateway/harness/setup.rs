//! The config of a test's gate. A test replaces the part that it is about; the rest is far from what
//! tests reach.

use std::net::SocketAddr;

use super::upstream::Upstream;

/// Parts of a config, each in TOML.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Keys of `[server]`.
    pub server: &'static str,
    /// Keys of `[server.bounds]`.
    pub bounds: &'static str,
    /// Keys of `[audit]`.
    pub audit: &'static str,
    /// Keys of `[metrics]` besides the address.
    pub metrics: &'static str,
    /// Keys of the listener besides its name and address.
    pub listener: String,
    /// The endpoints of the upstream `recorder`, with commas between.
    pub endpoints: String,
    /// Other keys of that upstream.
    pub upstream: &'static str,
    /// Apis and products.
    pub apis: String,
    pub plans: &'static str,
    /// Whatever else stands at the top.
    pub more: String,
}

impl Setup {
    /// A gate before an upstream that remembers.
    pub fn before(upstream: &Upstream) -> Self {
        Self::before_address(upstream.address)
    }

    pub fn before_address(endpoint: SocketAddr) -> Self {
        Self {
            server: "drain_deadline = \"2s\"",
            bounds: "",
            audit: "",
            metrics: "",
            listener: String::new(),
            endpoints: format!("\"{endpoint}\""),
            upstream: "",
            apis: LAB.to_owned(),
            plans: PLANS,
            more: String::new(),
        }
    }

    /// With keys of the upstream that are made in the test; what fails is not tried again.
    pub fn before_once(endpoints: &str, keys: &str) -> Self {
        // A setup holds texts of the program; this one lives as long.
        let upstream = Box::leak(format!("retries = 0\n{keys}").into_boxed_str());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let endpoints = format!("\"{endpoints}\"");
        Self { endpoints, upstream, ..Self::before_address(nowhere) }
    }

    pub fn to_toml(&self, listener: SocketAddr, metrics_at: SocketAddr, data_dir: &str) -> String {
        let Self { server, bounds, audit, metrics, endpoints, upstream, apis, plans, more, .. } =
            self;
        let keys = &self.listener;
        // Tests look at denials one by one.
        let all =
            if audit.contains("denials_per_source") { "" } else { "denials_per_source = 1000000" };
        format!(
            r#"
[server]
data_dir = "{data_dir}"
{server}
[server.bounds]
{bounds}
[audit]
{all}
{audit}
[metrics]
address = "{metrics_at}"
{metrics}
[[listener]]
name = "main"
address = "{listener}"
{keys}
[[upstream]]
name = "recorder"
endpoints = [{endpoints}]
{upstream}
{apis}
{plans}
{more}
"#
        )
    }
}

/// An api that needs grants, `/lab/BEHAVIOUR/N`, and one that needs nothing, `/open/BEHAVIOUR/N`.
pub const LAB: &str = r#"
[[api]]
name = "lab"
base_path = "/lab"
upstream = "recorder"
access = "granted"
body_bytes_max = "4KiB"

[[api.operation]]
id = "read"
methods = ["GET"]
path = "/{behaviour}/{n}"
scopes = ["lab:read"]

[[api.operation]]
id = "write"
methods = ["POST", "PUT"]
path = "/{behaviour}/{n}"
scopes = ["lab:read", "lab:write"]

[[api.operation]]
id = "erase"
methods = ["DELETE"]
path = "/{behaviour}/{n}"
scopes = ["lab:erase", "lab:write"]

[[api]]
name = "open"
base_path = "/open"
upstream = "recorder"
access = "public"
body_bytes_max = "256MiB"

[[api.operation]]
id = "any"
methods = ["*"]
path = "/{rest...}"

[[product]]
name = "lab"
operations = ["lab.read", "lab.write", "lab.erase"]
"#;

/// `wide` never refuses in a test; `five` admits five calls and then one a minute.
const PLANS: &str = r#"
[[plan]]
name = "wide"
rates = [{ limit = 100000, per = "1s" }]

[[plan]]
name = "five"
rates = [{ name = "per-minute", limit = 1, per = "1m", burst = 5 }]
"#;
