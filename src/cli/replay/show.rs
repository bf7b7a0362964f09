//! An explanation for people, and as JSON: the record's facts first, then the stages, then what comes
//! of holding one against the other.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::Explained;
use crate::audit::line::{Line, Text, Whole};
use crate::audit::render::shown;
use crate::model::id::ProductName;
use crate::model::snapshot::Label;
use crate::request::replay::{Replayed, Verdict};

/// For people.
pub fn text(
    line: &Line<'_>,
    whole: &Whole<'_>,
    explained: &Explained,
    out: &mut impl Write,
) -> io::Result<()> {
    let facts = if line.action.is_some() { of_act(line, whole) } else { of_call(line, whole) };
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in &facts {
        writeln!(out, "{name:width$}  {}", shown(value))?;
    }
    match explained {
        Explained::Nothing(told) => writeln!(out, "\n{told}"),
        // What is missing is told as an error.
        Explained::NotKept(_) => Ok(()),
        Explained::Judged { steps, replayed, verdict } => {
            if !steps.is_empty() {
                writeln!(out, "\nReplayed with the config and the inventory of that moment:")?;
            }
            for step in steps {
                writeln!(out, "  {:<10} {}", step.stage, shown(&step.found))?;
            }
            if let Some(told) = of_limits(line, whole, *verdict) {
                writeln!(out, "  {:<10} {}", "limit", shown(&told))?;
            }
            writeln!(out, "\n{}", sentence(line, whole, replayed.as_ref(), *verdict))
        }
    }
}

/// One value on one line; the record as it is stored.
pub fn json(
    line: &Line<'_>,
    whole: &Whole<'_>,
    stored: &[u8],
    explained: &Explained,
    out: &mut impl Write,
) -> io::Result<()> {
    let rest = match explained {
        Explained::Nothing(told) => json!({ "verdict": "nothing_to_replay", "detail": told }),
        Explained::NotKept(why) => json!({ "verdict": "not_kept", "detail": why }),
        Explained::Judged { steps, replayed, verdict } => {
            let mut told: Vec<Value> = steps
                .iter()
                .map(|step| json!({ "stage": step.stage, "found": step.found }))
                .collect();
            let limits = of_limits(line, whole, *verdict);
            told.extend(limits.map(|found| json!({ "stage": "limit", "found": found })));
            json!({
                "steps": told,
                "replay": replayed.as_ref().map(outcome),
                "verdict": word(*verdict),
                "detail": sentence(line, whole, replayed.as_ref(), *verdict),
            })
        }
    };
    let rest = rest.to_string();
    out.write_all(b"{\"record\":")?;
    out.write_all(stored.trim_ascii_end())?;
    writeln!(out, ",{}", rest.strip_prefix('{').unwrap_or("}"))
}

fn outcome(replayed: &Replayed) -> Value {
    match replayed {
        Replayed::Permitted { api, operation, product } => json!({
            "decision": "allowed",
            "api": api.name.as_str(),
            "operation": operation.id.as_str(),
            "product": product.as_ref().map(ProductName::as_str),
        }),
        Replayed::Own => json!({ "decision": "allowed" }),
        Replayed::Refused(refusal) => json!({
            "decision": "denied",
            "denial": refusal.denial.code(),
            "reason": refusal.reason.as_log_text(),
        }),
        Replayed::Stuck(what) => json!({ "decision": null, "depends_on": what }),
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Agrees => "agrees",
        Verdict::AgreesBeforeLimits => "agrees_before_limits",
        Verdict::Differs => "differs",
        Verdict::NotReplayed(_) => "not_replayed",
    }
}

fn of_call(line: &Line<'_>, whole: &Whole<'_>) -> Vec<(&'static str, String)> {
    let mut facts = vec![("record", format!("{} ({})", &*line.id, &*line.surface))];
    facts.push(("time", line.time.to_string()));
    let calls = line.count.map(|count| ("calls", count.to_string()));
    facts.extend(calls);
    if line.count.is_none() {
        facts.push(("caller", caller(line, whole)));
    }
    let agent = whole.agent.as_ref().map(|agent| ("agent", format!("{}, as it says", &**agent)));
    facts.extend(agent);
    let peer = line.peer_ip.filter(|peer| Some(*peer) != line.source_ip);
    let from = match (line.source_ip, peer) {
        (Some(ip), Some(peer)) => Some(format!("{ip}, over {peer}")),
        (Some(ip), None) => Some(ip.to_string()),
        (None, Some(peer)) => Some(format!("an address that is not known, over {peer}")),
        (None, None) => None,
    };
    facts.extend(from.map(|from| ("from", from)));
    if let Some(method) = &line.method {
        let (host, path) = (or_nothing(whole.host.as_ref()), or_nothing(line.path.as_ref()));
        facts.push(("asked", format!("{} {host}{path}", &**method)));
    }
    let met = match (&line.operation, &line.api) {
        (Some(operation), _) => Some(operation.to_string()),
        (None, Some(api)) => Some(format!("api {}, no operation", &**api)),
        (None, None) => None,
    };
    let by = whole.product.as_ref().map(|product| format!(", by product {}", &**product));
    facts.extend(met.map(|met| ("operation", met + &by.unwrap_or_default())));
    facts.extend(tool(line).map(|tool| ("tool", tool)));
    facts.push(("decision", decision(line, whole)));
    let end = whole.end.as_deref().map(|end| match line.status {
        Some(status) => format!("{end}, answered with {status}"),
        None => end.to_owned(),
    });
    facts.extend(end.map(|end| ("end", end)));
    facts.extend(policy(whole).map(|policy| ("policy", policy)));
    facts
}

fn of_act(line: &Line<'_>, whole: &Whole<'_>) -> Vec<(&'static str, String)> {
    let own = |text: &Option<Text<'_>>| text.as_deref().map(str::to_owned);
    let value = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let facts = [
        ("record", Some(format!("{} ({})", &*line.id, &*line.surface))),
        ("time", Some(line.time.to_string())),
        ("actor", own(&line.actor)),
        ("act", own(&line.action)),
        ("target", own(&line.target)),
        ("reason", own(&whole.reason_given)),
        ("before", value(&whole.before)),
        ("after", value(&whole.after)),
        ("decision", Some(decision(line, whole))),
        ("policy", policy(whole)),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn caller(line: &Line<'_>, whole: &Whole<'_>) -> String {
    match (&line.client, &line.credential) {
        (Some(client), credential) => {
            let part = |word: &str, text: Option<&Text<'_>>| {
                text.map(|text| format!(", {word} {}", &**text)).unwrap_or_default()
            };
            format!(
                "client {}{}{}{}",
                &**client,
                part("profile", whole.profile.as_ref()),
                part("key", credential.as_ref()),
                part("held by", whole.holder.as_ref()),
            )
        }
        (None, Some(claimed)) => format!("nobody; it claimed to have the key {}", &**claimed),
        (None, None) => "nobody".to_owned(),
    }
}

/// `payments_get_payment, over MCP 2026-07-28, answered as an error`.
fn tool(line: &Line<'_>) -> Option<String> {
    let message = line.mcp.as_ref()?;
    let revision = message.protocol.as_deref().map(|revision| format!(", over MCP {revision}"));
    let failed = if message.is_error == Some(true) { ", answered as an error" } else { "" };
    let tool = message.tool.as_deref()?;
    Some(format!("{tool}{}{failed}", revision.unwrap_or_default()))
}

fn policy(whole: &Whole<'_>) -> Option<String> {
    let text = whole.policy.as_deref()?;
    Some(match Label::parse(text) {
        Some(Label { digest, revision }) => {
            format!("config {digest}, inventory revision {revision}")
        }
        None => text.to_owned(),
    })
}

/// `denied, not_granted: no granted product contains the operation`.
fn decision(line: &Line<'_>, whole: &Whole<'_>) -> String {
    let reason = whole.reason.as_deref().map(|reason| format!(": {reason}"));
    decided(line) + &reason.unwrap_or_default()
}

/// `denied, not_granted`.
fn decided(line: &Line<'_>) -> String {
    let cause = [&line.denial, &line.failure].into_iter().flatten().next();
    let cause = cause.map(|cause| format!(", {}", &**cause)).unwrap_or_default();
    format!("{}{cause}", &*line.decision)
}

/// What the record says of limits, for a call that came as far.
fn of_limits(line: &Line<'_>, whole: &Whole<'_>, verdict: Verdict) -> Option<String> {
    const NOT: &str = "; how much was used then is not recomputed";
    if let Some(limit) = &whole.limit {
        return Some(format!("the record says: refused by {}{NOT}", &**limit));
    }
    if let Some(limit) = &whole.shadow_limit {
        let limit = &**limit;
        return Some(format!(
            "the record says: {limit} would have refused, had it been enforced{NOT}"
        ));
    }
    let is_past = verdict == Verdict::Agrees && line.denial.is_none();
    is_past.then(|| format!("the record says: no limit refused{NOT}"))
}

fn sentence(
    line: &Line<'_>,
    whole: &Whole<'_>,
    replayed: Option<&Replayed>,
    verdict: Verdict,
) -> String {
    let recorded = shown(&decided(line)).into_owned();
    let by = |product: Option<&str>| {
        product.map(|product| format!(", by product {product}")).unwrap_or_default()
    };
    match (verdict, replayed) {
        (Verdict::Agrees, _) if whole.end.as_deref() == Some("revoked") => format!(
            "The replay agrees with the record: under this policy the call was let in. A later change \
             took that away and ended it ({recorded})."
        ),
        (Verdict::Agrees, Some(Replayed::Permitted { product, .. })) => {
            let by = by(product.as_ref().map(ProductName::as_str));
            format!("The replay agrees with the record: {recorded}{by}.")
        }
        (Verdict::Agrees, _) => format!("The replay agrees with the record: {recorded}."),
        (Verdict::AgreesBeforeLimits, _) => format!(
            "The replay agrees with the record: the call was authorised, and the record says that a \
             limit refused it ({recorded})."
        ),
        (Verdict::NotReplayed(what), _) => format!(
            "The record says: {recorded}. That cannot be replayed: it depends on {what}, which no \
             record holds."
        ),
        (Verdict::Differs, replayed) => {
            let found = match replayed {
                Some(Replayed::Permitted { operation, product, .. }) => {
                    let by = by(product.as_ref().map(ProductName::as_str));
                    format!("allowed, {}{by}", operation.id)
                }
                Some(Replayed::Own) => "allowed".to_owned(),
                Some(Replayed::Refused(refusal)) => format!("denied, {}", refusal.denial),
                Some(Replayed::Stuck(_)) | None => "nothing".to_owned(),
            };
            let of = or_nothing(line.operation.as_ref());
            let by = by(whole.product.as_deref());
            format!(
                "The replay does NOT agree with the record. The record says: {recorded}{}{}{}; the \
                 replay says: {found}.",
                if of.is_empty() { "" } else { ", " },
                shown(&of),
                shown(&by),
            )
        }
    }
}

fn or_nothing<'t>(text: Option<&'t Text<'_>>) -> Cow<'t, str> {
    text.map_or(Cow::Borrowed(""), |text| Cow::Borrowed(&**text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::line::Encoder;
    use crate::audit::tests::{full, message};
    use crate::model::record::{McpDetail, RequestRecord};
    use crate::model::time::UnixMicros;

    #[test]
    fn a_tools_call_shows_the_tool_and_what_called_it() {
        let check = |detail: McpDetail, expected: [Option<&str>; 2]| {
            let record = RequestRecord { mcp: Some(Box::new(detail)), ..full(1) };
            let mut stored = Vec::new();
            Encoder::for_boot("node-1", UnixMicros(0), 7).request(&mut stored, 1, &record);
            let line = Line::parse(&stored).expect("a line");
            let facts = of_call(&line, &Whole::parse(&stored).expect("a record"));
            let fact = |name| facts.iter().find(|fact| fact.0 == name).map(|fact| &*fact.1);
            assert_eq!([fact("tool"), fact("agent")], expected);
        };
        let agent = Some("claude-code/2.1".into());
        let said = Some("claude-code/2.1, as it says");
        let over = "payments_get_payment, over MCP 2026-07-28";
        check(McpDetail { agent: agent.clone(), ..message() }, [Some(over), said]);
        let failed = "payments_get_payment, over MCP 2026-07-28, answered as an error";
        let is_error = Some(true);
        check(McpDetail { is_error, agent: None, ..message() }, [Some(failed), None]);
        check(McpDetail { agent, ..McpDetail::default() }, [None, said]);
    }
}
