//! What the requests of one connection nearly always have in common, worked out for the first of them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::HeaderValue;

use crate::model::id::shared;
use crate::request::head::parse_host;

use super::upstreams::LastPool;

/// Shared by the streams of a connection.
#[derive(Debug, Default)]
pub struct Habits {
    /// The caller's address as upstreams are told it.
    peer_value: OnceLock<HeaderValue>,
    /// The last host that was asked for.
    host: Mutex<Option<Host>>,
    /// Where the last request went.
    pub pool: LastPool,
}

/// A host that was asked for.
#[derive(Clone, Debug)]
pub struct Host {
    /// As it was written.
    pub value: HeaderValue,
    /// Lower-case, without a port.
    pub name: Arc<str>,
}

impl Habits {
    /// The caller's address as a field's value; the same for all requests of a connection.
    pub fn peer_value(&self, make: impl FnOnce() -> HeaderValue) -> &HeaderValue {
        self.peer_value.get_or_init(make)
    }

    /// The host that a field names; None when that is none.
    pub fn host(&self, raw: &[u8]) -> Option<Host> {
        let mut last = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref().filter(|known| *known.value.as_bytes() == *raw) {
            return Some(known.clone());
        }
        // A copy of the value: the one that came would keep the whole head in memory.
        let value = shared(HeaderValue::from_bytes(raw).ok()?);
        let host = Host { value, name: parse_host(raw)?.into() };
        *last = Some(host.clone());
        Some(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_is_what_was_asked_for() {
        let habits = Habits::default();
        for (raw, expected) in [
            ("api.example.com", Some("api.example.com")),
            ("api.example.com", Some("api.example.com")),
            ("API.example.com:80", Some("api.example.com")),
            ("other.example.com", Some("other.example.com")),
            ("no host", None),
            ("other.example.com", Some("other.example.com")),
        ] {
            let host = habits.host(raw.as_bytes());
            assert_eq!(host.as_ref().map(|host| &*host.name), expected, "{raw}");
            assert!(host.is_none_or(|host| host.value == raw));
        }
    }
}
