//! `[server]`, `[server.bounds]` and `[metrics]`: settings of the process. Every key
//! has a default, so these always have a value.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::super::section::{Section, Text};
use super::super::source::Place;
use super::super::unit::Bytes;
use crate::model::policy::{Bounds, MetricsSettings, Server};

/// What `[server]` says.
pub(super) struct ServerPart {
    pub(super) server: Server,
    pub(super) bounds: Bounds,
    /// None: no file sets it.
    pub(super) requests_max_at: Option<Place>,
    pub(super) trusted_proxies: Box<[IpNet]>,
}

pub(super) fn server(mut section: Section<'_>, folder: &Path) -> ServerPart {
    let server = Server {
        threads: section.integer("threads", 1..=1024),
        data_dir: data_dir(&mut section, folder),
        drain_delay: section
            .quantity("drain_delay", Duration::ZERO..=Duration::from_mins(5))
            .unwrap_or_default(),
        drain_deadline: section
            .quantity("drain_deadline", Duration::ZERO..=HOUR)
            .unwrap_or(Duration::from_secs(30)),
    };
    let trusted_proxies = section.texts("trusted_proxies", 0..=256).unwrap_or_default();
    let trusted_proxies = trusted_proxies.iter().filter_map(|text| network(*text, &section));
    let trusted_proxies = trusted_proxies.collect();
    let bounds_section = section.table("bounds");
    let requests_max_at = bounds_section.place("requests_max");
    let bounds = bounds(bounds_section);
    section.finish();
    ServerPart { server, bounds, requests_max_at, trusted_proxies }
}

pub(super) fn metrics(mut section: Section<'_>) -> MetricsSettings {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 9464));
    let address = section.text("address").and_then(|text| socket_address(text, &section));
    let settings = MetricsSettings {
        address: address.unwrap_or(default),
        clients_max: section.integer("clients_max", 0..=1_000_000).unwrap_or(1000),
    };
    section.finish();
    settings
}

/// An address to listen at: names are not looked up, so that it is the same on every start.
pub(super) fn socket_address(text: Text<'_>, section: &Section<'_>) -> Option<SocketAddr> {
    let address = text.text.parse().ok();
    if address.is_none() {
        let fix = match text.text.parse::<IpAddr>() {
            Ok(ip) => format!("add a port: \"{}\"", SocketAddr::from((ip, 8080))),
            Err(_) => "write \"0.0.0.0:8080\" or \"[::]:8080\"".to_owned(),
        };
        let message = format!("\"{}\" is not an IP address and port", text.text);
        section.problems.error(text.at, message, fix);
    }
    address
}

fn bounds(mut section: Section<'_>) -> Bounds {
    let size = |size: Bytes| usize::try_from(size.0).unwrap_or(usize::MAX);
    let bounds = Bounds {
        idle_timeout: section.quantity("idle_timeout", SECOND..=HOUR).unwrap_or(MINUTE),
        head_deadline: section
            .quantity("head_deadline", SECOND..=MINUTE)
            .unwrap_or(Duration::from_secs(10)),
        handshake_deadline: section
            .quantity("handshake_deadline", SECOND..=MINUTE)
            .unwrap_or(Duration::from_secs(10)),
        body_timeout: section
            .quantity("body_timeout", SECOND..=HOUR)
            .unwrap_or(Duration::from_secs(30)),
        body_rate_min: section
            .quantity("body_rate_min", Bytes(0)..=Bytes::mib(1))
            .unwrap_or(Bytes::kib(1))
            .0,
        body_rate_window: section.quantity("body_rate_window", SECOND..=HOUR).unwrap_or(MINUTE),
        head_bytes_max: section
            .quantity("head_bytes_max", Bytes::kib(1)..=Bytes::kib(256))
            .map_or(32 << 10, size),
        head_fields_max: section.integer("head_fields_max", 10..=200).unwrap_or(100),
        uri_bytes_max: section
            .quantity("uri_bytes_max", Bytes(256)..=Bytes::kib(64))
            .map_or(8 << 10, size),
        connections_max: section.integer("connections_max", 1..=1_000_000).unwrap_or(10_000),
        requests_max: section.integer("requests_max", 1..=1_000_000).unwrap_or(10_000),
        http2_streams_max: section.integer("http2_streams_max", 1..=1000).unwrap_or(100),
    };
    section.finish();
    bounds
}

/// Relative to the main file's folder, so that it does not depend on where the gate is started.
fn data_dir(section: &mut Section<'_>, folder: &Path) -> PathBuf {
    let Some(text) = section.text("data_dir") else { return PathBuf::from("/var/lib/onegate") };
    if text.text.is_empty() || text.text.contains('\0') {
        let fix = "write \"/var/lib/onegate\"";
        section.problems.error(text.at, "this is not a path of a folder", fix);
    }
    folder.join(text.text)
}

/// An IP address or a network in CIDR form.
pub(super) fn network(text: Text<'_>, section: &Section<'_>) -> Option<IpNet> {
    if let Ok(ip) = text.text.parse::<IpAddr>() {
        return Some(IpNet::from(ip));
    }
    match text.text.parse::<IpNet>() {
        Ok(network) if network.trunc() == network => Some(network),
        Ok(network) => {
            let message = format!("\"{}\" has bits set past its prefix", text.text);
            section.problems.error(text.at, message, format!("write \"{}\"", network.trunc()));
            None
        }
        Err(_) => {
            let message = format!("\"{}\" is not an IP address or network", text.text);
            section.problems.error(text.at, message, "write \"10.0.0.0/8\" or \"10.0.0.1\"");
            None
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
