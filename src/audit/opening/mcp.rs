//! What an opening has of a message to the MCP endpoint: everything but how a tool's call went, which only its
//! end says.

use crate::model::facts::{Fact, Writer};
use crate::model::record::McpDetail;

/// The texts of an [`McpDetail`]; absent ones are empty.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct McpTexts<'a> {
    pub agent: &'a str,
    pub protocol: &'a str,
    pub rpc_id: &'a str,
    pub tool: &'a str,
    pub via: &'a str,
    pub tool_digest: &'a str,
    pub args_digest: &'a str,
}

impl<'a> McpTexts<'a> {
    pub(super) const NOTHING: Self = Self {
        agent: "",
        protocol: "",
        rpc_id: "",
        tool: "",
        via: "",
        tool_digest: "",
        args_digest: "",
    };

    pub(super) fn of(detail: &'a McpDetail) -> Self {
        fn text(text: Option<&str>) -> &str {
            text.unwrap_or_default()
        }
        Self {
            agent: text(detail.agent.as_deref()),
            protocol: text(detail.protocol),
            rpc_id: text(detail.rpc_id.as_deref()),
            tool: text(detail.tool.as_deref()),
            via: text(detail.via),
            tool_digest: text(detail.tool_digest.as_deref()),
            args_digest: text(detail.args_digest.as_deref()),
        }
    }

    pub(super) fn push(&self, out: &mut Writer<'_>) {
        let texts = [
            (Fact::Agent, self.agent),
            (Fact::McpProtocol, self.protocol),
            (Fact::McpRpcId, self.rpc_id),
            (Fact::McpTool, self.tool),
            (Fact::McpVia, self.via),
            (Fact::McpToolDigest, self.tool_digest),
            (Fact::McpArgsDigest, self.args_digest),
        ];
        for (fact, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            out.push(fact, text.as_bytes());
        }
    }
}

/// Each text is bounded by whoever made it, so none of what follows has to give way.
pub fn push_mcp(out: &mut Writer<'_>, detail: &McpDetail) {
    McpTexts::of(detail).push(out);
}
