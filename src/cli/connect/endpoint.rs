//! Where MCP clients reach the endpoint: what the config can tell of it, or what the operator says.

use std::net::IpAddr;

use crate::cli::Exit;
use crate::cli::output::Failure;
use crate::model::id::ApiName;
use crate::model::mcp::Mcp;
use crate::model::policy::{Listener, Policy, Scheme};
use crate::request::{classify, head};

/// One URL, and what there is to say of it.
#[derive(Debug)]
pub struct Endpoint {
    pub url: String,
    pub notes: Vec<String>,
}

/// How many other URLs are named.
const OTHERS_MAX: usize = 3;

/// What the operator says, with the endpoint's path where it has none.
pub fn given(text: &str, path: &str) -> Result<Endpoint, Failure> {
    // The text itself is not shown: it may hold what should not be in it.
    let usage = |why: &str| Failure::plain(Exit::Usage, format!("--url {why}"));
    let (scheme, rest) = text
        .split_once("://")
        .filter(|(scheme, _)| SCHEMES.contains(scheme))
        .ok_or_else(|| usage("begins with https:// or http://"))?;
    let (authority, own_path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = head::parse_host(authority.as_bytes()).ok_or_else(|| {
        usage("names a host, perhaps a port and a path, and nothing else: keys go into the header")
    })?;
    // What a shell, a program's text or a client's own variables would read as something else.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%".contains(c);
    if !own_path.chars().all(is_plain) {
        return Err(usage("has a path of letters, digits and /-._~% alone, without a query"));
    }
    let path = if matches!(own_path, "" | "/") { path } else { own_path };
    let notes = in_the_clear(scheme, &host).into_iter().collect();
    Ok(Endpoint { url: format!("{scheme}://{authority}{path}"), notes })
}

const SCHEMES: [&str; 2] = [Scheme::Https.as_str(), Scheme::Http.as_str()];

/// The best of the URLs that the config tells: with TLS where there is some, since the key travels with
/// each message, and under a host of what the client is granted.
pub fn of_config(policy: &Policy, mcp: &Mcp, products: &[&str]) -> Result<Endpoint, Failure> {
    let (encrypted, plain): (Vec<_>, Vec<_>) =
        policy.listeners.iter().partition(|listener| listener.tls.is_some());
    let names = names(policy, mcp, products);
    // Port 0 is any port: only the running gate knows which.
    let listeners = encrypted.into_iter().chain(plain).filter(|of| of.address.port() != 0);
    let (mut urls, mut first) = (Vec::new(), None);
    for listener in listeners {
        for host in hosts_at(listener, policy, mcp, &names) {
            let url = url(listener, &host, &mcp.path);
            if !urls.contains(&url) {
                urls.push(url);
            }
            first.get_or_insert((listener.scheme().as_str(), host));
        }
    }
    let Some((url, (scheme, host))) = urls.first().cloned().zip(first) else {
        return Err(Failure::not_done(
            "the config does not tell under which name MCP clients reach the endpoint",
            format!("Say where it is: --url https://HOST{}", mcp.path),
        ));
    };
    let mut notes: Vec<String> = others(urls.get(1..).unwrap_or_default()).into_iter().collect();
    if is_loopback(&host) {
        notes.push(format!(
            "Only programs on the gate's own machine reach it there. For others, say where it is: \
             --url https://HOST{}",
            mcp.path
        ));
    }
    notes.extend(in_the_clear(scheme, &host));
    Ok(Endpoint { url, notes })
}

/// The hosts that config names for the endpoint, those of granted apis first.
fn names(policy: &Policy, mcp: &Mcp, products: &[&str]) -> Vec<String> {
    if !mcp.hosts.is_empty() {
        return mcp.hosts.iter().map(ToString::to_string).collect();
    }
    let products = policy.products.iter().filter(|of| products.contains(&of.name.as_str()));
    let operations = products.flat_map(|product| &product.operations);
    let granted: Vec<&ApiName> = operations
        .filter_map(|id| policy.operations.get(id))
        .map(|operation| &operation.api.name)
        .collect();
    let mut hosts: Vec<_> = policy.hosts.exact.iter().collect();
    hosts.sort_by_key(|(host, apis)| {
        let is_granted = apis.iter().any(|api| granted.contains(&&api.name));
        (!is_granted, *host)
    });
    hosts.into_iter().map(|(host, _)| host.to_string()).collect()
}

/// Under which hosts the endpoint is at one listener: the named ones, then those that only the listener
/// tells. With TLS, none that its certificates do not prove.
fn hosts_at(listener: &Listener, policy: &Policy, mcp: &Mcp, told: &[String]) -> Vec<String> {
    let named = told.iter().cloned();
    let Some(tls) = &listener.tls else {
        let any = mcp.hosts.is_empty() && !policy.hosts.any.is_empty();
        let own = any.then(|| listener.reachable().ip().to_string());
        return named.chain(own).collect();
    };
    let certificates = || tls.certificates.iter().map(|files| &files.loaded);
    let is_proven = |host: &String| certificates().any(|certificate| certificate.covers(host));
    let mut hosts: Vec<String> = named.filter(is_proven).collect();
    let proven = certificates().flat_map(|certificate| &certificate.names);
    let serves = |name: &str| mcp.hosts.is_empty() && classify::has_host(&policy.hosts, name);
    for name in proven.filter(|name| !name.starts_with('*') && serves(name)) {
        if !hosts.iter().any(|host| **host == **name) {
            hosts.push(name.to_string());
        }
    }
    hosts
}

fn url(listener: &Listener, host: &str, path: &str) -> String {
    let (scheme, port) = (listener.scheme(), listener.address.port());
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = match (scheme, port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => String::new(),
        _ => format!(":{port}"),
    };
    format!("{}://{host}{port}{path}", scheme.as_str())
}

fn others(urls: &[String]) -> Option<String> {
    let named = urls.get(..OTHERS_MAX).unwrap_or(urls);
    let more = match urls.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = named.join(", ");
    (!urls.is_empty())
        .then(|| format!("The endpoint is also at {named}{more}. Choose another with --url."))
}

fn in_the_clear(scheme: &str, host: &str) -> Option<String> {
    let is_open = scheme == Scheme::Http.as_str() && !is_loopback(host);
    is_open.then(|| {
        "The key travels unencrypted there: give the listener TLS, or name what has TLS before it with \
         --url."
            .to_owned()
    })
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || ip.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
