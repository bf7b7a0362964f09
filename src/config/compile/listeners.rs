//! `[[listener]]`: where the gate listens.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::super::names::Names;
use super::super::section::Section;
use super::super::source::Place;
use super::files::Files;
use super::server::socket_address;
use crate::model::policy::Listener;

/// Most listeners of one gate.
const LISTENERS_MAX: usize = 64;

pub(super) fn listeners(files: &mut Files<'_>, metrics: SocketAddr) -> Box<[Listener]> {
    let mut names = files.names("listener");
    let mut addresses = Addresses { metrics, taken: BTreeMap::new() };
    let sections = files.tables("listener", LISTENERS_MAX);
    if sections.is_empty() && files.lack("listener") {
        let fix = "add [[listener]] with a name and an address";
        files.problems().error_in_main("there is no listener", fix);
    }
    let read = |section| listener(section, &mut names, &mut addresses);
    sections.into_iter().filter_map(read).collect()
}

fn listener(
    mut section: Section<'_>,
    names: &mut Names,
    addresses: &mut Addresses,
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
    section.finish();
    Some(Listener { name: name?.name, address: address? })
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
