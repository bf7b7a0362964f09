//! A response that did not succeed, in words a model can act on: what happened, why, when to try again, and
//! the id under which the gate's operator finds the call. Never more of the response than that.

use serde_json::{Map, Value};

use crate::mcp::json::push_text;

use super::media::{Kind, Media};
use super::{Response, Rest, To, Written, retry_after, status_line};

/// What is known of a failure.
#[derive(Debug, Default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    code: Option<String>,
    /// Members that say what exactly is wrong, as JSON.
    particulars: Vec<(&'static str, String)>,
}

/// Longest text of an upstream's that is told.
const DETAIL_BYTES_MAX: usize = 2_048;
/// Longest title and code.
const WORD_BYTES_MAX: usize = 200;
/// Members of error objects that help to correct a call.
const PARTICULARS: [&str; 6] = [
    "errors",
    "invalid-params",
    "invalid_params",
    "violations",
    "missing_scopes",
    "violated-policies",
];

pub(super) fn of_response(to: To<'_>, response: &Response) -> Vec<u8> {
    let problem = read(response);
    let line = status_line(response.status);
    let mut text = line.clone();
    if let Some(title) = problem.title.as_ref().filter(|title| !line.ends_with(&***title)) {
        text.push_str(&format!(": {title}"));
    }
    if let Some(detail) = &problem.detail {
        text.push_str(&format!("\n{detail}"));
    }
    for (name, json) in &problem.particulars {
        text.push_str(&format!("\n{name}: {json}"));
    }
    let retry_after = retry_after(&response.fields);
    if let Some(seconds) = retry_after {
        text.push_str(&format!("\nTry again after {seconds} seconds."));
    }
    text.push_str(&format!("\nRequest id: {}", to.request_id));
    let mut result = Written::open(to, text.len());
    result.text(&text);
    result.close(Rest::Problem(&members(to, response.status, &problem, retry_after)))
}

/// The same for programs.
fn members(to: To<'_>, status: u16, problem: &Problem, retry_after: Option<u64>) -> String {
    let mut out = format!(r#""status":{status},"request_id":"#);
    push_text(&mut out, to.request_id);
    let texts = [("title", &problem.title), ("detail", &problem.detail), ("code", &problem.code)];
    for (name, text) in texts {
        if let Some(text) = text {
            out.push_str(&format!(r#","{name}":"#));
            push_text(&mut out, text);
        }
    }
    if let Some(seconds) = retry_after {
        out.push_str(&format!(r#","retry_after":{seconds}"#));
    }
    out
}

fn read(response: &Response) -> Problem {
    if response.status < 400 {
        return Problem {
            detail: Some(
                "The operation answered with a redirection, which a tool call does not follow. The gate's \
                 operator can set the operation to where it points."
                    .into(),
            ),
            ..Problem::default()
        };
    }
    let media = Media::of(&response.fields);
    match media.kind() {
        Kind::Json => match serde_json::from_slice(&response.body) {
            Ok(Value::Object(members)) => of_members(&members, response),
            Ok(_) | Err(_) => Problem::default(),
        },
        // A page for people: markup, and seldom a word on what went wrong.
        Kind::Text if media.is_html() => Problem::default(),
        Kind::Text => of_text(response),
        Kind::Image | Kind::Audio | Kind::Binary | Kind::Unknown => Problem::default(),
    }
}

fn of_members(members: &Map<String, Value>, response: &Response) -> Problem {
    let text = |members: &Map<String, Value>, keys: &[&str], bytes_max: usize| {
        let found = keys.iter().find_map(|key| members.get(*key).and_then(Value::as_str));
        found.map(|text| shortened(text, bytes_max)).filter(|text| !text.is_empty())
    };
    // `{"error": {"message": …}}` is as common as `{"error": …}`.
    let inner = members.get("error").and_then(Value::as_object).unwrap_or(members);
    let detail = text(inner, &["detail", "message", "error_description"], DETAIL_BYTES_MAX);
    let title = text(members, &["title", "error"], WORD_BYTES_MAX);
    let code = text(inner, &["code"], WORD_BYTES_MAX);
    let particulars = PARTICULARS.iter().filter_map(|name| {
        let value = members.get(*name).or_else(|| inner.get(*name))?;
        Some((*name, shortened(&value.to_string(), DETAIL_BYTES_MAX)))
    });
    let mut problem = Problem { title, detail, code, particulars: particulars.collect() };
    if response.status >= 500 && !is_ours(members) {
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        problem.title = problem.title.map(first_line);
        problem.detail = problem.detail.map(first_line);
        problem.code = problem.code.map(first_line);
        problem.particulars.clear();
        return problem;
    }
    let says_nothing =
        problem.title.is_none() && problem.detail.is_none() && problem.particulars.is_empty();
    // Of a call's own fault the caller may read all.
    if says_nothing && response.status < 500 {
        problem.detail =
            Some(shortened(&Value::Object(members.clone()).to_string(), DETAIL_BYTES_MAX));
    }
    problem
}

/// Whether the gate made a problem. An upstream that says so of its own tells no more than its other bodies
/// could.
fn is_ours(members: &Map<String, Value>) -> bool {
    let kind = members.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.starts_with("https://onegate.dev/problems/"))
}

/// Of the upstream's own fault one line, since more would be a stack trace.
fn of_text(response: &Response) -> Problem {
    let text = String::from_utf8_lossy(&response.body);
    let text = text.trim();
    let text = if response.status >= 500 { text.lines().next().unwrap_or_default() } else { text };
    let detail = shortened(text, DETAIL_BYTES_MAX);
    Problem { detail: Some(detail).filter(|detail| !detail.is_empty()), ..Problem::default() }
}

fn shortened(text: &str, bytes_max: usize) -> String {
    let text = text.trim();
    let end = text.floor_char_boundary(bytes_max);
    let (kept, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    format!("{kept}{}", if rest.is_empty() { "" } else { "…" })
}
