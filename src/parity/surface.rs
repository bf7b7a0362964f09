//! The ways to ask for one operation, and how each asks.

use crate::model::mcp::Revision;
use crate::model::record;

/// A way to ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    Rest,
    /// The operation's tool.
    Tool(Era),
    /// One of the tools that call another, which stand for all where there are many. Where the gate has them, they
    /// belong into [`Surface::COMPARED`].
    #[cfg_attr(not(test), expect(dead_code, reason = "the gate has no such tools yet"))]
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
    pub const COMPARED: &[Self] = &[Self::Tool(Era::Modern), Self::Tool(Era::Legacy)];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surfaces_have_names_of_their_own() {
        let eras = [Era::Modern, Era::Legacy];
        let of_era = eras.into_iter().flat_map(|era| [Surface::Tool(era), Surface::Meta(era)]);
        let all: Vec<_> = [Surface::Rest].into_iter().chain(of_era).collect();
        let mut names: Vec<_> = all.iter().map(|surface| surface.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        assert!(Surface::COMPARED.iter().all(|surface| surface.recorded() == "mcp"));
    }
}
