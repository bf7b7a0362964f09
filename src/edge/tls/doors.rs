//! The listeners as the connection layer sees them: what each speaks, and with which certificates.
//! Both may be replaced while connections come in; those that are open keep what they have.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::model::certificate::Certificate;
use crate::model::id::ListenerName;
use crate::model::policy::{Listener, TlsSettings};
use crate::model::time::UnixMicros;

use super::TlsError;
use super::acceptor::Acceptor;

/// Every listener, in the order in which they were bound.
#[derive(Debug)]
pub struct Doors(Box<[Door]>);

#[derive(Debug)]
struct Door {
    name: ListenerName,
    entry: ArcSwap<Entry>,
}

/// What is spoken at a door.
#[derive(Debug)]
pub struct Entry {
    pub http2: bool,
    pub health_path: Option<Box<str>>,
    pub tls: Option<Acceptor>,
    certificates: Box<[Arc<Certificate>]>,
}

impl Doors {
    pub fn open(listeners: &[Listener]) -> Result<Self, TlsError> {
        let door = |listener: &Listener| {
            let entry = ArcSwap::from_pointee(Entry::of(listener)?);
            Ok(Door { name: listener.name.clone(), entry })
        };
        Ok(Self(listeners.iter().map(door).collect::<Result<_, TlsError>>()?))
    }

    /// The door at a position.
    pub fn at(&self, position: usize) -> Option<Arc<Entry>> {
        Some(self.0.get(position)?.entry.load_full())
    }

    /// Replaces what is spoken at a listener. Without such a listener nothing is replaced.
    pub fn replace(&self, name: &ListenerName, entry: Entry) {
        if let Some(door) = self.0.iter().find(|door| door.name == *name) {
            door.entry.store(Arc::new(entry));
        }
    }

    /// The first name of each certificate in use, and when it ends.
    pub fn expiries(&self) -> Vec<(String, UnixMicros)> {
        let entries = self.0.iter().map(|door| door.entry.load());
        let of_entry = |entry: Guard<Arc<Entry>>| -> Vec<_> {
            entry.certificates.iter().map(|c| (c.name().to_owned(), c.not_after)).collect()
        };
        entries.flat_map(of_entry).collect()
    }
}

impl Entry {
    /// As the config says, with the certificates that were loaded with it.
    pub fn of(listener: &Listener) -> Result<Self, TlsError> {
        match &listener.tls {
            None => Ok(Self {
                http2: listener.http2,
                health_path: listener.health_path.clone(),
                tls: None,
                certificates: Box::default(),
            }),
            Some(tls) => {
                let certificates = tls.certificates.iter().map(|files| Arc::clone(&files.loaded));
                Self::secured(listener, tls, certificates.collect())
            }
        }
    }

    /// With other certificates than the config was loaded with.
    pub fn secured(
        listener: &Listener,
        tls: &TlsSettings,
        certificates: Box<[Arc<Certificate>]>,
    ) -> Result<Self, TlsError> {
        let acceptor = Acceptor::new(&certificates, tls.min_version, listener.http2)?;
        Ok(Self {
            http2: listener.http2,
            health_path: listener.health_path.clone(),
            tls: Some(acceptor),
            certificates,
        })
    }
}
