//! `tool` of an operation, and the tools of all operations: which there are is `catalogue`'s to say, and
//! this says of each that cannot be what was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::diagnostic::Problems;
use super::super::section::{Section, Text};
use super::super::source::Place;
use super::apis::Published;
use crate::catalogue::{self, NAME_BYTES_MAX, NoTool, Offer, Source};
use crate::model::mcp::MetaTool;
use crate::model::tool::{Catalogue, Schema};
use crate::openapi::Form;

/// Longest name that nobody is warned of: clients put their own before it.
const NAME_BYTES_GOOD: usize = 48;
/// Longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 2000;

/// What an operation says of itself as a tool.
#[derive(Debug, Default)]
pub(super) struct ToolKey {
    at: Option<Place>,
    name: Option<(Box<str>, Place)>,
    description: Option<Box<str>>,
}

/// An operation's tool as far as it is known when the operation is.
pub(super) struct Told {
    pub(super) key: ToolKey,
    pub(super) source: Source,
}

pub(super) fn tool(section: &mut Section<'_>) -> ToolKey {
    let at = section.place("tool");
    let mut section = section.table("tool");
    let name = section.text("name");
    let name = name.and_then(|text| Some((name_of(text, section.problems)?, text.at)));
    let description = section.text("description");
    let description = description.and_then(|text| description_of(text, section.problems));
    section.finish();
    ToolKey { at, name, description }
}

fn name_of(text: Text<'_>, problems: &Problems<'_>) -> Option<Box<str>> {
    let name = text.text;
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(good) {
        let message = format!("\"{name}\" is not the name of a tool");
        problems.error(text.at, message, "write 1 to 64 of a-z, 0-9, '_' and '-'");
        return None;
    }
    if MetaTool::of_name(name).is_some() {
        let message = format!("\"{name}\" is the name of a tool that stands for all others");
        problems.error(text.at, message, "write another name");
        return None;
    }
    if name.len() > NAME_BYTES_GOOD {
        let message = format!("the name of this tool has {} bytes", name.len());
        let fix = "write at most 48: clients put their own name before it, and refuse what is \
                   longer than 64";
        problems.warning(text.at, message, fix);
    }
    Some(name.into())
}

/// What a person sees is what a model reads: no characters that hide or turn text around.
fn description_of(text: Text<'_>, problems: &Problems<'_>) -> Option<Box<str>> {
    let shows = |c: char| match c {
        '\n' => true,
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}' => false,
        c => !c.is_control(),
    };
    let cleaned: String = text.text.chars().filter(|c| shows(*c)).collect();
    let cleaned = cleaned.trim();
    if cleaned.is_empty() || cleaned.len() > DESCRIPTION_BYTES_MAX {
        let message = "a description has 1 to 2000 bytes";
        problems.error(text.at, message, "say when to use the tool, and what it answers");
        return None;
    }
    Some(cleaned.into())
}

/// The tools of all apis; what is known of them is taken out of these.
pub(super) fn catalogue(apis: &mut [Published], problems: &Problems<'_>) -> Catalogue {
    let mut names: BTreeMap<Box<str>, Place> = BTreeMap::new();
    let mut offers = Vec::new();
    for published in apis {
        let host = published.hosts.iter().find_map(|host| host.exact());
        let tools = std::mem::take(&mut published.tools);
        for ((operation, at), told) in published.operations.iter().zip(tools) {
            let Told { key, source } = told;
            if let Some((name, at)) = &key.name {
                declare(name, *at, &mut names, problems);
            }
            let id = operation.id.as_str();
            let mut offer = Offer {
                operation: Arc::clone(operation),
                base_path: published.api.base_path.clone(),
                host: host.map(Into::into),
                source,
                name: key.name.map(|(name, _)| name),
                description: key.description,
            };
            if let Source::Document(Some(form)) = &mut offer.source
                && !mend(form, id, *at, problems)
            {
                offer.source = Source::Document(None);
            }
            match (offer.refused(), key.at) {
                (None, _) => offers.push(offer),
                (Some(why), Some(at)) => tell_refused(id, why, at, problems),
                (Some(_), None) => {}
            }
        }
    }
    catalogue::catalogue(offers)
}

fn declare(name: &str, at: Place, names: &mut BTreeMap<Box<str>, Place>, problems: &Problems<'_>) {
    if let Some(first) = names.get(name) {
        let first = problems.locate(*first);
        let message = format!("tool \"{name}\" is defined twice, first at {first}");
        problems.error(at, message, "rename one of the two");
    } else {
        names.insert(name.into(), at);
    }
}

fn tell_refused(id: &str, why: NoTool, at: Place, problems: &Problems<'_>) {
    let message = format!("\"{id}\" is no tool: {}", why.as_str());
    let fix = match why {
        NoTool::SeveralMethods => "write an operation for each method, or take \"tool\" out",
        NoTool::Tail => "write an operation without a tail, or take \"tool\" out",
        NoTool::NotDescribed => "mend the document, or take \"tool\" out",
        NoTool::Options | NoTool::Redirect => "take \"tool\" out",
    };
    problems.warning(at, message, fix);
}

/// Takes out of a form's schemas what nothing can be checked against: clients refuse a whole list for one
/// schema that is not valid. False: the arguments cannot be told at all.
fn mend(form: &mut Form, id: &str, at: Place, problems: &Problems<'_>) -> bool {
    let is_usable =
        |schema: &Value| !is_doubtful(schema) || Schema::new(schema.clone()).fault().is_none();
    form.output.take_if(|output| !is_usable(output));
    if !is_doubtful(&form.input) {
        return true;
    }
    let input = Schema::new(std::mem::take(&mut form.input));
    let fault = input.fault();
    form.input = input.value;
    let Some(fault) = fault else { return true };
    drop_patterns(&mut form.input);
    let is_mended = is_usable(&form.input);
    let (becomes, fix) = if is_mended {
        (
            "checked without some of their patterns",
            "write patterns that look neither ahead nor back",
        )
    } else {
        ("told to nobody, so it is no tool", "mend the schemas of its parameters and its body")
    };
    let message = format!("the arguments of \"{id}\" are {becomes}: {fault}");
    problems.warning(at, message, fix);
    is_mended
}

/// Keywords whose members are names, and those whose values are data.
const NAMING: [&str; 4] = ["properties", "$defs", "patternProperties", "dependentSchemas"];
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

fn drop_patterns(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.retain(|key, value| key != "pattern" || !is_bad_pattern(value.as_str()));
            for (key, value) in members.iter_mut() {
                let schemas = value.as_object_mut().filter(|_| NAMING.contains(&key.as_str()));
                if let Some(schemas) = schemas {
                    let are_patterns = key == "patternProperties";
                    schemas.retain(|name, _| !(are_patterns && is_bad_pattern(Some(name))));
                    schemas.values_mut().for_each(drop_patterns);
                } else if !DATA.contains(&key.as_str()) {
                    drop_patterns(value);
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(drop_patterns),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_bad_pattern(pattern: Option<&str>) -> bool {
    let is_bad = |pattern| Schema::new(json!({ "pattern": pattern })).fault().is_some();
    pattern.is_some_and(is_bad)
}

/// Whether it holds anything that may not compile. All else comes from the reader, which writes only what is
/// valid; to compile a thousand schemas takes longer than to read them.
fn is_doubtful(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(key, value)| {
            matches!(key.as_str(), "pattern" | "patternProperties" | "$ref" | "$anchor")
                || is_doubtful(value)
        }),
        Value::Array(entries) => entries.iter().any(is_doubtful),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bad_patterns_are_dropped() {
        let check = |schema: Value, expected: Value| {
            let mut mended = schema.clone();
            drop_patterns(&mut mended);
            assert_eq!(mended, expected, "{schema}");
            assert!(Schema::new(mended).fault().is_none(), "{schema}");
        };
        let bad = json!({ "type": "string", "pattern": "(?!a)b" });
        let text = json!({ "type": "string" });
        let good = json!({ "type": "string", "pattern": "^a+$" });
        check(bad.clone(), text.clone());
        check(good.clone(), good);
        for name in ["default", "enum", "const", "examples", "pattern"] {
            check(json!({ "properties": { name: bad } }), json!({ "properties": { name: text } }));
        }
        check(
            json!({ "patternProperties": { "(?!a)b": text } }),
            json!({ "patternProperties": {} }),
        );
        check(json!({ "default": bad }), json!({ "default": bad }));
    }
}
