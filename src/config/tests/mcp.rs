//! `[mcp]`: the endpoint that a config describes, and what it says of those whose path it takes.

use std::path::Path;
use std::time::Duration;

use super::super::*;
use crate::model::api::{Access, Metering};
use crate::model::mcp::{Mcp, Method};
use crate::model::tool::Tool;

/// In one line for each thing.
pub(super) fn describe(mcp: Option<&Mcp>) -> String {
    let Some(mcp) = mcp else { return "mcp off".to_owned() };
    let Mcp { path, hosts, origins, bounds, catalogue, .. } = mcp;
    let tools = catalogue.tools().iter().map(|tool| {
        let Tool { name, operation, host, path, arguments, body, .. } = &**tool;
        let arguments = arguments.iter().map(|argument| (&argument.name, &argument.place));
        let arguments = arguments.collect::<Vec<_>>();
        format!("\n  tool {name} {} {host:?} {path:?} {arguments:?} {body:?}", operation.id)
    });
    let tools = tools.collect::<String>();
    format!("mcp {path} {hosts:?} {origins:?} {bounds:?}{tools}")
}

fn mcp(text: &str) -> Option<Mcp> {
    let text = format!("[[listener]]\nname = 'a'\naddress = '127.0.0.1:0'\n{text}");
    let loaded = load_text(Path::new("gateway.toml"), &text);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.policy.mcp
}

#[test]
fn the_endpoint_is_what_its_section_says() {
    let on = mcp("").expect("it is on");
    assert_eq!((&*on.path, &*on.hosts, &*on.origins), ("/mcp", &[][..], &[][..]));
    assert!(mcp("[mcp]\nendpoint = 'off'\n").is_none());
    let set = "[mcp]\npath = '/agents/mcp'\nhosts = ['MCP.example.com', '127.0.0.1']\n\
               origins = ['https://app.example.com']\nmessage_bytes_max = '2MiB'\n\
               result_bytes_max = '1MiB'\nstream_after = '1s'\nkeep_alive = '2s'\n\
               collect_for = '3s'\nlisteners_max = 4\nlisten_for = '5m'\n";
    let set = mcp(set).expect("it is on");
    assert_eq!(&*set.path, "/agents/mcp");
    assert_eq!(*set.hosts, ["mcp.example.com".into(), "127.0.0.1".into()]);
    assert_eq!(*set.origins, ["https://app.example.com".into()]);
    let bounds = set.bounds;
    assert_eq!((bounds.message_bytes_max, bounds.result_bytes_max), (2 << 20, 1 << 20));
    let seconds = [bounds.stream_after, bounds.keep_alive, bounds.collect_for, bounds.listen_for];
    assert_eq!(seconds, [1, 2, 3, 300].map(Duration::from_secs));
    assert_eq!(bounds.listeners_max, 4);
}

#[test]
fn methods_are_operations_of_the_gate() {
    let mcp = mcp("").expect("it is on");
    let ids = Method::ALL.map(|method| mcp.operation(method).id.to_string());
    assert_eq!(
        ids,
        [
            "mcp.initialize",
            "mcp.server/discover",
            "mcp.ping",
            "mcp.tools/list",
            "mcp.tools/call",
            "mcp.subscriptions/listen",
            "mcp.notification",
            "mcp.malformed",
        ]
    );
    assert_eq!((mcp.api.name.as_str(), mcp.api.access), ("mcp", Access::Identified));
    for method in Method::ALL {
        let operation = mcp.operation(method);
        assert_eq!((operation.metering, operation.body_bytes_max), (Metering::RatesOnly, 1 << 20));
        assert!(operation.scopes.is_empty() && operation.products.is_empty());
    }
}

#[test]
fn a_tool_is_called_what_config_says() {
    let api = "[[upstream]]\nname = 'u'\nendpoints = ['127.0.0.1:1']\n\
               [[api]]\nname = 'a'\nupstream = 'u'\naccess = 'public'\n\
               hosts = ['*.example.com', 'api.example.com', 'b.example.com']\n";
    let operation = |id: &str, tool: &str| {
        format!("[[api.operation]]\nid = '{id}'\nmethods = ['GET']\npath = '/{id}'\n{tool}\n")
    };
    let told = "tool = { name = 'look', description = \"See \\u200bit.\\nAll of it.\" }";
    let text = [api, &operation("told", told), &operation("plain", "")].concat();
    let mcp = mcp(&text).expect("it is on");
    let names: Vec<_> = mcp.catalogue.tools().iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["a_plain", "look"]);
    let tool = mcp.catalogue.get("look").expect("there");
    assert!(tool.definition.contains(r#""description":"See it.\nAll of it.""#));
    assert_eq!(
        (tool.operation.id.as_str(), tool.host.as_deref()),
        ("a.told", Some("api.example.com"))
    );
    let plain = mcp.catalogue.get("a_plain").expect("there");
    assert!(plain.definition.contains(r#""description":"GET /plain""#));
}
