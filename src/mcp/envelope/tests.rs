//! The order of checks, row by row.

mod hostile;

use super::*;
use crate::mcp::fault::FaultKind;
use crate::mcp::testing::{argument, catalogue, tool};
use crate::model::tool::{Place, Style};

const V: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
const C: &str = r#""io.modelcontextprotocol/clientCapabilities":{}"#;

fn tools() -> Catalogue {
    let query = |name: &str| Place::Query { name: name.into(), style: Style::Form };
    let mut region = argument("region", query("region"));
    region.mirrored = Some("Region".into());
    catalogue(vec![tool("pay", &[], vec![argument("id", query("id")), region])])
}

/// Head fields, as a test has them: `name: value` in lower case.
#[derive(Debug, Default)]
struct Head(Vec<(&'static str, String)>);

impl Head {
    /// What a modern caller sends.
    fn modern(method: &str) -> Self {
        let head = Self::default().with("mcp-protocol-version", "2026-07-28");
        head.with("mcp-method", method)
    }

    fn legacy(version: &str) -> Self {
        Self::default().with("mcp-protocol-version", version)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(field, _)| *field != name);
        self
    }

    fn mirror(&self, name: &str) -> Mirror<'_> {
        let mut of_name = self.0.iter().filter(|(field, _)| *field == name);
        match (of_name.next(), of_name.next()) {
            (None, _) => Mirror::Absent,
            (Some((_, value)), None) => Mirror::Once(value.as_bytes()),
            (Some(_), Some(_)) => Mirror::Repeated,
        }
    }

    fn mirrors(&self) -> Mirrors<'_> {
        let params = self.0.iter();
        let params = params
            .filter_map(|(name, value)| Some((name.strip_prefix("mcp-param-")?, value.as_bytes())));
        Mirrors {
            content_type: Some(b"application/json"),
            protocol_version: self.mirror("mcp-protocol-version"),
            method: self.mirror("mcp-method"),
            name: self.mirror("mcp-name"),
            params: params.collect(),
        }
    }
}

/// A message read, as one word: what it asks in which revision, or status, code and id of its fault.
fn told(head: &Head, body: &str) -> String {
    let tools = tools();
    match read(body.as_bytes(), &head.mirrors(), &tools) {
        Ok(message) => {
            let asked = match message.asked {
                Asked::Notification => "notification".into(),
                Asked::Request { id, call } => format!("{} {call:?}", id.0),
            };
            format!("{} {asked}", message.revision.as_str())
        }
        Err(fault) => {
            let id = fault.id.as_ref().map_or("-", |id| &id.0);
            format!("{} {} {id}", fault.status(), fault.code())
        }
    }
}

fn check(head: &Head, body: &str, expected: &str) {
    assert_eq!(told(head, body), expected, "{body} {:?}", head.0);
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

/// With the `_meta` that a modern caller sends.
fn modern(method: &str, rest: &str) -> String {
    request(method, &format!(r#"{{"_meta":{{{V},{C}}}{rest}}}"#))
}

#[test]
fn frames_are_checked_first() {
    for head in [Head::default(), Head::modern("ping"), Head::legacy("2025-06-18")] {
        let check = |body: &str, expected: &str| check(&head, body, expected);
        for body in ["", "{", "nul", "{\"jsonrpc\":\"2.0\",}", "{} {}", "{\"a\":\"\\ud800\u{1}\"}"]
        {
            check(body, "400 -32700 -");
        }
        for body in ["[]", "1", "\"x\"", "null", "1e999", "{}", r#"[{"jsonrpc":"2.0","id":1}]"#] {
            check(body, "400 -32600 -");
        }
        check(r#"{"id":1,"method":"ping"}"#, "400 -32600 1");
        check(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "400 -32600 1");
        check(r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, "400 -32600 1");
        check(r#"{"jsonrpc":"2.0","id":"a","method":7}"#, "400 -32600 \"a\"");
        check(r#"{"jsonrpc":"2.0","id":"a"}"#, "400 -32600 \"a\"");
        for id in ["null", "1.5", "1.0", "1e2", "{}", "[1]", "true", "\"\\ud800\""] {
            check(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#), "400 -32600 -");
        }
        check(r#"{"jsonrpc":"2.0","method":"ping"}"#, "400 -32600 -");
        check(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "400 -32600 1");
        check(r#"{"jsonrpc":"2.0","id":1,"error":{}}"#, "400 -32600 1");
        check(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, "400 -32600 1");
        check(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":1e999}"#, "400 -32600 1");
        check(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":7}}"#, "400 -32602 1");
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"ping","method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"ping","params":{},"params":{}}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"ping","params":{"name":"a","n\u0061me":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"ping","params":{"_meta":{},"_meta":{}}}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"ping","params":{"_meta":{"traceparent":"","traceparent":""}}}"#,
        ] {
            check(body, "400 -32600 2");
        }
        let nearest = Version::of(head.mirrors().protocol_version).nearest().as_str();
        let noted = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        check(noted, &format!("{nearest} notification"));
    }
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(1_023));
    check(&Head::default(), &long, "400 -32600 -");
    let tools = tools();
    let utf8 = read(b"{\"jsonrpc\":\"\xff\"}", &Head::default().mirrors(), &tools);
    assert_eq!(utf8.expect_err("no UTF-8").kind, FaultKind::ParseError);
}

#[test]
fn only_json_is_read() {
    let check = |content_type: Option<&str>, expected: bool| {
        let content_type = content_type.map(str::as_bytes);
        let mirrors = Mirrors { content_type, ..Mirrors::default() };
        let tools = tools();
        let message = read(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, &mirrors, &tools);
        assert_eq!(message.is_ok(), expected, "{content_type:?}");
        if let Err(fault) = message {
            assert_eq!((fault.kind.clone(), fault.status()), (FaultKind::ContentType, 415));
        }
    };
    check(Some("application/json"), true);
    check(Some("Application/JSON; Charset=UTF-8"), true);
    check(Some("application/json;charset=\"utf-8\" ; x=y"), true);
    check(Some("application/json; charset=latin1"), false);
    check(Some("application/jsonp"), false);
    check(Some("text/plain"), false);
    check(Some(""), false);
    check(None, false);
}

#[test]
fn older_revisions_are_served_without_mirrors() {
    let none = Head::default();
    check(&none, &request("ping", "{}"), "2025-03-26 1 Ping");
    check(&none, r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#, "2025-03-26 1 Ping");
    check(&Head::legacy(" 2025-06-18\t"), &request("ping", "{}"), "2025-06-18 1 Ping");
    let false_mirrors = || {
        let head = Head::legacy("2025-11-25").with("mcp-method", "tools/call");
        head.with("mcp-name", "x").with("mcp-name", "y").with("mcp-param-region", "z")
    };
    check(&false_mirrors(), &request("ping", "{}"), "2025-11-25 1 Ping");
    check(
        &false_mirrors(),
        &request("tools/call", r#"{"name":"pay","arguments":{"region":"eu"}}"#),
        r#"2025-11-25 1 CallTool(ToolCall { name: "pay", arguments: Some(Raw { text: "{\"region\":\"eu\"}", has_escapes: false }), progress_token: None })"#,
    );
    let list = |params: &str| request("tools/list", params);
    check(&none, &list("{}"), "2025-03-26 1 ListTools { cursor: None }");
    check(&none, &list(r#"{"cursor":""}"#), r#"2025-03-26 1 ListTools { cursor: Some("") }"#);
    check(&none, &list(r#"{"cursor":7}"#), "200 -32602 1");
    for method in ["server/discover", "subscriptions/listen", "resources/list", "malformed", ""] {
        check(&none, &request(method, "{}"), "200 -32601 1");
    }
    check(&none, &request("tools/call", r#"{"name":"nope"}"#), "200 -32602 1");
    check(&none, &request("tools/call", r#"{"name":"pay","arguments":[]}"#), "200 -32602 1");
    check(&none, &request("tools/call", r#"{"arguments":{}}"#), "200 -32602 1");
    for version in ["2024-11-05", "v999", "2025-11-2\u{e9}", ""] {
        check(&Head::legacy(version), &request("tools/list", "{}"), "400 -32022 1");
    }
    let twice = Head::legacy("2025-11-25").with("mcp-protocol-version", "2025-11-25");
    check(&twice, &request("tools/list", "{}"), "400 -32020 1");
    // A revision that has no `_meta` of its own may be named there.
    let named = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25"}}"#;
    check(&none, &request("ping", named), "2025-11-25 1 Ping");
    check(&Head::legacy("2025-11-25"), &request("ping", named), "2025-11-25 1 Ping");
    check(&Head::legacy("2026-07-28"), &request("ping", named), "400 -32020 1");
}

#[test]
fn initialize_negotiates_whatever_the_head_says() {
    let heads = [
        Head::default(),
        Head::legacy("2026-07-28"),
        Head::legacy("2024-11-05"),
        Head::legacy("x").with("mcp-protocol-version", "y"),
        Head::modern("tools/list"),
    ];
    for head in &heads {
        for (wish, answer) in [
            (r#"{"protocolVersion":"2025-03-26"}"#, "2025-03-26"),
            (r#"{"protocolVersion":"2025-06-18"}"#, "2025-06-18"),
            (r#"{"protocolVersion":"2026-07-28"}"#, "2025-11-25"),
            (r#"{"protocolVersion":"2024-11-05"}"#, "2025-11-25"),
            (r#"{"protocolVersion":7}"#, "2025-11-25"),
            ("{}", "2025-11-25"),
        ] {
            let revision = Revision::parse(answer).expect("one of ours");
            let expected = format!("{answer} 1 Initialize({revision:?})");
            check(head, &request("initialize", wish), &expected);
        }
    }
    let params = r#"{"protocolVersion":"2025-06-18","clientInfo":{"name":"c","version":"1"}}"#;
    let tools = tools();
    let body = request("initialize", params);
    let message = read(body.as_bytes(), &Head::default().mirrors(), &tools).expect("valid");
    assert_eq!(message.agent.as_deref(), Some("c/1"));
}

#[test]
fn modern_checks_have_their_order() {
    let list = || Head::modern("tools/list");
    let body = modern("tools/list", "");
    check(&list(), &body, "2026-07-28 1 ListTools { cursor: None }");
    // The field, the version in the body, that both agree, that it is one of ours.
    check(&list().without("mcp-protocol-version"), &body, "400 -32020 1");
    check(&list().with("mcp-protocol-version", "2026-07-28"), &body, "400 -32020 1");
    check(&list(), &request("tools/list", "{}"), "400 -32602 1");
    check(&list(), r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, "400 -32602 1");
    check(&list(), &request("tools/list", &format!(r#"{{"_meta":{{{C}}}}}"#)), "400 -32602 1");
    let numbered = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}"#;
    check(&list(), &request("tools/list", numbered), "400 -32602 1");
    let other = request(
        "tools/list",
        &format!(r#"{{"_meta":{{{},{C}}}}}"#, V.replace("2026-07-28", "v999")),
    );
    check(&list(), &other, "400 -32020 1");
    check(&Head::legacy("v999").with("mcp-method", "nope"), &other, "400 -32022 1");
    check(&Head::legacy("2025-11-25"), &body, "400 -32020 1");
    // What the caller can do, then the mirrors.
    let able = request("tools/list", &format!(r#"{{"_meta":{{{V}}}}}"#));
    check(&list().without("mcp-method"), &able, "400 -32602 1");
    check(&list(), &able.replace(V, &format!("{V},{}", C.replace("{}", "[]"))), "400 -32602 1");
    check(&list().without("mcp-method"), &body, "400 -32020 1");
    check(&Head::modern("tools/call"), &body, "400 -32020 1");
    check(&Head::modern("TOOLS/LIST"), &body, "400 -32020 1");
    check(&Head::modern(" tools/list\t"), &body, "2026-07-28 1 ListTools { cursor: None }");
    check(&list().with("mcp-method", "tools/list"), &body, "400 -32020 1");
    // Methods, those of the older revisions among them.
    for method in ["initialize", "ping", "logging/setLevel", "resources/list", "notification", ""] {
        check(&Head::modern(method), &modern(method, ""), "404 -32601 1");
    }
    check(
        &Head::modern("server/discover"),
        &modern("server/discover", ""),
        "2026-07-28 1 Discover",
    );
    let listen = |rest: &str, expected: &str| {
        let method = "subscriptions/listen";
        check(&Head::modern(method), &modern(method, rest), expected);
    };
    listen(r#","notifications":{"toolsListChanged":true}"#, "2026-07-28 1 Listen { tools: true }");
    listen(r#","notifications":{"x":[1]}"#, "2026-07-28 1 Listen { tools: false }");
    listen(r#","notifications":{"toolsListChanged":1}"#, "200 -32602 1");
    listen(r#","notifications":[]"#, "200 -32602 1");
    listen("", "200 -32602 1");
}

#[test]
fn a_modern_call_mirrors_name_and_arguments() {
    let call = |fields: &[(&'static str, &str)], rest: &str, expected: &str| {
        let mut head = Head::modern("tools/call");
        for (name, value) in fields {
            head = head.with(name, value);
        }
        let told = told(&head, &modern("tools/call", rest));
        let told = if told.contains("CallTool") { "call" } else { &told };
        assert_eq!(told, expected, "{fields:?} {rest}");
    };
    let (mismatch, params) = ("400 -32020 1", "200 -32602 1");
    let pay = r#","name":"pay""#;
    call(&[("mcp-name", "pay")], pay, "call");
    call(&[("mcp-name", " pay ")], pay, "call");
    call(&[("mcp-name", "=?base64?cGF5?=")], pay, "call");
    call(&[("mcp-name", "=?base64?cGF5=?=")], pay, mismatch);
    call(&[("mcp-name", "Pay")], pay, mismatch);
    call(&[], pay, mismatch);
    call(&[("mcp-name", "pay"), ("mcp-name", "pay")], pay, mismatch);
    call(&[("mcp-name", "nope")], r#","name":"nope""#, params);
    call(&[("mcp-name", "pay")], "", params);
    call(&[("mcp-name", "pay")], r#","name":"pay","arguments":7"#, params);
    call(&[("mcp-name", "pay")], r#","name":"pay","arguments":null"#, "call");
    let region = |fields: &[&str], value: &str, expected: &str| {
        let mut all = vec![("mcp-name", "pay"), ("mcp-param-other", "ignored")];
        all.extend(fields.iter().map(|field| ("mcp-param-region", *field)));
        call(&all, &format!(r#","name":"pay","arguments":{{"region":{value}}}"#), expected);
    };
    region(&["eu"], r#""eu""#, "call");
    region(&["EU"], r#""eu""#, mismatch);
    region(&[], r#""eu""#, mismatch);
    region(&["eu", "eu"], r#""eu""#, mismatch);
    region(&["=?base64?w6k=?="], r#""é""#, "call");
    region(&["=?base64?w6k?="], r#""é""#, mismatch);
    region(&["é"], r#""é""#, mismatch);
    region(&[], "null", "call");
    region(&["null"], "null", mismatch);
    region(&["42.0"], "42", "call");
    region(&["43"], "42", mismatch);
    region(&["true"], "true", "call");
    region(&[], r#"["eu"]"#, "call");
    call(&[("mcp-name", "pay"), ("mcp-param-region", "eu")], pay, mismatch);
}

#[test]
fn what_a_call_carries_is_read() {
    let meta = format!(
        r#""_meta":{{{V},{C},"progressToken":"t","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","io.modelcontextprotocol/clientInfo":{{"name":"agent","version":"7"}}}}"#
    );
    let body =
        request("tools/call", &format!(r#"{{{meta},"name":"p\u0061y","arguments":{{"id": 1}}}}"#));
    let tools = tools();
    let head = Head::modern("tools/call").with("mcp-name", "pay");
    let message = read(body.as_bytes(), &head.mirrors(), &tools).expect("valid");
    assert_eq!(message.agent.as_deref(), Some("agent/7"));
    assert!(message.traceparent.is_some());
    let Asked::Request { id, call: Call::CallTool(call) } = message.asked else {
        panic!("no call")
    };
    assert_eq!((&*id.0, &*call.name), ("1", "pay"));
    assert_eq!(call.arguments.map(Raw::get), Some(r#"{"id": 1}"#));
    assert_eq!(call.progress_token.map(Raw::get), Some(r#""t""#));
    let listed = body.replace(r#""progressToken":"t""#, r#""progressToken":["t"]"#);
    let fault = read(listed.as_bytes(), &head.mirrors(), &tools).expect_err("no token");
    assert_eq!((fault.status(), fault.code()), (400, -32602));
}
