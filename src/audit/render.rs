//! Records for people: one aligned row each. Whoever wants every field takes the line itself.

use std::borrow::Cow;
use std::fmt;

use super::line::{Line, Text};

/// The titles of the columns; wide texts push, and what varies most comes last.
#[derive(Debug)]
pub struct Header;

/// One record as a row.
#[derive(Debug)]
pub struct Row<'a>(pub &'a Line<'a>);

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = ["TIME", "SURFACE", "CLIENT", "STATUS", "DURATION", "DECISION", "WHAT"];
        columns(f, titles)
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0;
        let status = line.status.map_or_else(|| "-".into(), |status| status.to_string());
        let duration = line.duration_us.map_or_else(|| "-".into(), duration);
        let cause = [&line.denial, &line.failure].into_iter().flatten().next();
        let decision = match cause {
            Some(cause) => format!("{} {}", &*line.decision, &**cause),
            None => line.decision.to_string(),
        };
        columns(
            f,
            [
                &line.time.to_string(),
                &shown(&line.surface),
                &line.client.as_ref().map_or("-".into(), |client| shown(client)),
                &status,
                &duration,
                &shown(&decision),
                &what(line),
            ],
        )
    }
}

fn columns(
    f: &mut fmt::Formatter<'_>,
    [time, surface, client, status, duration, decision, what]: [&str; 7],
) -> fmt::Result {
    write!(f, "{time:<27}  {surface:<7}  {client:<20}  {status:>6}  {duration:>8}  ")?;
    write!(f, "{decision:<28}  {what}")
}

/// `GET /api/payments/7`, perhaps `by tool payments_get_payment`, or `client.add client/mobile-app by uid=0 login=ann`.
fn what(line: &Line<'_>) -> String {
    let text = |text: &Option<Text<'_>>| text.as_deref().map(|t| shown(t).into_owned());
    let words = match &line.action {
        Some(_) => {
            let by = text(&line.actor).map(|actor| format!("by {actor}"));
            [text(&line.action), text(&line.target), by, None]
        }
        None => [text(&line.method), text(&line.path), message(line), folded(line)],
    };
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() { "-".into() } else { words.join(" ") }
}

/// Of a message to the MCP endpoint: the tool, or the operation of the gate.
fn message(line: &Line<'_>) -> Option<String> {
    let tool = line.mcp.as_ref()?.tool.as_deref().map(|tool| format!("by tool {}", shown(tool)));
    tool.or_else(|| line.operation.as_deref().map(|id| shown(id).into_owned()))
}

/// Of a summary, or of a call that has not ended.
fn folded(line: &Line<'_>) -> Option<String> {
    let from = line.source_ip.map_or_else(|| "others".to_owned(), |ip| ip.to_string());
    let count = line.count.map(|count| format!("{count} calls of {from}"));
    count.or_else(|| line.is_open().then(|| "(open)".to_owned()))
}

fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        _ => format!("{}.{} s", micros / 1_000_000, micros / 100_000 % 10),
    }
}

/// A text of a stranger, with nothing in it that a terminal would obey.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.into() };
    Cow::Owned(text.chars().map(escape).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::line::Encoder;
    use crate::audit::tests::{Entry, act, bare, full, message};
    use crate::model::denial::{Denial, Failure};
    use crate::model::record::{McpDetail, Outcome, RequestRecord, Surface};
    use crate::model::time::UnixMicros;

    #[test]
    fn rows_are_aligned_and_harmless() {
        let check = |entry: Entry, expected: &str| {
            let mut text = Vec::new();
            entry.encode(&mut Encoder::for_boot("node-1", UnixMicros(0), 7), &mut text, 1);
            let line = Line::parse(&text).expect("a line");
            assert_eq!(Row(&line).to_string(), expected);
        };
        let request = |record| Entry::Request(Box::new(record));
        assert_eq!(
            Header.to_string(),
            "TIME                         SURFACE  CLIENT                STATUS  DURATION  \
             DECISION                      WHAT"
        );
        check(
            request(full(1)),
            "2026-03-01T12:00:00.000000Z  rest     mobile-app               200    1.2 ms  \
             allowed                       GET /api/payments/7",
        );
        let refused = RequestRecord {
            status: 429,
            duration_us: 45,
            outcome: Outcome::Denied(Denial::CredentialMissing),
            method: Some(http::Method::GET),
            path: "/\u{1b}[2J".into(),
            ..bare(1)
        };
        check(
            request(refused),
            "2026-03-01T12:00:00.000000Z  rest     -                        429     45 us  \
             denied credential_missing     GET /\\u{1b}[2J",
        );
        let failed = Outcome::Failed(Failure::UpstreamUnreachable);
        check(
            request(RequestRecord {
                status: 0,
                duration_us: 61_250_000,
                outcome: failed,
                ..bare(1)
            }),
            "2026-03-01T12:00:00.000000Z  rest     -                          -    61.2 s  \
             allowed upstream_unreachable  -",
        );
        let mcp = |tool: Option<&str>| {
            let detail = McpDetail { tool: tool.map(Into::into), ..message() };
            RequestRecord { surface: Surface::Mcp, mcp: Some(Box::new(detail)), ..full(1) }
        };
        check(
            request(mcp(Some("pay\u{1b}"))),
            "2026-03-01T12:00:00.000000Z  mcp      mobile-app               200    1.2 ms  \
             allowed                       GET /api/payments/7 by tool pay\\u{1b}",
        );
        check(
            request(mcp(None)),
            "2026-03-01T12:00:00.000000Z  mcp      mobile-app               200    1.2 ms  \
             allowed                       GET /api/payments/7 payments.get_payment",
        );
        check(
            Entry::Act(Box::new(act(1, "client.change"))),
            "2026-03-01T12:00:00.000000Z  admin    -                          -         -  \
             allowed                       client.change client/mobile-app by uid=0 login=ann \
             sudo_user=-",
        );
    }
}
