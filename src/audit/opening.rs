//! What is known of a request when its answer begins: all of its record but how it went on. It stands in
//! the journal until the record is written, and makes the lines of calls that are still open.
//!
//! Borrowed texts only, so that it costs the request path no more than a copy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::facts::{self, Fact, Writer};
use crate::model::id::{RequestId, Scope};
use crate::model::record::{Caller, Outcome, RequestRecord, Surface};
use crate::model::time::UnixMicros;

use super::json::Endpoint;

mod mcp;

pub use mcp::{McpTexts, push_mcp};

/// Absent texts are empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opening<'a> {
    pub id: RequestId,
    pub time: UnixMicros,
    pub surface: Surface,
    pub trace_id: [u8; 16],
    pub peer_ip: Option<IpAddr>,
    pub source_ip: Option<IpAddr>,
    /// 0 before there is an answer.
    pub status: u16,
    pub endpoint: Option<Endpoint<'a>>,
    pub method: &'a str,
    pub client: &'a str,
    pub profile: &'a str,
    pub credential: &'a str,
    pub holder: &'a str,
    pub api: &'a str,
    pub operation: &'a str,
    pub product: &'a str,
    /// The codes of what went wrong, if anything did.
    pub denial: &'a str,
    pub failure: &'a str,
    pub reason: &'a str,
    pub limit: &'a str,
    pub shadow_limit: &'a str,
    pub upstream: &'a str,
    pub policy: &'a str,
    pub parent_request_id: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    pub scopes: Scopes<'a>,
    pub mcp: McpTexts<'a>,
}

/// The scopes that the operation needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scopes<'a> {
    Listed(&'a [Scope]),
    /// Separated by spaces, which no scope has (RFC 6749, 3.3).
    Joined(&'a str),
}

impl<'a> Scopes<'a> {
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let (listed, joined) = match self {
            Self::Listed(scopes) => (scopes, ""),
            Self::Joined(text) => (&[][..], text),
        };
        let joined = joined.split(' ').filter(|scope| !scope.is_empty());
        listed.iter().map(Scope::as_str).chain(joined)
    }
}

impl<'a> Opening<'a> {
    /// Of a whole record.
    pub fn of(record: &'a RequestRecord) -> Self {
        let operation = record.operation.as_deref();
        let known = CallerTexts::of(&record.caller);
        let codes = Codes::of(record.outcome);
        Self {
            id: record.id,
            time: record.time,
            surface: record.surface,
            trace_id: record.trace_id,
            peer_ip: record.peer_ip,
            source_ip: record.source_ip,
            status: record.status,
            endpoint: record.endpoint.as_ref().map(Endpoint::of),
            method: record.method_text(),
            client: known.client,
            profile: known.profile,
            credential: known.credential,
            holder: known.holder,
            api: record.api.as_ref().map_or("", |api| api.as_str()),
            operation: operation.map_or("", |operation| operation.id.as_str()),
            product: record.product.as_ref().map_or("", |product| product.as_str()),
            denial: codes.denial,
            failure: codes.failure,
            reason: record.reason.as_ref().map_or("", |reason| reason.as_log_text()),
            limit: record.limit.as_ref().map_or("", |limit| limit.as_str()),
            shadow_limit: record.shadow_limit.as_ref().map_or("", |shadow| shadow.1.as_str()),
            upstream: record.upstream.as_ref().map_or("", |upstream| upstream.as_str()),
            policy: &record.policy,
            parent_request_id: record.parent_request_id.as_deref().unwrap_or_default(),
            host: &record.host,
            path: &record.path,
            scopes: Scopes::Listed(operation.map_or(&[], |operation| &operation.scopes)),
            mcp: record.mcp.as_deref().map(McpTexts::of).unwrap_or_default(),
        }
    }

    /// Writes what [`Opening::decode`] reads.
    pub fn encode(&self, out: &mut Writer<'_>) {
        begin(out, (self.id, self.time, self.trace_id), self.surface, self.status);
        push_addresses(out, self.peer_ip, self.source_ip);
        match self.endpoint {
            Some(Endpoint::Inet(address)) => push_endpoint(out, address),
            Some(Endpoint::Unix(path)) => out.push(Fact::EndpointUnix, path.as_bytes()),
            None => {}
        }
        self.mcp.push(out);
        let texts = [
            (Fact::Method, self.method),
            (Fact::Client, self.client),
            (Fact::Profile, self.profile),
            (Fact::Credential, self.credential),
            (Fact::Api, self.api),
            (Fact::Operation, self.operation),
            (Fact::Product, self.product),
            (Fact::Denial, self.denial),
            (Fact::Failure, self.failure),
            (Fact::Reason, self.reason),
            (Fact::Limit, self.limit),
            (Fact::ShadowLimit, self.shadow_limit),
            (Fact::Upstream, self.upstream),
            (Fact::Policy, self.policy),
            // What may be long comes last.
            (Fact::Scopes, &self.scopes.iter().collect::<Vec<_>>().join(" ")),
            (Fact::Holder, self.holder),
            (Fact::Host, self.host),
            (Fact::Path, self.path),
            (Fact::ParentRequestId, self.parent_request_id),
        ];
        for (fact, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            out.push(fact, text.as_bytes());
        }
    }

    /// Reads what [`Opening::encode`] wrote. Where its end is missing, so are its last facts. None when it
    /// is too short to say whose it is.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (trace_id, rest) = rest.split_first_chunk::<16>()?;
        let ([low, high, surface], rest) = rest.split_first_chunk::<3>()?;
        let mut opening = Self {
            id: RequestId::from_bytes(*id),
            time: UnixMicros(i64::from_le_bytes(*time)),
            trace_id: *trace_id,
            surface: Surface::ALL.into_iter().find(|known| *known as u8 == *surface)?,
            status: u16::from_le_bytes([*low, *high]),
            ..Self::NOTHING
        };
        facts::read(rest).for_each(|(fact, bytes)| opening.take(fact, bytes));
        Some(opening)
    }

    fn take(&mut self, fact: Fact, bytes: &'a [u8]) {
        let text = valid(bytes);
        match fact {
            Fact::Method => self.method = text,
            Fact::Host => self.host = text,
            Fact::Path => self.path = text,
            Fact::PeerIp => (self.peer_ip, self.source_ip) = (address(bytes), address(bytes)),
            Fact::SourceIp => self.source_ip = address(bytes),
            Fact::Client => self.client = text,
            Fact::Profile => self.profile = text,
            Fact::Credential => self.credential = text,
            Fact::Holder => self.holder = text,
            Fact::Api => self.api = text,
            Fact::Operation => self.operation = text,
            Fact::Scopes => self.scopes = Scopes::Joined(text),
            Fact::Product => self.product = text,
            Fact::Denial => self.denial = text,
            Fact::Failure => self.failure = text,
            Fact::Reason => self.reason = text,
            Fact::Limit => self.limit = text,
            Fact::ShadowLimit => self.shadow_limit = text,
            Fact::Upstream => self.upstream = text,
            Fact::EndpointInet => self.endpoint = endpoint(bytes).map(Endpoint::Inet),
            Fact::EndpointUnix => self.endpoint = Some(Endpoint::Unix(text)),
            Fact::Policy => self.policy = text,
            Fact::ParentRequestId => self.parent_request_id = text,
            Fact::Agent => self.mcp.agent = text,
            Fact::McpProtocol => self.mcp.protocol = text,
            Fact::McpRpcId => self.mcp.rpc_id = text,
            Fact::McpTool => self.mcp.tool = text,
            Fact::McpVia => self.mcp.via = text,
            Fact::McpToolDigest => self.mcp.tool_digest = text,
            Fact::McpArgsDigest => self.mcp.args_digest = text,
        }
    }

    const NOTHING: Self = Self {
        id: RequestId::from_bytes([0; 16]),
        time: UnixMicros(0),
        surface: Surface::Rest,
        trace_id: [0; 16],
        peer_ip: None,
        source_ip: None,
        status: 0,
        endpoint: None,
        method: "",
        client: "",
        profile: "",
        credential: "",
        holder: "",
        api: "",
        operation: "",
        product: "",
        denial: "",
        failure: "",
        reason: "",
        limit: "",
        shadow_limit: "",
        upstream: "",
        policy: "",
        parent_request_id: "",
        host: "",
        path: "",
        scopes: Scopes::Joined(""),
        mcp: McpTexts::NOTHING,
    };
}

/// The texts of a caller.
struct CallerTexts<'a> {
    client: &'a str,
    profile: &'a str,
    credential: &'a str,
    holder: &'a str,
}

impl<'a> CallerTexts<'a> {
    const NOBODY: Self = Self { client: "", profile: "", credential: "", holder: "" };

    fn of(caller: &'a Caller) -> Self {
        match caller {
            Caller::Anonymous { claimed: Some(id) } => {
                Self { credential: id.as_str(), ..Self::NOBODY }
            }
            Caller::Anonymous { claimed: None } => Self::NOBODY,
            Caller::Known(credential) => Self {
                client: credential.client.as_str(),
                profile: credential.profile.as_str(),
                credential: credential.id.as_str(),
                holder: credential.holder.as_deref().unwrap_or_default(),
            },
        }
    }
}

/// The codes of an outcome.
struct Codes {
    denial: &'static str,
    failure: &'static str,
}

impl Codes {
    const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Allowed => Self { denial: "", failure: "" },
            Outcome::Denied(denial) => Self { denial: denial.code(), failure: "" },
            Outcome::Failed(failure) => Self { denial: "", failure: failure.code() },
        }
    }
}

/// What every opening begins with. Facts follow.
pub fn begin(
    out: &mut Writer<'_>,
    (id, time, trace_id): (RequestId, UnixMicros, [u8; 16]),
    surface: Surface,
    status: u16,
) {
    let [low, high] = status.to_le_bytes();
    let mut head = [0; HEAD_BYTES];
    let (to_id, rest) = head.split_at_mut(16);
    let (to_time, rest) = rest.split_at_mut(8);
    let (to_trace_id, rest) = rest.split_at_mut(16);
    to_id.copy_from_slice(&id.to_bytes());
    to_time.copy_from_slice(&time.0.to_le_bytes());
    to_trace_id.copy_from_slice(&trace_id);
    rest.copy_from_slice(&[low, high, surface as u8]);
    out.push_raw(&head);
}

const HEAD_BYTES: usize = 16 + 8 + 16 + 3;

/// The other end of the connection, and the caller's address: mostly the same.
pub fn push_addresses(out: &mut Writer<'_>, peer_ip: Option<IpAddr>, source_ip: Option<IpAddr>) {
    push_address(out, Fact::PeerIp, peer_ip);
    if source_ip != peer_ip {
        match source_ip {
            Some(_) => push_address(out, Fact::SourceIp, source_ip),
            None => out.push(Fact::SourceIp, b""),
        }
    }
}

fn push_address(out: &mut Writer<'_>, fact: Fact, address: Option<IpAddr>) {
    match address {
        Some(IpAddr::V4(address)) => out.push(fact, &address.octets()),
        Some(IpAddr::V6(address)) => out.push(fact, &address.octets()),
        None => {}
    }
}

pub fn push_endpoint(out: &mut Writer<'_>, address: SocketAddr) {
    let [low, high] = address.port().to_le_bytes();
    match address.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            out.push(Fact::EndpointInet, &[a, b, c, d, low, high]);
        }
        IpAddr::V6(ip) => {
            out.push(Fact::EndpointInet, &[&ip.octets()[..], &[low, high]].concat());
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into());
    v4().or_else(|| Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()))
}

fn endpoint(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    Some(SocketAddr::new(address(ip)?, u16::from_le_bytes(*port)))
}

/// What can be read of a text that may have been cut within a character.
fn valid(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests;
