//! What became of a call, as named facts: what its caller was told, what is left of its limits, what reached the
//! upstream, and its record. What no two calls share is taken out, and nothing else.

use std::collections::BTreeMap;

use http::{Method, header};
use serde_json::{Map, Value};

use super::fire::Answer;
use super::stub::Received;
use super::surface::Surface;

/// Facts by name.
pub type Facts = BTreeMap<String, String>;

/// All that is known of one call.
#[derive(Debug)]
pub struct Came<'a> {
    pub surface: Surface,
    /// Of the REST request.
    pub method: &'a Method,
    pub id: &'a str,
    pub answer: &'a Answer,
    pub received: &'a [Received],
    pub records: &'a [Map<String, Value>],
}

/// How many records there are of the call.
pub const RECORDS: &str = "records";
/// Facts that are seconds until something happens: they run on between two surfaces.
pub const TIMES: [&str; 2] = ["told: retry after", " resets in"];
const OF_A_BODY: [&str; 3] = ["told: body", "told: code", "told: detail"];
/// What of a record each call has of its own.
const OF_EACH: [&str; 10] = [
    "v",
    "seq",
    "node",
    "boot",
    "id",
    "time",
    "duration_us",
    "upstream_us",
    "trace_id",
    "parent_request_id",
];
/// What a record says of the surface.
const OF_THE_SURFACE: [&str; 2] = ["mcp", "agent"];
/// That stands for a value that each surface has of its own, and that is as it must be.
const OWN: &str = "(its own)";

impl Came<'_> {
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        self.told(&mut facts);
        if *self.method == Method::HEAD {
            // REST has no body to say it in.
            facts.retain(|name, _| !OF_A_BODY.contains(&name.as_str()));
        }
        self.charge(&mut facts);
        self.upstream(&mut facts);
        self.record(&mut facts);
        facts
    }

    fn told(&self, facts: &mut Facts) {
        let told = match self.surface {
            Surface::Rest => of_rest(self.answer),
            Surface::Tool(_) | Surface::Meta(_) => of_tool(self.answer),
        };
        let (word, detail, retry_after) = match told {
            Told::Done(body) => {
                if let Some(body) = body {
                    facts.insert("told: body".into(), body);
                }
                ("done".to_owned(), None, None)
            }
            Told::Refused { status, code, detail, retry_after } => {
                let detail = detail.filter(|_| !code.is_empty());
                if !code.is_empty() {
                    facts.insert("told: code".into(), code);
                }
                (status.to_string(), detail, retry_after)
            }
            Told::Amiss(what) => (what, None, None),
        };
        facts.insert("told".into(), word);
        if let Some(detail) = detail {
            facts.insert("told: detail".into(), detail.replace(self.id, "ID"));
        }
        if let Some(seconds) = retry_after {
            facts.insert(TIMES[0].into(), seconds.to_string());
        }
    }

    /// `"50-per-1s";r=99;t=1, "per-month";r=12`
    fn charge(&self, facts: &mut Facts) {
        let get = |name: &str| self.answer.fields.get(name)?.to_str().ok();
        if let Some(policy) = get("ratelimit-policy") {
            facts.insert("limits".into(), policy.to_owned());
        }
        for item in get("ratelimit").into_iter().flat_map(|limits| limits.split(", ")) {
            let mut parts = item.split(';');
            let name = parts.next().unwrap_or_default().trim_matches('"');
            for part in parts {
                let what = match part.split_once('=') {
                    Some(("r", _)) => "left",
                    Some(("t", _)) => "resets in",
                    _ => part,
                };
                let value = part.split_once('=').map_or(part, |(_, value)| value);
                facts.insert(format!("limit {name}: {what}"), value.to_owned());
            }
        }
    }

    fn upstream(&self, facts: &mut Facts) {
        facts.insert("upstream: requests".into(), self.received.len().to_string());
        let Some(received) = self.received.first() else { return };
        facts.insert("upstream: request".into(), received.line.clone());
        for (name, value) in &received.fields {
            let value = match name.as_str() {
                "x-request-id" if value == self.id => OWN.to_owned(),
                "traceparent" => OWN.to_owned(),
                "x-onegate-surface" if value == self.surface.recorded() => OWN.to_owned(),
                // Config may put the id into a field.
                _ if !self.id.is_empty() => value.replace(self.id, OWN),
                _ => value.clone(),
            };
            let all = facts.entry(format!("upstream: field {name}")).or_default();
            let separator = if all.is_empty() { "" } else { ", " };
            *all += &format!("{separator}{value}");
        }
        let body = String::from_utf8_lossy(&received.body).into_owned();
        facts.insert("upstream: body".into(), body);
    }

    fn record(&self, facts: &mut Facts) {
        facts.insert(RECORDS.into(), self.records.len().to_string());
        let Some(record) = self.records.first() else { return };
        for (name, value) in record {
            if OF_THE_SURFACE.contains(&name.as_str()) {
                continue;
            }
            if OF_EACH.contains(&name.as_str()) {
                facts.insert(format!("record: {name}"), OWN.to_owned());
                continue;
            }
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let is_own = name == "surface" && text == self.surface.recorded();
            let text = if is_own { OWN.to_owned() } else { text };
            facts.insert(format!("record: {name}"), text);
        }
    }

    /// Whether the caller was refused before anybody knew for which operation it came.
    pub fn is_unread(&self) -> bool {
        let [record] = self.records else { return false };
        let tool = record.get("mcp").and_then(|message| message.get("tool"));
        tool.is_none() && record.get("decision").is_some_and(|decision| decision == "denied")
    }
}

/// What a caller was told.
enum Told {
    /// The body, where a tool's result has it too.
    Done(Option<String>),
    Refused {
        status: u16,
        code: String,
        detail: Option<String>,
        retry_after: Option<u64>,
    },
    /// It can be no answer.
    Amiss(String),
}

fn of_rest(answer: &Answer) -> Told {
    if answer.status < 400 {
        return Told::Done(body_of_rest(answer));
    }
    let retry_after = answer.fields.get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let problem = serde_json::from_slice(&answer.body).unwrap_or_default();
    refused(answer.status, &problem, retry_after)
}

/// Longer ones may be cut for a model.
const BODY_BYTES_MAX: usize = 1_000;

fn body_of_rest(answer: &Answer) -> Option<String> {
    if answer.body.is_empty() {
        return Some(String::new());
    }
    let kind = answer.fields.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok())?;
    let is_told = kind.contains("json") || kind.starts_with("text/");
    let text = String::from_utf8_lossy(&answer.body);
    (is_told && text.len() <= BODY_BYTES_MAX).then(|| plain(&text))
}

/// JSON without its blanks; any other text as it is.
fn plain(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |json| json.to_string())
}

fn refused(status: u16, problem: &Value, retry_after: Option<u64>) -> Told {
    let text = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
    let (code, detail) = (text("code").unwrap_or_default(), text("detail"));
    Told::Refused { status, code, detail, retry_after }
}

const NOTHING: &str = "done, and there is no content.";

fn of_tool(answer: &Answer) -> Told {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status >= 400 {
        let data = body.pointer("/error/data");
        let retry_after = answer.fields.get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        return refused(answer.status, data.unwrap_or(&body), retry_after);
    }
    let Some(result) = body.get("result") else {
        let error = body.get("error").map(Value::to_string).unwrap_or_default();
        return Told::Amiss(format!("{} {error}", answer.status));
    };
    let text = result.pointer("/content/0/text").and_then(Value::as_str);
    if result.get("isError") != Some(&Value::Bool(true)) {
        let text = text.map(|text| if text.ends_with(NOTHING) { "" } else { text });
        return Told::Done(text.map(plain));
    }
    let problem = result.pointer("/_meta/dev.onegate~1problem").cloned().unwrap_or_default();
    let status = problem.get("status").and_then(Value::as_u64);
    match status.and_then(|status| u16::try_from(status).ok()) {
        Some(status) => {
            let retry_after = problem.get("retry_after").and_then(Value::as_u64);
            refused(status, &problem, retry_after)
        }
        None => Told::Amiss(text.unwrap_or("a result that says nothing").to_owned()),
    }
}
