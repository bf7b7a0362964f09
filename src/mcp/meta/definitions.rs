//! The entries of `tools/list` of the tools that stand for all others, written for what a caller may call.

use std::collections::BTreeSet;

use crate::mcp::json::push_text;
use crate::model::api::Effect;
use crate::model::mcp::MetaTool;
use crate::model::tool::Tool;

/// Bytes of the names of apis that a description has.
const APIS_BYTES_MAX: usize = 600;

/// What a caller may call, as far as a description says it.
#[derive(Default)]
struct Reach<'t> {
    reads: usize,
    writes: usize,
    apis: BTreeSet<&'t str>,
}

/// `[…]`: the tools that are of use. Who may call nothing is shown nothing, and who may only read is not
/// shown what writes.
pub(super) fn list<'t>(visible: impl Iterator<Item = &'t Tool>) -> String {
    let mut reach = Reach::default();
    for tool in visible {
        match tool.effect() {
            Effect::Reads => reach.reads += 1,
            Effect::Writes => reach.writes += 1,
        }
        reach.apis.insert(tool.operation.api.name.as_str());
    }
    let mut out = String::from("[");
    for meta in MetaTool::ALL {
        let is_of_use = match meta {
            MetaTool::Search | MetaTool::Describe => reach.reads + reach.writes > 0,
            MetaTool::CallRead => reach.reads > 0,
            MetaTool::CallWrite => reach.writes > 0,
        };
        if is_of_use {
            out.push_str(if out.len() > 1 { "," } else { "" });
            push(&mut out, meta, &reach);
        }
    }
    out.push(']');
    out
}

fn push(out: &mut String, meta: MetaTool, reach: &Reach<'_>) {
    let title = title(meta);
    out.push_str(&format!(r#"{{"name":"{}","title":"{title}","description":"#, meta.name()));
    push_text(out, &description(meta, reach));
    out.push_str(&format!(r#","inputSchema":{},"annotations":{{"title":"{title}","#, input(meta)));
    out.push_str(match meta {
        MetaTool::Search | MetaTool::Describe | MetaTool::CallRead => READS,
        MetaTool::CallWrite => WRITES,
    });
    out.push('}');
}

const READS: &str =
    r#""readOnlyHint":true,"destructiveHint":false,"idempotentHint":true,"openWorldHint":false}"#;
/// The worst that an operation may be.
const WRITES: &str =
    r#""readOnlyHint":false,"destructiveHint":true,"idempotentHint":false,"openWorldHint":false}"#;

const fn title(meta: MetaTool) -> &'static str {
    match meta {
        MetaTool::Search => "Search operations",
        MetaTool::Describe => "Describe an operation",
        MetaTool::CallRead => "Call an operation that reads",
        MetaTool::CallWrite => "Call an operation that changes something",
    }
}

fn description(meta: MetaTool, reach: &Reach<'_>) -> String {
    match meta {
        MetaTool::Search => {
            let count = reach.reads + reach.writes;
            let apis = apis(&reach.apis);
            format!(
                "Finds operations by what they do, among the {count} that you may call, of {apis}. Say in a \
                 few words what shall be done with what, as \"cancel an order\". The answer has the best \
                 matches first, with their arguments and the tool that calls them. If none fits, ask again \
                 with other words."
            )
        }
        MetaTool::Describe => "Tells all of one operation that search_operations found: what it does, the \
                               JSON Schema of its arguments, and what it answers. Ask before you call one \
                               whose arguments you do not know."
            .into(),
        MetaTool::CallRead => "Calls an operation that reads and changes nothing, by the name that \
                               search_operations gives, with its arguments."
            .into(),
        MetaTool::CallWrite => "Calls an operation that may create, change or delete something, by the \
                                name that search_operations gives, with its arguments."
            .into(),
    }
}

/// `the apis a, b and 3 more`
fn apis(names: &BTreeSet<&str>) -> String {
    let mut text = String::from(if names.len() == 1 { "the API " } else { "the APIs " });
    for (at, name) in names.iter().enumerate() {
        if text.len() + name.len() > APIS_BYTES_MAX {
            text.push_str(&format!(" and {} more", names.len() - at));
            break;
        }
        text.push_str(if at == 0 { "" } else { ", " });
        text.push_str(name);
    }
    text
}

const fn input(meta: MetaTool) -> &'static str {
    match meta {
        MetaTool::Search => {
            r#"{"type":"object","properties":{"query":{"type":"string","description":"What shall be done, in a few English words.","minLength":1,"maxLength":1024},"limit":{"type":"integer","description":"The most matches; 5 without it.","minimum":1,"maximum":20}},"required":["query"],"additionalProperties":false}"#
        }
        MetaTool::Describe => {
            r#"{"type":"object","properties":{"name":{"type":"string","description":"The operation's name."}},"required":["name"],"additionalProperties":false}"#
        }
        MetaTool::CallRead | MetaTool::CallWrite => {
            r#"{"type":"object","properties":{"name":{"type":"string","description":"The operation's name."},"arguments":{"type":"object","description":"The operation's own arguments, by name.","additionalProperties":true}},"required":["name"],"additionalProperties":false}"#
        }
    }
}
