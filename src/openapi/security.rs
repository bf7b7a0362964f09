//! What of a document authenticates: the scopes of an operation, and the parameters that are never a
//! model's to set.

use std::collections::BTreeSet;

use crate::model::id::Scope;

use super::node::{Content, Node};
use super::pointer;

/// Fields that frame, route or authenticate a request, in lower case with `-` for `_`.
const FIELDS: [&str; 52] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "access-token",
    "alt-used",
    "api-key",
    "authentication",
    "authorization",
    "baggage",
    "cf-connecting-ip",
    "client-ip",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "cookie2",
    "dpop",
    "expect",
    "fastly-client-ip",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "origin",
    "referer",
    "set-cookie",
    "signature",
    "signature-input",
    "te",
    "trailer",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "www-authenticate",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-client-ip",
    "x-csrf-token",
    "x-host",
    "x-http-method",
    "x-method-override",
    "x-real-ip",
    "x-request-id",
];
const FIELD_FAMILIES: [&str; 13] = [
    "access-control-",
    "mcp-",
    "proxy-",
    "sec-",
    "x-authenticated-",
    "x-authorization",
    "x-cluster-client-",
    "x-envoy-",
    "x-forwarded-",
    "x-http-method-",
    "x-onegate-",
    "x-original-",
    "x-rewrite-",
];
/// Of these, what each request has, or gets on its way.
const FILLED: [&str; 14] = [
    "accept",
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "forwarded",
    "host",
    "traceparent",
    "transfer-encoding",
    "via",
    "x-api-key",
    "x-request-id",
];
const FILLED_FAMILIES: [&str; 2] = ["x-forwarded-", "x-onegate-"];
/// RFC 6750, 2.3, and the parameters that some frameworks take for the method.
const QUERIES: [&str; 3] = ["access-token", "-method", "x-http-method-override"];

/// Names that no model may set.
#[derive(Debug, Default)]
pub struct Hidden {
    fields: BTreeSet<String>,
    queries: BTreeSet<String>,
}

impl Hidden {
    pub fn of(root: &Node) -> Self {
        let mut hidden = Self::default();
        let schemes = root.get("components").and_then(|parts| parts.get("securitySchemes"));
        for entry in schemes.and_then(Node::as_map).map_or(&[][..], |map| map.entries()) {
            let Ok(scheme) = pointer::follow(root, &entry.value) else { continue };
            let (Some("apiKey"), Some(name)) = (scheme.text("type"), scheme.text("name")) else {
                continue;
            };
            match scheme.text("in") {
                Some("header") => hidden.fields.insert(plain(name)),
                // A cookie is a field that is hidden anyway.
                Some("query") => hidden.queries.insert(plain(name)),
                _ => false,
            };
        }
        hidden
    }

    pub fn has_field(&self, name: &str) -> bool {
        let name = plain(name);
        FIELDS.contains(&name.as_str())
            || FIELD_FAMILIES.iter().any(|family| name.starts_with(family))
            || self.fields.contains(&name)
    }

    /// Whether somebody else fills a field that is hidden: the gate, or a credential.
    pub fn is_filled(&self, name: &str) -> bool {
        let name = plain(name);
        FILLED.contains(&name.as_str())
            || FILLED_FAMILIES.iter().any(|family| name.starts_with(family))
            || self.fields.contains(&name)
    }

    pub fn has_query(&self, name: &str) -> bool {
        let name = plain(name);
        QUERIES.contains(&name.as_str()) || self.queries.contains(&name)
    }
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// What requirements come to.
#[derive(Debug, Default)]
pub struct Needs {
    /// Every scope that any alternative names, in order and once.
    pub scopes: Vec<Box<str>>,
    /// Whether some alternative asks for fewer scopes than all of them together.
    pub differ: bool,
}

/// None when the requirements cannot be read: then nobody can say what the operation needs.
pub fn needs(requirements: &Node) -> Option<Needs> {
    let mut needs = Needs::default();
    let mut fewest = usize::MAX;
    for alternative in requirements.as_list()? {
        let mut own: Vec<&str> = Vec::new();
        for scheme in alternative.as_map()?.entries() {
            let Content::List(names) = &scheme.value.content else { return None };
            for name in names {
                let name = name.as_text().filter(|name| Scope::parse(name).is_some())?;
                if !own.contains(&name) {
                    own.push(name);
                }
            }
        }
        fewest = fewest.min(own.len());
        for name in own {
            if !needs.scopes.iter().any(|scope| **scope == *name) {
                needs.scopes.push(name.into());
            }
        }
    }
    needs.differ = fewest < needs.scopes.len();
    Some(needs)
}
