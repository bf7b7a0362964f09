//! The MCP endpoint as config describes it, and the words of its protocol that others need: revisions
//! and methods. Nothing here says who may call what.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::api::{
    Access, Api, ApiFacts, BasePath, CredentialLocation, Durability, Metering, Methods, Operation,
    PathIndex,
};
use super::id::{ApiName, OperationId};
use super::shape::Shape;
use super::shape::cors::{Cors, Credentials, Fields, Origins};
use super::template::Template;
use super::tool::Catalogue;

mod presentation;

pub use presentation::{CHOSEN_WELL_MAX, MetaTool, Presentation, Shown, TOKEN_BYTES};

/// The endpoint of one policy.
#[derive(Debug)]
pub struct Mcp {
    /// Where it is: `/mcp`. One segment below, the name of a product, lists that product only.
    pub path: Box<str>,
    /// Lower-case hosts under which it is; none: those of the apis.
    pub hosts: Box<[Box<str>]>,
    /// Origins of browsers that may call, as `Origin` has them, besides a loopback one to a loopback host.
    pub origins: Box<[Box<str>]>,
    /// The api `mcp`, which identifies and forwards nothing.
    pub api: Arc<Api>,
    operations: [Arc<Operation>; Method::ALL.len()],
    pub bounds: McpBounds,
    /// Of profiles that have none of their own.
    pub presentation: Presentation,
    pub catalogue: Catalogue,
}

/// Where the endpoint is, and for whom.
#[derive(Debug)]
pub struct Entrance {
    pub path: Box<str>,
    pub hosts: Box<[Box<str>]>,
    pub origins: Box<[Box<str>]>,
}

impl Mcp {
    pub fn new(
        entrance: Entrance,
        bounds: McpBounds,
        presentation: Presentation,
        catalogue: Catalogue,
    ) -> Self {
        let Entrance { path, hosts, origins } = entrance;
        let facts = ApiFacts { name: ApiName::of_gate(), access: Access::Identified };
        let facts = Arc::new(facts);
        let operations =
            Method::ALL.map(|method| Arc::new(operation(method, &facts, bounds.message_bytes_max)));
        let base_path = BasePath::new(&path);
        let api = Api {
            name: facts.name.clone(),
            access: facts.access,
            upstream: None,
            upstream_base_path: base_path.clone(),
            base_path,
            credential: [CredentialLocation::Authorization, CredentialLocation::XApiKey].into(),
            rules: None,
            shape: (!origins.is_empty()).then(|| Box::new(readable_by(&origins, &catalogue))),
            paths: PathIndex::default(),
        };
        Self {
            path,
            hosts,
            origins,
            api: Arc::new(api),
            operations,
            bounds,
            presentation,
            catalogue,
        }
    }

    /// What stands below the endpoint's path, where a path begins so: nothing, or one segment, which may name a
    /// product.
    pub fn below<'p>(&self, path: &'p str) -> Option<Option<&'p str>> {
        match path.strip_prefix(&*self.path)? {
            "" => Some(None),
            below => {
                let product = below.strip_prefix('/')?;
                (!product.is_empty() && !product.contains('/')).then_some(Some(product))
            }
        }
    }

    /// One for each method.
    pub fn operations(&self) -> &[Arc<Operation>] {
        &self.operations
    }

    /// The gate's own operation that stands for a method of the protocol.
    #[expect(clippy::indexing_slicing, reason = "there is one for each method")]
    pub fn operation(&self, method: Method) -> &Arc<Operation> {
        &self.operations[method as usize]
    }
}

/// What pages of these origins may send and read.
fn readable_by(origins: &[Box<str>], catalogue: &Catalogue) -> Shape {
    let params = catalogue.tools().iter().flat_map(|tool| &tool.arguments);
    let params: BTreeSet<String> = params
        .filter_map(|argument| argument.mirrored.as_ref())
        .map(|name| format!("mcp-param-{}", name.to_ascii_lowercase()))
        .collect();
    let names = SENT_BY_PAGES.into_iter().chain(params.iter().map(String::as_str));
    let headers: Box<[HeaderName]> =
        names.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect();
    let listed: Vec<&str> = headers.iter().map(HeaderName::as_str).collect();
    let fields = Fields {
        methods: HeaderValue::from_static("POST"),
        headers: HeaderValue::try_from(listed.join(", ")).unwrap_or(HeaderValue::from_static("")),
        expose: Some(HeaderValue::from_static(READ_BY_PAGES)),
        max_age: HeaderValue::from_static("600"),
    };
    let cors = Cors {
        origins: Origins::Listed(origins.into()),
        credentials: Credentials::Omitted,
        methods: ["POST".into()].into(),
        headers,
        fields,
    };
    Shape { cors: Some(cors), ..Shape::default() }
}

const SENT_BY_PAGES: [&str; 7] = [
    "authorization",
    "x-api-key",
    "content-type",
    "accept",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
];
const READ_BY_PAGES: &str =
    "x-request-id, ratelimit, ratelimit-policy, retry-after, www-authenticate";

fn operation(method: Method, api: &Arc<ApiFacts>, body_bytes_max: usize) -> Operation {
    Operation {
        id: OperationId::of_gate(method),
        api: Arc::clone(api),
        // Found by what a message says: neither by method nor by path.
        methods: Methods::Any,
        template: Template { segments: Box::default() },
        scopes: Box::default(),
        body_bytes_max: body_bytes_max as u64,
        durability: Durability::Standard,
        metering: Metering::RatesOnly,
        shape: None,
        products: Box::default(),
        facts: OnceLock::new(),
    }
}

/// Each is a key of `[mcp]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct McpBounds {
    /// Of one message.
    pub message_bytes_max: usize,
    /// Of a response that becomes a result; what is longer is cut, with a marker.
    pub result_bytes_max: usize,
    /// A call that takes longer is answered as a stream, where the caller takes one.
    pub stream_after: Duration,
    /// Between two signs of life on a stream.
    pub keep_alive: Duration,
    /// For how long events of an upstream that streams are collected.
    pub collect_for: Duration,
    /// Streams of `subscriptions/listen` at once, of one client.
    pub listeners_max: u32,
    /// How long one of them lasts.
    pub listen_for: Duration,
}

/// What a caller may ask of the endpoint. Each leaves records as the operation `mcp.<method>`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Method {
    Initialize = 0,
    Discover,
    Ping,
    ListTools,
    CallTool,
    Listen,
    /// Any notification: taken and not acted on.
    Notification,
    /// No message that the endpoint understands.
    Malformed,
}

impl Method {
    pub const ALL: [Self; 8] = [
        Self::Initialize,
        Self::Discover,
        Self::Ping,
        Self::ListTools,
        Self::CallTool,
        Self::Listen,
        Self::Notification,
        Self::Malformed,
    ];

    /// As the protocol has it; the last two are our words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Discover => "server/discover",
            Self::Ping => "ping",
            Self::ListTools => "tools/list",
            Self::CallTool => "tools/call",
            Self::Listen => "subscriptions/listen",
            Self::Notification => "notification",
            Self::Malformed => "malformed",
        }
    }
}

/// The revisions of the protocol that the endpoint speaks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Revision {
    R2025_03_26,
    R2025_06_18,
    R2025_11_25,
    R2026_07_28,
}

impl Revision {
    /// The newest first.
    pub const ALL: [Self; 4] =
        [Self::R2026_07_28, Self::R2025_11_25, Self::R2025_06_18, Self::R2025_03_26];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::R2025_03_26 => "2025-03-26",
            Self::R2025_06_18 => "2025-06-18",
            Self::R2025_11_25 => "2025-11-25",
            Self::R2026_07_28 => "2026-07-28",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// Whether each request stands for itself, without a handshake.
    pub const fn is_modern(self) -> bool {
        matches!(self, Self::R2026_07_28)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_segment_below_may_be_a_product() {
        let entrance = Entrance { path: "/a/mcp".into(), hosts: [].into(), origins: [].into() };
        let bounds = McpBounds {
            message_bytes_max: 1,
            result_bytes_max: 1,
            stream_after: Duration::ZERO,
            keep_alive: Duration::ZERO,
            collect_for: Duration::ZERO,
            listeners_max: 1,
            listen_for: Duration::ZERO,
        };
        let mcp = Mcp::new(entrance, bounds, Presentation::Auto, Catalogue::default());
        let check = |path: &str, expected: Option<Option<&str>>| {
            assert_eq!(mcp.below(path), expected, "{path}");
        };
        check("/a/mcp", Some(None));
        check("/a/mcp/payments", Some(Some("payments")));
        check("/a/mcp/", None);
        check("/a/mcp/payments/", None);
        check("/a/mcp/payments/1", None);
        check("/a/mcps", None);
        check("/a", None);
        check("/", None);
    }
}
