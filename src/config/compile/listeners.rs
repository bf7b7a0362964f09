//! `[[listener]]`: where the gate listens, and what it speaks there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::super::names::Names;
use super::super::section::Section;
use super::super::source::Place;
use super::beside::Beside;
use super::certificates;
use super::files::Files;
use super::server::socket_address;
use crate::model::policy::{Listener, TlsSettings, TlsVersion};

/// Most listeners of one gate.
const LISTENERS_MAX: usize = 64;

pub(super) fn listeners(
    files: &mut Files<'_>,
    metrics: SocketAddr,
    beside: Beside<'_>,
) -> Box<[Listener]> {
    let mut names = files.names("listener");
    let mut addresses = Addresses { metrics, taken: BTreeMap::new() };
    let sections = files.tables("listener", LISTENERS_MAX);
    if sections.is_empty() && files.lack("listener") {
        let fix = "add [[listener]] with a name and an address";
        files.problems().error_in_main("there is no listener", fix);
    }
    let read = |section| listener(section, &mut names, &mut addresses, beside);
    sections.into_iter().filter_map(read).collect()
}

fn listener(
    mut section: Section<'_>,
    names: &mut Names,
    addresses: &mut Addresses,
    beside: Beside<'_>,
) -> Option<Listener> {
    let name = section.name("name");
    if let Some(name) = &name {
        names.declare(name.text.text, name.text.at, section.problems);
    }
    section.need("address", "address = \"0.0.0.0:8080\"");
    let text = section.text("address");
    let address = text.and_then(|text| socket_address(text, &section));
    if let (Some(address), Some(text)) = (address, text) {
        addresses.take(address, text.at, &section);
    }
    let is_tls = !section.lacks("tls");
    let http2 = section.flag("http2").unwrap_or(is_tls);
    let health_path = health_path(&mut section);
    let tls = tls(section.table("tls"), is_tls, beside);
    section.finish();
    // A listener that was to have TLS must not be made without.
    (tls.is_some() == is_tls).then_some(())?;
    Some(Listener { name: name?.name, address: address?, http2, health_path, tls })
}

/// A path as it stands in a request line, since that is what it is held against.
fn health_path(section: &mut Section<'_>) -> Option<Box<str>> {
    let text = section.text("health_path")?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\"".contains(&byte);
    if !text.text.starts_with('/') || text.text.len() > 256 || !text.text.bytes().all(is_plain) {
        let message = format!("\"{}\" is not a plain path", text.text);
        section.problems.error(text.at, message, "write \"/healthz\"");
    }
    Some(text.text.into())
}

fn tls(mut section: Section<'_>, is_there: bool, beside: Beside<'_>) -> Option<TlsSettings> {
    section.need("certificates", "certificates = [{ cert = \"tls.crt\", key = \"tls.key\" }]");
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let min_version = section.choice("min_version", &versions).unwrap_or(TlsVersion::Tls12);
    let certificates = certificates::certificates(&mut section, beside);
    section.finish();
    is_there.then_some(TlsSettings { min_version, certificates: certificates? })
}

/// Addresses that are bound already. Port 0 is a free port each time, so it is never taken.
struct Addresses {
    metrics: SocketAddr,
    taken: BTreeMap<SocketAddr, Place>,
}

impl Addresses {
    fn take(&mut self, address: SocketAddr, at: Place, section: &Section<'_>) {
        if address.port() == 0 {
            return;
        }
        let by = match self.taken.get(&address) {
            Some(first) => Some(format!("the listener at {}", section.problems.locate(*first))),
            None => (address == self.metrics).then(|| "[metrics]".to_owned()),
        };
        if let Some(by) = by {
            let message = format!("{address} is taken by {by}");
            section.problems.error(at, message, "choose another port");
        }
        self.taken.entry(address).or_insert(at);
    }
}
