//! JSON-RPC responses of the protocol's own methods. What is long, the entries of `tools/list`, was
//! rendered when the config was loaded and is only joined.

use bytes::Bytes;

use crate::model::mcp::Revision;
use crate::model::tool::{Catalogue, Tool};

use super::envelope::RpcId;

pub fn initialize(_id: &RpcId, _answered: Revision) -> String {
    String::new()
}

pub fn discover(_id: &RpcId) -> String {
    String::new()
}

pub fn ping(_id: &RpcId, _revision: Revision) -> String {
    String::new()
}

/// One page: what comes before the tools, the tools, what comes after them.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// `[…]`, the definitions, whole.
    pub tools: Bytes,
    /// The cursor of the next page.
    pub next: Option<Box<str>>,
}

/// Where a list goes on: the name after which, of this catalogue. None: the cursor is not of it.
pub fn after_cursor<'c>(_catalogue: &Catalogue, _cursor: &'c str) -> Option<&'c str> {
    None
}

/// Joins the definitions of tools that are in order of their names.
pub fn page<'t>(_catalogue: &Catalogue, _tools: impl Iterator<Item = &'t Tool>) -> Page {
    Page::default()
}

/// The response that lists a page.
pub fn list_tools(_id: &RpcId, _revision: Revision, _page: &Page) -> Bytes {
    Bytes::new()
}

/// The last word of a subscription.
pub fn listened(_id: &RpcId) -> String {
    String::new()
}

/// A refusal of the gate in answer to a method of the protocol, `problem` being its
/// `application/problem+json`: a JSON-RPC error whose code is `status`.
pub fn refused(_id: &RpcId, _status: u16, _problem: &[u8]) -> String {
    String::new()
}
