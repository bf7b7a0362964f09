//! Published operations, and the index that finds one by host, path and method.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ahash::AHashMap;

use super::facts::{Fact, Facts};
use super::id::{ApiName, OperationId, ProductName, Scope, UpstreamName};
use super::shape::rules::Rules;
use super::shape::{OperationShape, Shape};
use super::template::Template;

/// Operations behind one upstream, under hosts and a base path.
#[derive(Debug)]
pub struct Api {
    pub name: ApiName,
    pub access: Access,
    /// None where every operation is answered by the gate itself.
    pub upstream: Option<UpstreamName>,
    /// `/` or `/a/b`: no slash at the end but for the root.
    pub base_path: BasePath,
    /// What stands in place of the base path towards the upstream; the base path itself when kept.
    pub upstream_base_path: BasePath,
    /// Where a gate credential may sit, in the order they are tried.
    pub credential: Box<[CredentialLocation]>,
    pub rules: Option<Box<Rules>>,
    pub shape: Option<Box<Shape>>,
    /// Operations by path, below the base path.
    pub paths: PathIndex,
}

/// Whether a call needs a grant. There is no default: absent is a load error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    Granted,
    Public,
    /// Any client of the inventory, without a grant: the gate's own operations.
    Identified,
}

/// A header that may carry a gate credential.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CredentialLocation {
    /// `Authorization: Bearer KEY`.
    Authorization,
    /// `X-API-Key: KEY`.
    XApiKey,
}

/// A canonical path prefix that ends at a segment's end. `/` is stored as the empty text.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct BasePath(Box<str>);

impl BasePath {
    /// Takes a canonical path; `/a/` and `/a` are one.
    pub fn new(path: &str) -> Self {
        Self(path.trim_end_matches('/').into())
    }

    /// The path below this base, `""` or starting with `/`. Whole segments only: `/api` does not
    /// hold `/apis`.
    pub fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&*self.0)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// Without a slash at the end; the root is empty.
    pub fn as_prefix(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

/// One published thing to do. It knows no surface: REST calls it, MCP lists it as a tool.
#[derive(Debug)]
pub struct Operation {
    pub id: OperationId,
    pub api: Arc<ApiFacts>,
    pub methods: Methods,
    pub template: Template,
    pub scopes: Box<[Scope]>,
    pub body_bytes_max: u64,
    pub durability: Durability,
    pub metering: Metering,
    pub shape: Option<Box<OperationShape>>,
    /// The products that contain it, in config order: the first that is granted is the record's.
    pub products: Box<[ProductName]>,
    /// Made when it is first called.
    pub facts: OnceLock<Facts>,
}

impl Operation {
    /// Api, id and scopes, as records have them.
    pub fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| {
            let scopes: Vec<&str> = self.scopes.iter().map(Scope::as_str).collect();
            Facts::of(&[
                (Fact::Api, self.api.name.as_str()),
                (Fact::Operation, self.id.as_str()),
                (Fact::Scopes, &scopes.join(" ")),
            ])
        })
    }
}

/// What of a call's record must be where before the call goes on: the operation's `audit`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// In memory that outlasts the gate, before the answer begins.
    #[default]
    Standard,
    /// On the medium, before the upstream is called.
    WriteAhead,
}

/// Which limits of a plan a call is charged to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Metering {
    #[default]
    All,
    /// Its rates: it uses up no quota and takes no place among the calls at once.
    RatesOnly,
}

/// What an operation needs of its api without owning it.
#[derive(Debug)]
pub struct ApiFacts {
    pub name: ApiName,
    pub access: Access,
}

/// The methods of an operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Methods {
    /// `["*"]`: every method but CONNECT and TRACE.
    Any,
    /// Upper-case tokens; GET serves HEAD too.
    Listed(Box<[Box<str>]>),
}

impl Methods {
    pub fn contain(&self, method: &str) -> bool {
        match self {
            Self::Any => method != "CONNECT" && method != "TRACE",
            Self::Listed(methods) => {
                let list = |wanted: &str| methods.iter().any(|m| &**m == wanted);
                list(method) || (method == "HEAD" && list("GET"))
            }
        }
    }

    /// Whether they name the method itself.
    pub fn list(&self, method: &str) -> bool {
        match self {
            Self::Any => false,
            Self::Listed(methods) => methods.iter().any(|m| &**m == method),
        }
    }

    /// Whether nobody could say which of both serves some method. HEAD beside GET is HEAD's.
    pub fn overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Listed(mine), Self::Listed(_)) => mine.iter().any(|m| other.list(m)),
        }
    }
}

/// Operations of one api by path. Built by config, asked by classify.
#[derive(Debug, Default)]
pub struct PathIndex {
    /// Path below the base to a position in `entries`. Literal beats parameter beats tail, segment
    /// by segment from the left.
    pub router: matchit::Router<usize>,
    /// Operations whose templates have one shape; their methods do not overlap.
    pub entries: Vec<PathEntry>,
}

#[derive(Debug)]
pub struct PathEntry {
    pub operations: Vec<Arc<Operation>>,
    /// Methods that nothing serves here but an operation that names them: a document has an operation for
    /// them that cannot be used, and no other's scopes are its.
    pub withheld: Methods,
    /// `Allow` of the path: every method of its operations, HEAD with GET.
    pub allow: Box<str>,
}

/// What serves a method at a path.
#[derive(Debug)]
pub enum Service<'e> {
    Operation(&'e Arc<Operation>),
    Withheld,
    Nothing,
}

impl PathEntry {
    /// Who names the method comes first, then what is withheld, then who serves it among others.
    pub fn service(&self, method: &str) -> Service<'_> {
        let find = |serves: &dyn Fn(&Methods) -> bool| {
            self.operations.iter().find(|operation| serves(&operation.methods))
        };
        if let Some(operation) = find(&|methods| methods.list(method)) {
            return Service::Operation(operation);
        }
        if self.withheld.contain(method) || self.operations.is_empty() {
            return Service::Withheld;
        }
        find(&|methods| methods.contain(method)).map_or(Service::Nothing, Service::Operation)
    }
}

/// Apis by host. Built by config, asked by classify.
#[derive(Debug, Default)]
pub struct HostIndex {
    /// `api.example.com`, lower-case, no port.
    pub exact: AHashMap<Box<str>, Vec<Arc<Api>>>,
    /// The part after `*` of `*.example.com`, with its dot: one or more labels before it. Longest
    /// first.
    pub wildcard: Vec<(Box<str>, Vec<Arc<Api>>)>,
    /// Apis without hosts, served under any.
    pub any: Vec<Arc<Api>>,
}

/// Whether a call only reads, as far as its method says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    Reads,
    Writes,
}

impl Effect {
    /// Of a method of HTTP. TRACE is safe too, and no read of anything.
    pub fn of(method: &str) -> Self {
        match method {
            "GET" | "HEAD" | "OPTIONS" | "QUERY" => Self::Reads,
            _ => Self::Writes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_overlap_where_both_serve_one() {
        let listed =
            |methods: &[&str]| Methods::Listed(methods.iter().map(|m| (*m).into()).collect());
        let check = |a: &[&str], b: &[&str], expected: bool| {
            assert_eq!(listed(a).overlap(&listed(b)), expected, "{a:?} {b:?}");
            assert_eq!(listed(b).overlap(&listed(a)), expected, "{b:?} {a:?}");
            assert!(listed(a).overlap(&Methods::Any));
        };
        check(&["GET"], &["POST"], false);
        check(&["GET", "PUT"], &["PUT"], true);
        check(&["GET"], &["HEAD"], false);
    }

    #[test]
    fn a_base_path_holds_whole_segments() {
        let check = |base: &str, path: &str, expected: Option<&str>| {
            assert_eq!(BasePath::new(base).strip(path), expected, "{base} {path}");
        };
        check("/", "/a", Some("/a"));
        check("/", "/", Some("/"));
        check("/api", "/api", Some(""));
        check("/api", "/api/", Some("/"));
        check("/api/", "/api/x", Some("/x"));
        check("/api", "/apis", None);
        check("/api", "/", None);
    }
}
