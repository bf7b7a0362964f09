//! How an upstream is spoken to: `protocol`, `[upstream.tls]`, `[upstream.http2]`, and endpoints
//! that are unix sockets. What a handshake would find wrong with names is found here.

use std::net::IpAddr;

use super::super::diagnostic::Problems;
use super::super::section::{Section, Text};
use super::super::source::Place;
use super::super::unit::Bytes;
use super::hosts::is_dns_name;
use super::trust::TrustFiles;
use crate::model::trust::{Certificates, Identity};
use crate::model::upstream::{Endpoint, Http2, Location, Protocol, Tls, Transport};

/// Longest path of a unix socket on Linux.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Which of the two is meant, before its bounds are read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Version {
    Http1,
    Http2,
}

/// Reads the keys of one `[[upstream]]`. `endpoints` are None when they could not be read.
pub(super) fn transport(
    section: &mut Section<'_>,
    endpoints: Option<&[Endpoint]>,
    certificates: &TrustFiles<'_>,
) -> Option<Transport> {
    let versions = [("http1", Version::Http1), ("http2", Version::Http2)];
    let version = section.choice("protocol", &versions).unwrap_or(Version::Http1);
    let http2_at = section.place("http2");
    let http2 = http2(section.table("http2"));
    if let Some(at) = http2_at.filter(|_| version == Version::Http1) {
        let message = "\"upstream.http2\" has no effect on an upstream that speaks HTTP/1.1";
        section.problems.error(at, message, "add protocol = \"http2\", or take the table out");
    }
    let protocol = match version {
        Version::Http1 => Protocol::Http1,
        Version::Http2 => Protocol::Http2(http2),
    };
    let is_plain = section.place("tls").is_none();
    let tls = tls(section.table("tls"), endpoints, certificates);
    let tls = if is_plain { None } else { Some(tls?) };
    Some(Transport { protocol, tls })
}

fn http2(mut section: Section<'_>) -> Http2 {
    let window = section.quantity("stream_window", Bytes::kib(64)..=Bytes::mib(16));
    let http2 = Http2 {
        streams_max: section.integer("streams_max", 1..=1000).unwrap_or(100),
        stream_window_bytes: window.and_then(|size| size.0.try_into().ok()).unwrap_or(256 << 10),
    };
    section.finish();
    http2
}

fn tls(
    mut section: Section<'_>,
    endpoints: Option<&[Endpoint]>,
    certificates: &TrustFiles<'_>,
) -> Option<Tls> {
    let given = section.text("sni");
    let sni = given.and_then(|text| server_name(text, &section));
    let roots = roots(&mut section, certificates);
    let identity = identity(&mut section, certificates);
    if section.place("sni").is_none() {
        need_names(&section, endpoints);
    }
    section.finish();
    Some(Tls { sni, roots: roots?, identity: identity.ok()? })
}

/// The name to ask for, without which nothing would be verified: a wrong one is no None.
fn server_name(text: Text<'_>, section: &Section<'_>) -> Option<Box<str>> {
    let name = text.text.to_ascii_lowercase();
    if is_dns_name(&name) {
        return Some(name.into());
    }
    let fix = "write a name of the upstream's certificate, such as \"payments.internal\"";
    let message = format!("\"{}\" is not a DNS name", text.text);
    section.problems.error(text.at, message, fix);
    None
}

/// Every endpoint must have a name that its certificate can be held against.
fn need_names(section: &Section<'_>, endpoints: Option<&[Endpoint]>) {
    let nameless = |endpoint: &&Endpoint| match &endpoint.location {
        Location::Host { name, .. } => name.parse::<IpAddr>().is_ok(),
        Location::Unix(_) => true,
    };
    if section.is_there()
        && let Some(endpoint) = endpoints.and_then(|list| list.iter().find(nameless))
    {
        let location = &endpoint.location;
        let message = format!(
            "TLS to {location} needs a name, or its certificate could not be verified against one"
        );
        let fix = "add sni = \"…\" with a name of the upstream's certificate";
        section.problems.error(section.at, message, fix);
    }
}

fn roots(section: &mut Section<'_>, files: &TrustFiles<'_>) -> Option<Certificates> {
    let ca = section.text("ca");
    if section.lacks("ca") {
        return files.system_roots(section.at, section.problems);
    }
    files.certificates(ca?, section.problems)
}

/// Who the gate is to the upstream; an error when that was said and cannot be had.
fn identity(section: &mut Section<'_>, files: &TrustFiles<'_>) -> Result<Option<Identity>, ()> {
    let (certificate, key) = (section.text("cert"), section.text("key"));
    let alone = match (section.place("cert"), section.place("key")) {
        (Some(at), None) => Some((at, "add key = \"…\" with the path of its private key")),
        (None, Some(at)) => Some((at, "add cert = \"…\" with the path of its certificate")),
        _ => None,
    };
    if let Some((at, fix)) = alone {
        section.problems.error(at, "a certificate and its key go together", fix);
        return Err(());
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            files.identity(certificate, key, section.problems).map(Some).ok_or(())
        }
        _ if section.place("cert").is_none() => Ok(None),
        _ => Err(()),
    }
}

/// The path after `unix:`.
pub(super) fn unix_socket(path: &str, at: Place, problems: &Problems<'_>) -> Option<Location> {
    let slashes = path.bytes().take_while(|byte| *byte == b'/').count();
    let (problem, fix) = match slashes {
        0 if path.is_empty() => ("has no path", "write \"unix:/run/app.sock\"".to_owned()),
        0 => ("is not an absolute path", format!("write \"unix:/run/{path}\"")),
        1 if path.contains('\0') => ("holds a zero byte", "take it out".to_owned()),
        1 if path.len() > SOCKET_PATH_BYTES_MAX => {
            ("is longer than 107 bytes", "move the socket to a shorter path".to_owned())
        }
        1 if path.len() > 1 => return Some(Location::Unix(path.into())),
        1 => ("is a folder", "write \"unix:/run/app.sock\"".to_owned()),
        _ => {
            let path = path.trim_start_matches('/');
            ("begins with more than one slash", format!("write \"unix:/{path}\""))
        }
    };
    problems.error(at, format!("\"unix:{path}\" {problem}"), fix);
    None
}
