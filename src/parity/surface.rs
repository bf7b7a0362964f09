//! The ways to ask for one operation, and how each asks.

use crate::model::mcp::Revision;
use crate::model::record;

/// A way to ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    Rest,
    /// The operation's tool.
    Tool(Era),
    /// One of the tools that call another, which stand for all where there are many.
    Meta(Era),
}

/// How MCP is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Era {
    Modern,
    Legacy,
}

impl Era {
    pub const fn revision(self) -> &'static str {
        match self {
            Self::Modern => Revision::R2026_07_28.as_str(),
            Self::Legacy => Revision::R2025_11_25.as_str(),
        }
    }
}

impl Surface {
    /// Those that are held against REST.
    pub const COMPARED: [Self; 4] = [
        Self::Tool(Era::Modern),
        Self::Tool(Era::Legacy),
        Self::Meta(Era::Modern),
        Self::Meta(Era::Legacy),
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Tool(Era::Modern) => "mcp-2026-07-28",
            Self::Tool(Era::Legacy) => "mcp-2025-11-25",
            Self::Meta(Era::Modern) => "meta-2026-07-28",
            Self::Meta(Era::Legacy) => "meta-2025-11-25",
        }
    }

    /// As records and upstreams are told it.
    pub const fn recorded(self) -> &'static str {
        match self {
            Self::Rest => record::Surface::Rest.as_str(),
            Self::Tool(_) | Self::Meta(_) => record::Surface::Mcp.as_str(),
        }
    }
}
