//! Which era a request is of, and its checks in that era's order. Where an error comes first, conformance
//! tests and clients that try the newer era first rely on it.

use crate::mcp::fault::{Fault, FaultKind};
use crate::mcp::json::plain_word;
use crate::mcp::json::read::Raw;
use crate::model::mcp::{MetaTool, Method, Revision};
use crate::model::tool::Catalogue;

use super::parts::{agent, check_capabilities, list, listen, traceparent};
use super::wire::Params;
use super::{Asked, Call, ID_BYTES_MAX, Message, Mirror, Mirrors, RpcId, ToolCall, mirror};

/// Longest part of a message that a fault repeats.
const ECHO_BYTES_MAX: usize = 128;

/// `MCP-Protocol-Version`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Version<'h> {
    Absent,
    Known(Revision),
    Unknown(&'h [u8]),
    Repeated,
}

impl<'h> Version<'h> {
    pub fn of(field: Mirror<'h>) -> Self {
        match field {
            Mirror::Absent => Self::Absent,
            Mirror::Repeated => Self::Repeated,
            Mirror::Once(value) => {
                let value = mirror::trimmed(value);
                let known = str::from_utf8(value).ok().and_then(Revision::parse);
                known.map_or(Self::Unknown(value), Self::Known)
            }
        }
    }

    /// Whose table holds until more is known. Who says nothing is from before there was a field.
    pub const fn nearest(self) -> Revision {
        match self {
            Self::Known(revision) => revision,
            Self::Absent => Revision::R2025_03_26,
            Self::Unknown(_) | Self::Repeated => Revision::R2026_07_28,
        }
    }

    const fn names_modern(self) -> bool {
        matches!(self, Self::Known(revision) if revision.is_modern())
    }
}

/// The newest revision that begins with `initialize`.
const LEGACY_LATEST: Revision = Revision::R2025_11_25;

const VERSION_TWICE: &str = "MCP-Protocol-Version is there more than once";

/// A request whose frame is right.
pub(super) struct Reader<'r, 'h> {
    pub id: RpcId,
    pub version: Version<'h>,
    pub mirrors: &'r Mirrors<'h>,
    pub catalogue: &'r Catalogue,
}

impl Reader<'_, '_> {
    pub fn request<'b>(self, method: &str, params: &Params<'b>) -> Result<Message<'b>, Fault> {
        let body = params.meta.as_ref().and_then(|meta| meta.protocol_version);
        let body_text = body.and_then(Raw::text);
        // A revision without `_meta` of its own named there makes a message no modern one.
        let old = body_text.as_deref().and_then(Revision::parse).filter(|body| !body.is_modern());
        let is_modern = body.is_some() && old.is_none();
        if is_modern || (method != "initialize" && self.version.names_modern()) {
            return self.modern(method, params, body_text.as_deref());
        }
        self.legacy(method, params, old)
    }

    fn legacy<'b>(
        self,
        method: &str,
        params: &Params<'b>,
        body: Option<Revision>,
    ) -> Result<Message<'b>, Fault> {
        if method == Method::Initialize.as_str() {
            let wish = params.protocol_version.and_then(Raw::text);
            let wish = wish.and_then(|wish| Revision::parse(&wish));
            let answered = wish.filter(|wish| !wish.is_modern()).unwrap_or(LEGACY_LATEST);
            let agent = params.client_info.and_then(agent);
            return Ok(self.message(answered, Call::Initialize(answered), agent, params));
        }
        let revision = match self.version {
            Version::Absent => body.unwrap_or(Revision::R2025_03_26),
            Version::Known(revision) => revision,
            Version::Unknown(requested) => {
                let requested = plain_word(&String::from_utf8_lossy(requested), ECHO_BYTES_MAX);
                let kind = FaultKind::UnsupportedRevision { requested: requested.into() };
                return Err(self.fault(Revision::R2026_07_28, kind));
            }
            Version::Repeated => {
                let kind = FaultKind::HeaderMismatch(VERSION_TWICE);
                return Err(self.fault(LEGACY_LATEST, kind));
            }
        };
        let call = if method == Method::Ping.as_str() {
            Ok(Call::Ping)
        } else if method == Method::ListTools.as_str() {
            list(params)
        } else if method == Method::CallTool.as_str() {
            self.tool(params)
        } else {
            Err(FaultKind::MethodNotFound)
        };
        match call {
            Ok(call) => Ok(self.message(revision, call, None, params)),
            Err(kind) => Err(self.fault(revision, kind)),
        }
    }

    fn modern<'b>(
        self,
        method: &str,
        params: &Params<'b>,
        body: Option<&str>,
    ) -> Result<Message<'b>, Fault> {
        let call = self
            .check_version(body)
            .and_then(|()| check_capabilities(params))
            .and_then(|()| self.check_mirrors(method, params))
            .and_then(|()| self.modern_call(method, params));
        match call {
            Ok(call) => {
                let agent = params.meta.as_ref().and_then(|meta| meta.client_info).and_then(agent);
                Ok(self.message(Revision::R2026_07_28, call, agent, params))
            }
            Err(kind) => Err(self.fault(Revision::R2026_07_28, kind)),
        }
    }

    /// Field and body name one revision, and it is one of ours that has `_meta`.
    fn check_version(&self, body: Option<&str>) -> Result<(), FaultKind> {
        let field = match self.mirrors.protocol_version {
            Mirror::Absent => {
                return Err(FaultKind::HeaderMismatch(
                    "MCP-Protocol-Version is missing; it must be the version in params._meta",
                ));
            }
            Mirror::Repeated => return Err(FaultKind::HeaderMismatch(VERSION_TWICE)),
            Mirror::Once(value) => mirror::trimmed(value),
        };
        let Some(body) = body else {
            return Err(FaultKind::Meta(
                "params._meta needs io.modelcontextprotocol/protocolVersion, a string",
            ));
        };
        if field != body.as_bytes() {
            return Err(FaultKind::HeaderMismatch(
                "MCP-Protocol-Version is not the version in params._meta",
            ));
        }
        if Revision::parse(body).is_none_or(|revision| !revision.is_modern()) {
            let requested = plain_word(body, ECHO_BYTES_MAX).into();
            return Err(FaultKind::UnsupportedRevision { requested });
        }
        Ok(())
    }

    fn check_mirrors(&self, method: &str, params: &Params<'_>) -> Result<(), FaultKind> {
        mirror::check_method(self.mirrors.method, method).map_err(FaultKind::HeaderMismatch)?;
        if method == Method::CallTool.as_str() {
            let name = params.name.and_then(Raw::text);
            mirror::check_name(self.mirrors.name, name.as_deref())
                .map_err(FaultKind::HeaderMismatch)?;
        }
        Ok(())
    }

    fn modern_call<'b>(&self, method: &str, params: &Params<'b>) -> Result<Call<'b>, FaultKind> {
        if method == Method::Discover.as_str() {
            Ok(Call::Discover)
        } else if method == Method::ListTools.as_str() {
            list(params)
        } else if method == Method::CallTool.as_str() {
            let call = self.tool(params)?;
            if let Call::CallTool(ToolCall { name, arguments, .. }) = &call
                && let Some(tool) = self.catalogue.get(name)
            {
                mirror::check_params(&self.mirrors.params, tool, *arguments)
                    .map_err(FaultKind::HeaderMismatch)?;
            }
            Ok(call)
        } else if method == Method::Listen.as_str() {
            listen(params)
        } else {
            Err(FaultKind::MethodNotFound)
        }
    }

    fn tool<'b>(&self, params: &Params<'b>) -> Result<Call<'b>, FaultKind> {
        let Some(name) = params.name.and_then(Raw::text) else {
            return Err(FaultKind::InvalidParams("params.name must be a string, the tool's name"));
        };
        let is_own = self.catalogue.get(&name).is_some();
        let meta = if is_own { None } else { MetaTool::of_name(&name) };
        if !is_own && meta.is_none() {
            return Err(FaultKind::UnknownTool(plain_word(&name, ECHO_BYTES_MAX).into()));
        }
        let arguments = params.arguments.filter(|arguments| !arguments.is_null());
        if !arguments.is_none_or(Raw::is_object) {
            return Err(FaultKind::InvalidParams("params.arguments must be an object"));
        }
        let token = params.meta.as_ref().and_then(|meta| meta.progress_token);
        let progress_token = token.filter(|token| !token.is_null());
        let is_token = |token: Raw<'_>| {
            token.get().len() <= ID_BYTES_MAX
                && token.get().starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
        };
        if !progress_token.is_none_or(is_token) {
            return Err(FaultKind::Meta("params._meta.progressToken must be a string or a number"));
        }
        let call = ToolCall { name, arguments, progress_token };
        Ok(match meta {
            Some(meta) => Call::CallMeta(meta, call),
            None => Call::CallTool(call),
        })
    }

    fn message<'b>(
        self,
        revision: Revision,
        call: Call<'b>,
        agent: Option<Box<str>>,
        params: &Params<'b>,
    ) -> Message<'b> {
        Message {
            revision,
            asked: Asked::Request { id: self.id, call },
            agent,
            traceparent: params
                .meta
                .as_ref()
                .and_then(|meta| meta.traceparent)
                .and_then(traceparent),
        }
    }

    fn fault(self, revision: Revision, kind: FaultKind) -> Fault {
        Fault { id: Some(self.id), revision, kind }
    }
}
