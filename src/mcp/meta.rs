//! The tools that stand for all others: their definitions, what their arguments say, and the answers of those
//! that the gate answers itself. A call through them is the call of the tool that it names: nothing here decides.

use std::borrow::Cow;

use bytes::Bytes;

use crate::mcp::json::plain_word;
use crate::mcp::json::read::Raw;
use crate::model::api::Effect;
use crate::model::mcp::MetaTool;
use crate::model::tool::{Need, Tool};

use super::arguments::BadArguments;
use super::json::{first_bytes, push_text};
use super::reply::Page;

mod definitions;
#[cfg(test)]
mod tests;

/// Matches in an answer, and the most that can be asked for.
const MATCHES: usize = 5;
const MATCHES_MAX: usize = 20;
/// Longest question that is taken, in bytes; of a longer one the rest would not be read.
const QUERY_BYTES_MAX: usize = 1024;
/// Longest name of a tool that is repeated.
const ECHO_BYTES_MAX: usize = 64;
/// What a match says of its operation, in bytes: describe_operation says it all.
const GIST_BYTES_MAX: usize = 200;
/// Most names of arguments of a match, of each kind.
const NAMES_MAX: usize = 12;

/// The list of those tools, for a caller who may call `visible`.
pub fn page<'t>(visible: impl Iterator<Item = &'t Tool>) -> Page {
    Page { tools: Bytes::from(definitions::list(visible)), next: None }
}

/// How many tools that list has, and how many bytes their definitions take.
pub fn size<'t>(visible: impl Iterator<Item = &'t Tool>) -> (usize, usize) {
    let list = definitions::list(visible);
    let items = Raw::parse(&list).and_then(Raw::items).unwrap_or_default();
    (items.len(), items.iter().map(|item| item.get().len()).sum())
}

/// What a search asks for.
#[derive(Debug, Eq, PartialEq)]
pub struct Search<'b> {
    pub query: Cow<'b, str>,
    pub most: usize,
}

/// The operation that is meant, by the name of its tool, and its arguments.
#[derive(Debug)]
pub struct Inner<'b> {
    pub name: Cow<'b, str>,
    /// A JSON object.
    pub arguments: Option<Raw<'b>>,
}

impl<'b> Search<'b> {
    pub fn read(arguments: Option<Raw<'b>>) -> Result<Self, BadArguments> {
        let [query, limit] = members(arguments, ["query", "limit"])?;
        let query = text("query", query)?;
        if query.trim().is_empty() || query.len() > QUERY_BYTES_MAX {
            return Err(bad(format!("`query` has 1 to {QUERY_BYTES_MAX} bytes.")));
        }
        let most = limit.map_or(Ok(MATCHES), |limit| {
            let number = limit.get().parse().ok();
            number
                .filter(|number| (1..=MATCHES_MAX).contains(number))
                .ok_or_else(|| bad(format!("`limit` is a whole number from 1 to {MATCHES_MAX}.")))
        });
        Ok(Self { query, most: most? })
    }
}

impl<'b> Inner<'b> {
    /// Of a call.
    pub fn read(arguments: Option<Raw<'b>>) -> Result<Self, BadArguments> {
        let [name, inner] = members(arguments, ["name", "arguments"])?;
        if inner.is_some_and(|inner| !inner.is_object()) {
            return Err(bad("`arguments` is an object, the arguments of the operation."));
        }
        Ok(Self { name: text("name", name)?, arguments: inner })
    }
}

/// The name of the operation that shall be described.
pub fn name_of(arguments: Option<Raw<'_>>) -> Result<Cow<'_, str>, BadArguments> {
    let [name] = members(arguments, ["name"])?;
    text("name", name)
}

/// The values of those members, null being none; no other may be there, and none twice.
fn members<'b, const COUNT: usize>(
    arguments: Option<Raw<'b>>,
    names: [&str; COUNT],
) -> Result<[Option<Raw<'b>>; COUNT], BadArguments> {
    let mut found = [None; COUNT];
    let Some(arguments) = arguments else { return Ok(found) };
    let mut problem = None;
    let read = arguments.each_member(|key, value| {
        if problem.is_some() {
            return;
        }
        let at = names.iter().position(|name| *name == key);
        let Some(slot) = at.and_then(|at| found.get_mut(at)) else {
            let key = plain_word(&key, ECHO_BYTES_MAX);
            let listed = names.map(|name| format!("`{name}`")).join(" and ");
            problem = Some(format!("There is no argument `{key}`; there is {listed}."));
            return;
        };
        if slot.replace(value).is_some() {
            problem = Some(format!("`{key}` is there more than once."));
        }
    });
    match (read, problem) {
        (Some(()), None) => Ok(found.map(|value| value.filter(|value| !value.is_null()))),
        (_, Some(problem)) => Err(bad(problem)),
        (None, None) => Err(bad("The arguments cannot be read.")),
    }
}

fn text<'b>(name: &str, value: Option<Raw<'b>>) -> Result<Cow<'b, str>, BadArguments> {
    let value = value.ok_or_else(|| bad(format!("The argument `{name}` is missing.")))?;
    value.text().ok_or_else(|| bad(format!("`{name}` is a text.")))
}

fn bad(text: impl Into<String>) -> BadArguments {
    BadArguments(text.into())
}

/// The tool that calls an operation.
fn caller_of(tool: &Tool) -> MetaTool {
    match tool.effect() {
        Effect::Reads => MetaTool::CallRead,
        Effect::Writes => MetaTool::CallWrite,
    }
}

/// Whether `meta` may stand for a tool: what people let pass unasked must not change anything.
pub fn stands_for(meta: MetaTool, tool: &Tool) -> Result<(), BadArguments> {
    if meta != MetaTool::CallRead || tool.effect() == Effect::Reads {
        return Ok(());
    }
    let (name, other) = (&tool.name, MetaTool::CallWrite.name());
    Err(bad(format!("`{name}` may change something: call it with {other}.")))
}

/// To a name that is no operation's, or of one that the caller may not call: both look alike. `near` are names that
/// it may call.
pub fn unknown(name: &str, near: &[&Tool]) -> BadArguments {
    let shown = plain_word(name, ECHO_BYTES_MAX);
    let advice = match near {
        [] => format!("Find names with {}.", MetaTool::Search.name()),
        near => {
            let names: Vec<&str> = near.iter().map(|tool| &*tool.name).collect();
            format!(
                "Near to it: {}. Find others with {}.",
                names.join(", "),
                MetaTool::Search.name()
            )
        }
    };
    bad(format!("There is no operation `{shown}` that you may call. {advice}"))
}

/// The answer to a search: the best first.
pub fn found(tools: &[&Tool]) -> String {
    let mut out = String::from(r#"{"operations":["#);
    for (at, tool) in tools.iter().enumerate() {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        push_match(&mut out, tool);
    }
    if tools.is_empty() {
        out.push_str(r#"],"hint":"Nothing that you may call has these words. Say it with others, or with fewer."}"#);
    } else {
        out.push_str("\n]}");
    }
    out
}

fn push_match(out: &mut String, tool: &Tool) {
    out.push('{');
    let mut member = |key: &str, text: &str| {
        out.push_str(&format!("\"{key}\":"));
        push_text(out, text);
        out.push(',');
    };
    member("name", &tool.name);
    let title = tool.words.title.as_deref();
    if let Some(title) = title {
        member("title", first_bytes(title, GIST_BYTES_MAX));
    }
    let gist = gist(&tool.words.description);
    if title != Some(gist) && !gist.is_empty() {
        member("description", gist);
    }
    member("request", &format!("{} {}", tool.method, tool.path_template()));
    for (key, need) in [("required", Need::Required), ("optional", Need::Optional)] {
        let of_need = tool.arguments.iter().filter(|argument| argument.need == need);
        let mut names: Vec<&str> =
            of_need.map(|argument| &*argument.name).take(NAMES_MAX + 1).collect();
        if names.len() > NAMES_MAX {
            names.truncate(NAMES_MAX);
            names.push("…");
        }
        if !names.is_empty() {
            member(key, &names.join(", "));
        }
    }
    member("call_with", caller_of(tool).name());
    out.pop();
    out.push('}');
}

/// The first sentence or so of a description.
fn gist(description: &str) -> &str {
    let line = description.lines().next().unwrap_or_default().trim();
    let end = line.find(". ").map_or(line.len(), |end| end + 1);
    first_bytes(line.get(..end).unwrap_or(line), GIST_BYTES_MAX)
}

/// All that a list would say of a tool, within so many bytes: what results look like gives way first.
pub fn described(tool: &Tool, bytes_max: usize) -> String {
    let call_with = caller_of(tool).name();
    let all = format!(r#"{{"call_with":"{call_with}","operation":{}}}"#, tool.definition);
    if all.len() <= bytes_max {
        return all;
    }
    let mut out = format!(r#"{{"call_with":"{call_with}","operation":{{"name":"#);
    push_text(&mut out, &tool.name);
    out.push_str(r#","description":"#);
    push_text(&mut out, &tool.words.description);
    out.push_str(&format!(r#","inputSchema":{}}}}}"#, tool.input.value));
    if out.len() > bytes_max {
        out.truncate(out.floor_char_boundary(bytes_max));
        out.push_str("\n[cut: the description of the arguments is longer than a result may be]");
    }
    out
}
