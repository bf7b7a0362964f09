//! The compiled config: what every request is judged and forwarded by. Made only by
//! `config::compile`; immutable.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ahash::AHashMap;
use ipnet::IpNet;

use super::api::{Api, HostIndex, Operation};
use super::certificate::CertificateFiles;
use super::id::{ListenerName, OperationId, PlanName, ProductName, UpstreamName};
use super::mcp::Mcp;
use super::plan::{AnonymousLimit, Plan};
use super::tool::Catalogue;
use super::upstream::Upstream;

/// One valid config, whole.
#[derive(Debug)]
pub struct Policy {
    /// The first 16 hex digits of the SHA-256 over all config files, in load order.
    pub digest: Box<str>,
    pub server: Server,
    pub listeners: Box<[Listener]>,
    pub bounds: Bounds,
    pub trusted_proxies: Box<[IpNet]>,
    pub audit: AuditSettings,
    pub checkpoints: Checkpoints,
    pub archive: ArchiveSettings,
    /// None: no access log.
    pub access_log: Option<AccessLogSettings>,
    pub metrics: MetricsSettings,
    pub hosts: HostIndex,
    /// In config order.
    pub apis: Box<[Arc<Api>]>,
    pub operations: AHashMap<OperationId, Arc<Operation>>,
    /// In config order.
    pub products: Box<[Product]>,
    pub plans: AHashMap<PlanName, Arc<Plan>>,
    /// None: strangers are not limited.
    pub anonymous: Option<Box<AnonymousLimit>>,
    /// None: there is no endpoint.
    pub mcp: Option<Mcp>,
    pub upstreams: AHashMap<UpstreamName, Arc<Upstream>>,
}

impl Policy {
    /// An operation of an api or of the gate itself, with its api.
    pub fn find(&self, id: &OperationId) -> Option<(&Arc<Api>, &Arc<Operation>)> {
        if let Some(operation) = self.operations.get(id) {
            let api = self.apis.iter().find(|api| api.name == operation.api.name)?;
            return Some((api, operation));
        }
        let mcp = self.mcp.as_ref()?;
        let own = mcp.operations().iter().find(|operation| operation.id == *id)?;
        Some((&mcp.api, own))
    }

    /// What agents are shown: nothing where there is no endpoint.
    pub fn catalogue(&self) -> &Catalogue {
        static NONE: LazyLock<Catalogue> = LazyLock::new(Catalogue::default);
        self.mcp.as_ref().map_or(&NONE, |mcp| &mcp.catalogue)
    }
}

/// A named set of operations: the unit that is granted.
#[derive(Debug)]
pub struct Product {
    pub name: ProductName,
    pub operations: Box<[OperationId]>,
}

/// What cannot change without a restart, besides the listeners.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// None: as many as the cgroup allows.
    pub threads: Option<usize>,
    pub data_dir: PathBuf,
    /// From SIGTERM, which takes readiness down, until the listeners close.
    pub drain_delay: Duration,
    /// How long live requests may go on after the listeners closed.
    pub drain_deadline: Duration,
}

#[derive(Clone, Debug)]
pub struct Listener {
    pub name: ListenerName,
    pub address: SocketAddr,
    /// Whether HTTP/2 is spoken beside HTTP/1.1: by ALPN, or without TLS by who begins with it.
    pub http2: bool,
    /// Where load balancers ask whether the gate takes requests; None: nowhere.
    pub health_path: Option<Box<str>>,
    pub tls: Option<TlsSettings>,
}

impl Listener {
    pub const fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// Where it is reached from its own machine.
    pub fn reachable(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        SocketAddr::new(ip, self.address.port())
    }
}

/// How a connection came in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scheme {
    #[default]
    Http,
    Https,
}

impl Scheme {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// TLS of one listener.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    pub min_version: TlsVersion,
    /// The first is for callers that name no host, or one that none of these has. Never empty.
    pub certificates: Box<[CertificateFiles]>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// The bounds on a connection and a request head; each is a key of `[server.bounds]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// A connection without a request is closed after this time.
    pub idle_timeout: Duration,
    /// From a head's first byte to its last.
    pub head_deadline: Duration,
    /// From a connection's first byte to the end of its TLS handshake.
    pub handshake_deadline: Duration,
    /// Between two pieces of the request body.
    pub body_timeout: Duration,
    /// Bytes in a second that a caller must send of its body, or read of its answer, while it is
    /// waited for; 0 when any will do.
    pub body_rate_min: u64,
    /// For how long a caller may stay behind that.
    pub body_rate_window: Duration,
    pub head_bytes_max: usize,
    pub head_fields_max: usize,
    pub uri_bytes_max: usize,
    pub connections_max: usize,
    pub requests_max: usize,
    /// Requests at once on one HTTP/2 connection.
    pub http2_streams_max: u32,
}

/// What becomes of files of the audit that nobody writes any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ArchiveSettings {
    /// How long they stay as they were written.
    pub seal_after: Duration,
    /// How old records must be to be deleted.
    pub retention: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuditSettings {
    /// Records that are promised or wait to be written; past it, `audit_unavailable`.
    pub queue_records_max: usize,
    /// How long a finished record may wait in memory.
    pub flush_interval: Duration,
    /// A file is closed and the next begun at this size.
    pub segment_bytes_max: u64,
    /// And at this age.
    pub segment_age_max: Duration,
    pub on_failure: OnFailure,
    /// Records a second that the denials of one source without a valid credential have of their own.
    pub denials_per_source: u32,
}

/// Where checkpoints go, besides the log itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoints {
    pub to: Box<[CheckpointTo]>,
    /// Those of each second go out not more often.
    pub every: Duration,
}

/// One destination.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckpointTo {
    /// A line of JSON.
    Stdout,
    /// The same, to this socket.
    Syslog(PathBuf),
    /// The note, on the standard input of this program.
    Command(PathBuf),
}

impl fmt::Display for CheckpointTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Syslog(socket) => write!(f, "syslog:{}", socket.display()),
            Self::Command(program) => write!(f, "command:{}", program.display()),
        }
    }
}

/// What becomes of calls while the disk refuses their records and the queue is full. Operations that write
/// ahead are refused whatever it says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFailure {
    /// They are served and counted, and a record tells how many there were.
    #[default]
    Gap,
    /// They are refused: `audit_unavailable`.
    Refuse,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessLogSettings {
    pub path: AccessLogPath,
    /// Lines that wait to be written; past it, they are dropped and counted.
    pub buffer_bytes_max: usize,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AccessLogPath {
    Stdout,
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MetricsSettings {
    pub address: SocketAddr,
    /// Clients with series of their own; the rest share `_other`.
    pub clients_max: usize,
}
