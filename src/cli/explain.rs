//! `onegate explain`: the decision on one call, told step by step by the code that decides.

use std::net::IpAddr;
use std::sync::Arc;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::json;

use super::Exit;
use super::control::no_inventory;
use super::output::{Failure, Format, Output};
use crate::clock;
use crate::inventory::store::{DATABASE_FILE, Store};
use crate::model::denial::Refusal;
use crate::model::id::ClientId;
use crate::model::record::Surface;
use crate::model::snapshot::Snapshot;
use crate::request::explain::{Step, explain};
use crate::request::identify::Presented;
use crate::request::target::{self, Target};
use crate::request::{Ask, head};
use crate::server::Source;

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The client that calls
    #[arg(long, value_name = "ID")]
    client: String,
    /// The profile under which it calls
    #[arg(long, value_name = "NAME", default_value = "default")]
    profile: String,
    /// The surface by which the call arrives; it never changes the decision
    #[arg(long, default_value = "rest", value_parser = surface)]
    surface: Surface,
    /// The address that the caller comes from, for apis with rules on it
    #[arg(long, value_name = "IP")]
    source_ip: Option<IpAddr>,
    /// A header of the request, for apis with rules on them; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    method: String,
    /// An absolute URL, or a path of an api that is served under any host
    url: String,
}

impl ExplainArgs {
    pub fn run(self, source: &Source, output: &mut Output<'_>) -> Result<(), Failure> {
        let client = ClientId::parse(&self.client)
            .map_err(|error| usage(format!("the client's id {error}")))?;
        let (host, target) = self.place()?;
        let fields = self.fields()?;
        let loaded = source.load().map_err(|problems| Failure::config(&problems))?;
        let data_dir = &loaded.policy.server.data_dir;
        if !data_dir.join(DATABASE_FILE).exists() {
            return Err(no_inventory(data_dir));
        }
        let inventory =
            Store::peek(data_dir).map_err(|error| Failure::not_done(&error, error.fix()))?;
        let snapshot = Snapshot::new(Arc::new(loaded.policy), inventory);
        let ask = Ask {
            method: &self.method,
            host: &host,
            path: target.path(),
            presented: Presented::default(),
            body_bytes: None,
            // A content type tells of a body.
            body_may_follow: fields.contains_key(header::CONTENT_TYPE),
            source_ip: self.source_ip.map(|ip| ip.to_canonical()),
            fields: &fields,
        };
        let (told, verdict) = explain(&snapshot, &client, &self.profile, &ask, clock::now());
        let steps: Vec<Step> = of_surface(self.surface).into_iter().chain(told).collect();
        let refusal = verdict.err();
        tell(&steps, refusal.as_ref(), output)?;
        refusal.map_or(Ok(()), |refusal| Err(Failure::problem_found(sentence(&refusal))))
    }

    fn fields(&self) -> Result<HeaderMap, Failure> {
        let mut fields = HeaderMap::new();
        for header in &self.headers {
            let parsed = header.split_once(':').and_then(|(name, value)| {
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            });
            let (name, value) =
                parsed.ok_or_else(|| usage(format!("\"{header}\" is not NAME: VALUE")))?;
            fields.append(name, value);
        }
        Ok(fields)
    }

    fn place(&self) -> Result<(Box<str>, Target), Failure> {
        let raw = self.url.as_bytes();
        let (authority, path) = target::split_absolute(raw).unwrap_or((b"", raw));
        let host = match authority {
            b"" => Some(Box::default()),
            _ => head::parse_host(authority),
        };
        let host = host.ok_or_else(|| usage("the URL's host is not a host name"))?;
        let target = Target::parse(path, raw.len())
            .map_err(|refusal| usage(refusal.reason.as_log_text()))?;
        Ok((host, target))
    }
}

/// `--surface`: those over which operations are called.
fn surface(text: &str) -> Result<Surface, &'static str> {
    [Surface::Rest, Surface::Mcp]
        .into_iter()
        .find(|surface| surface.as_str() == text)
        .ok_or("write one of: rest, mcp")
}

/// What there is to say of the surface; of its own it decides nothing.
fn of_surface(surface: Surface) -> Option<Step> {
    let found = "mcp: the tool's call is decided on as this call of its operation";
    let step = || Step { stage: "surface", found: found.to_owned() };
    (surface == Surface::Mcp).then(step)
}

fn tell(steps: &[Step], refusal: Option<&Refusal>, output: &mut Output<'_>) -> Result<(), Failure> {
    if output.format == Format::Json {
        let steps = steps.iter().map(|step| json!({ "stage": step.stage, "found": step.found }));
        return output.json(&json!({
            "decision": if refusal.is_none() { "allowed" } else { "denied" },
            "denial": refusal.map(|refusal| refusal.denial.code()),
            "reason": refusal.map(|refusal| refusal.reason.as_log_text()),
            "steps": steps.collect::<Vec<_>>(),
        }));
    }
    for Step { stage, found } in steps {
        writeln!(output.out, "{stage:<10} {found}")?;
    }
    if refusal.is_none() {
        writeln!(output.out, "allowed")?;
    }
    Ok(())
}

fn sentence(refusal: &Refusal) -> String {
    let (denial, status) = (refusal.denial, refusal.denial.row().status);
    format!("denied: {denial} ({status}): {}", refusal.reason.as_log_text())
}

fn usage(detail: impl std::fmt::Display) -> Failure {
    Failure::plain(Exit::Usage, detail)
}
