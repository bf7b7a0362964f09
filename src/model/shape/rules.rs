//! Rules of an api on the form of a request and the address it comes from, whoever calls.
//! `request::policy` judges by them.

use std::net::IpAddr;

use http::HeaderName;
use ipnet::IpNet;

use super::glob::Glob;
use super::media::MediaRange;

#[derive(Debug, Default)]
pub struct Rules {
    pub addresses: Addresses,
    pub blocked_paths: Box<[Glob]>,
    pub required_headers: Box<[HeaderName]>,
    pub forbidden_headers: Box<[HeaderName]>,
    /// Of request bodies; empty: any.
    pub content_types: Box<[MediaRange]>,
}

/// Networks by which an address is judged.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Empty: all that are not denied.
    pub allow: Box<[IpNet]>,
    /// Stronger than `allow`.
    pub deny: Box<[IpNet]>,
}

impl Rules {
    /// None when nothing is ruled, so that a request without rules pays for none.
    pub fn boxed(self) -> Option<Box<Self>> {
        let Self { addresses, blocked_paths, required_headers, forbidden_headers, content_types } =
            &self;
        let idle = addresses.is_empty()
            && blocked_paths.is_empty()
            && required_headers.is_empty()
            && forbidden_headers.is_empty()
            && content_types.is_empty();
        (!idle).then(|| Box::new(self))
    }
}

impl Addresses {
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    pub fn admit(&self, ip: IpAddr) -> bool {
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&ip));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}
