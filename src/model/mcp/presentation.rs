//! How the tools of a caller are shown to it: each by itself, or through four tools that find, describe and call
//! all of them. It decides what stands in a list, never what may be called: every name is taken under each of
//! these.

/// As config and inventory have it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Presentation {
    /// A tool for each operation.
    Direct,
    /// The tools of [`MetaTool`].
    Search,
    /// Direct as long as models choose well among so many.
    #[default]
    Auto,
}

/// What a list shows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Shown {
    Each,
    Search,
}

/// What counts as a token of a model's context: bytes of JSON, as most tokenisers have it for English and JSON, more
/// or less.
pub const TOKEN_BYTES: usize = 4;
/// Among more tools models choose worse, and Cursor may not show all.
pub const CHOSEN_WELL_MAX: usize = 40;
/// What a list that is shown directly may cost: a tenth of a context of 200,000.
const AUTO_TOKENS_MAX: usize = 20_000;

impl Presentation {
    pub const ALL: [Self; 3] = [Self::Direct, Self::Search, Self::Auto];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Search => "search",
            Self::Auto => "auto",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|presentation| presentation.as_str() == text)
    }

    /// What is shown of so many tools, whose definitions take so many bytes.
    pub const fn shown(self, tools: usize, bytes: usize) -> Shown {
        let is_small = tools <= CHOSEN_WELL_MAX && bytes.div_ceil(TOKEN_BYTES) <= AUTO_TOKENS_MAX;
        match (self, is_small) {
            (Self::Direct, _) | (Self::Auto, true) => Shown::Each,
            (Self::Search, _) | (Self::Auto, false) => Shown::Search,
        }
    }
}

/// A tool that stands for all others. Their names are no operation's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MetaTool {
    Search,
    Describe,
    /// Calls what only reads, so that people can let it pass unasked.
    CallRead,
    CallWrite,
}

impl MetaTool {
    pub const ALL: [Self; 4] = [Self::Search, Self::Describe, Self::CallRead, Self::CallWrite];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Search => "search_operations",
            Self::Describe => "describe_operation",
            Self::CallRead => "call_read_operation",
            Self::CallWrite => "call_write_operation",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_lists_are_searched() {
        let check = |presentation: Presentation, tools, bytes, expected| {
            let told = (presentation, tools, bytes);
            assert_eq!(presentation.shown(tools, bytes), expected, "{told:?}");
        };
        check(Presentation::Auto, 0, 0, Shown::Each);
        check(Presentation::Auto, 40, 80_000, Shown::Each);
        check(Presentation::Auto, 41, 4_100, Shown::Search);
        check(Presentation::Auto, 3, 80_001, Shown::Search);
        check(Presentation::Direct, 5_000, 80_000_000, Shown::Each);
        check(Presentation::Search, 1, 100, Shown::Search);
    }
}
