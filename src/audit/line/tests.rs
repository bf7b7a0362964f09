//! The format, field by field, and hostile texts through it and back.

use serde_json::{Value, json};

use super::*;
use crate::audit::segment::SegmentName;
use crate::audit::tests::{Entry, act, bare, full, message};
use crate::model::denial::{Denial, Failure, Reason};
use crate::model::id::{CredentialId, LimitName};
use crate::model::record::{Caller, McpDetail, Outcome};

fn encoder() -> Encoder {
    let name = SegmentName::parse("20261121T210748Z-1f2e3d4c-000001.jsonl").expect("a name");
    Encoder::new("node-1", name.boot)
}

fn line(entry: &Entry) -> String {
    let mut out = Vec::new();
    entry.encode(&mut encoder(), &mut out, 7);
    let text = String::from_utf8(out).expect("UTF-8");
    let line = text.strip_suffix('\n').expect("a line").to_owned();
    assert!(!line.contains('\n'), "one line");
    line
}

fn of_request(record: RequestRecord) -> String {
    line(&Entry::Request(Box::new(record)))
}

fn keys(line: &str) -> Vec<String> {
    // serde_json's map would sort them: their order in the text is the format's.
    let value: Value = serde_json::from_str(line).expect("JSON");
    let mut keys: Vec<String> = value.as_object().expect("an object").keys().cloned().collect();
    keys.sort_by_key(|key| line.find(&format!("\"{key}\":")));
    keys
}

#[test]
fn a_request_has_the_fields_of_the_format_in_its_order() {
    let record = RequestRecord {
        outcome: Outcome::Denied(Denial::RateLimited),
        reason: Some(Reason::told("it \"said\" no".into())),
        limit: LimitName::parse("50-per-1s").ok(),
        parent_request_id: Some("abc".into()),
        access: None,
        mcp: None,
        ..full(1)
    };
    let line = of_request(record);
    assert_eq!(
        line,
        concat!(
            r#"{"v":1,"seq":7,"node":"node-1","boot":"1f2e3d4c","#,
            r#""id":"019ca945-0a00-7000-8000-000000000001","time":"2026-03-01T12:00:00.000000Z","#,
            r#""surface":"rest","client":"mobile-app","profile":"default","#,
            r#""credential":"4fTq0aZ81kLm","credential_kind":"key","#,
            r#""holder":"Ann \"the\" Holder\n","peer_ip":"10.0.0.1","source_ip":"203.0.113.7","#,
            r#""method":"GET","host":"api.example.com","path":"/api/payments/7","#,
            r#""api":"payments","operation":"payments.get_payment","product":"payments-read","#,
            r#""decision":"denied","denial":"rate_limited","reason":"it \"said\" no","#,
            r#""limit":"50-per-1s","scopes_required":["payments:read"],"status":200,"#,
            r#""upstream":"payments","endpoint":"127.0.0.1:8080","end":"complete","#,
            r#""duration_us":1234,"upstream_us":1000,"request_bytes":0,"response_bytes":1024,"#,
            r#""policy":"0123456789abcdef+1","trace_id":"abababababababababababababababab","#,
            r#""parent_request_id":"abc"}"#,
        )
    );
}

#[test]
fn absent_facts_are_left_out() {
    let nothing = RequestRecord { status: 0, policy: "".into(), ..bare(1) };
    assert_eq!(
        keys(&of_request(nothing)),
        [
            "v",
            "seq",
            "node",
            "boot",
            "id",
            "time",
            "surface",
            "decision",
            "denial",
            "end",
            "duration_us",
            "request_bytes",
            "response_bytes"
        ]
    );
    let claimed = Caller::Anonymous { claimed: CredentialId::parse("4fTq0aZ81kLm") };
    let value: Value =
        serde_json::from_str(&of_request(RequestRecord { caller: claimed, ..bare(1) }))
            .expect("JSON");
    assert_eq!((&value["credential"], &value["client"]), (&json!("4fTq0aZ81kLm"), &Value::Null));
}

#[test]
fn an_outcome_is_a_decision_and_what_came_of_it() {
    let check = |outcome: Outcome, expected: Value| {
        let value: Value =
            serde_json::from_str(&of_request(RequestRecord { outcome, ..full(1) })).expect("JSON");
        assert_eq!(json!([value["decision"], value["denial"], value["failure"]]), expected);
    };
    check(Outcome::Allowed, json!(["allowed", null, null]));
    check(Outcome::Denied(Denial::NotGranted), json!(["denied", "not_granted", null]));
    let timeout = Outcome::Failed(Failure::UpstreamTimeout);
    check(timeout, json!(["allowed", null, "upstream_timeout"]));
}

fn of_message(detail: McpDetail) -> RequestRecord {
    RequestRecord { surface: Surface::Mcp, mcp: Some(Box::new(detail)), ..full(1) }
}

#[test]
fn a_message_has_its_fields_at_the_end() {
    let detail = McpDetail { agent: Some("claude-code/2.1".into()), ..message() };
    let line = of_request(of_message(detail));
    let begins = r#","surface":"mcp","client":"mobile-app","profile":"default","credential":"4fTq0aZ81kLm","#;
    assert!(line.contains(begins), "{line}");
    let agent = r#","holder":"Ann \"the\" Holder\n","agent":"claude-code/2.1","peer_ip":"#;
    assert!(line.contains(agent), "{line}");
    let ends = concat!(
        r#","mcp":{"tool":"payments_get_payment","via":"call_read_operation","#,
        r#""protocol":"2026-07-28","rpc_id":"a\u0000\"b","#,
        r#""tool_digest":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","#,
        r#""args_digest":"fedcba9876543210fedcba9876543210","is_error":false}}"#,
    );
    assert!(line.ends_with(ends), "{line}");
    let bare = of_request(of_message(McpDetail::default()));
    assert!(!bare.contains("\"mcp\":") && !bare.contains("\"agent\""), "{bare}");
    let read = Line::parse(line.as_bytes()).expect("a line").mcp.expect("a message");
    assert_eq!(read.tool.as_deref(), Some("payments_get_payment"));
    assert_eq!((read.protocol.as_deref(), read.is_error), (Some("2026-07-28"), Some(false)));
}

#[test]
fn an_id_of_a_message_is_a_number_or_a_text() {
    let check = |rpc_id: &str, expected: Value| {
        let detail = McpDetail { rpc_id: Some(rpc_id.into()), ..message() };
        let line = of_request(of_message(detail));
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["mcp"]["rpc_id"], expected, "{line}");
    };
    check("7", json!(7));
    check("-7", json!(-7));
    check("9223372036854775807", json!(i64::MAX));
    check("9223372036854775808", json!("9223372036854775808"));
    check("1e999", json!("1e999"));
    check("-0", json!("-0"));
    check("007", json!("007"));
    check("+7", json!("+7"));
    check(r#""7""#, json!("7"));
    check(r#""é\n\u001b\"""#, json!("é\n\u{1b}\""));
    check(r#""cut"#, json!("\"cut"));
    check("{\"a\":\n1},\"b\":2", json!("{\"a\":\n1},\"b\":2"));
    check("null", json!("null"));
}

#[test]
fn a_killed_gates_line_says_how_a_tools_call_went() {
    let check = |detail: McpDetail, status: u16, expected: Value| {
        let record = RequestRecord { status, ..of_message(detail) };
        let opening = Opening::of(&record);
        let (mut open, mut crashed, mut again) = (Vec::new(), Vec::new(), Vec::new());
        encoder().open(&mut open, 7, &opening);
        encoder().crashed(&mut crashed, 7, &opening);
        encoder().crashed_again(&mut again, 7, open.trim_ascii_end()).expect("an open line");
        let value = |line: &[u8]| serde_json::from_slice::<Value>(line).expect("JSON");
        assert_eq!(value(&open)["mcp"]["is_error"], Value::Null, "it goes on");
        assert_eq!(value(&crashed)["mcp"]["is_error"], expected);
        let text = |line: Vec<u8>| String::from_utf8(line).expect("UTF-8");
        assert_eq!(text(again), text(crashed));
    };
    check(message(), 200, json!(false));
    check(message(), 503, json!(true));
    check(message(), 0, json!(true));
    check(McpDetail { tool: None, ..message() }, 200, Value::Null);
    check(McpDetail::default(), 200, Value::Null);
    let only = McpDetail { tool: Some("a".into()), ..McpDetail::default() };
    check(only, 204, json!(false));
}

#[test]
fn an_act_has_the_fields_of_the_format_in_its_order() {
    let line = line(&Entry::Act(Box::new(act(1, "client.change"))));
    assert_eq!(
        line,
        concat!(
            r#"{"v":1,"seq":7,"node":"node-1","boot":"1f2e3d4c","#,
            r#""id":"019ca945-0a00-7000-8000-000000000001","time":"2026-03-01T12:00:00.000000Z","#,
            r#""surface":"admin","decision":"allowed","policy":"0123456789abcdef+1","#,
            r#""actor":"uid=0 login=ann sudo_user=-","action":"client.change","#,
            r#""target":"client/mobile-app","reason_given":"left\tthe \\ team","ticket":"OPS-7","#,
            r#""before":null,"after":{   "owner": "team-a" }}"#,
        )
    );
}

#[test]
fn hostile_texts_come_back_as_they_were() {
    let check = |text: &str| {
        let record = RequestRecord { path: text.into(), host: text.into(), ..full(1) };
        let line = of_request(record);
        let read = Line::parse(line.as_bytes()).expect("a line");
        assert_eq!(read.path.as_deref(), Some(text));
        let id = serde_json::to_string(text).expect("a text");
        let (agent, tool) = (Some(text.into()), Some(text.into()));
        let detail = McpDetail { agent, tool, rpc_id: Some(id.into()), ..message() };
        let line = of_request(of_message(detail));
        let value: Value = serde_json::from_str(&line).expect("JSON");
        let read = [&value["agent"], &value["mcp"]["tool"], &value["mcp"]["rpc_id"]];
        assert_eq!(read, [text; 3]);
    };
    check("\"},{\"seq\":1,\"");
    check("\n{\"v\":1}\n");
    check("\u{0}\u{1b}[31m\u{7f}\u{85}\u{2028}\u{feff}");
    check("\\u0022\\");
    check("日本/\u{10ffff}");
    check(&"\u{1}".repeat(10_000));
}

#[test]
fn a_line_is_read_back() {
    let text = of_request(full(1));
    let line = Line::parse(text.as_bytes()).expect("a line");
    assert_eq!((line.seq, line.time), (7, full(1).time));
    assert_eq!(&*line.id, "019ca945-0a00-7000-8000-000000000001");
    assert_eq!((&*line.surface, &*line.decision), ("rest", "allowed"));
    assert_eq!(line.client.as_deref(), Some("mobile-app"));
    assert_eq!(line.credential.as_deref(), Some("4fTq0aZ81kLm"));
    assert_eq!((line.peer_ip, line.source_ip), (full(1).peer_ip, full(1).source_ip));
    assert_eq!(line.operation.as_deref(), Some("payments.get_payment"));
    assert_eq!((line.status, line.duration_us), (Some(200), Some(1234)));
    assert!(matches!(&line.path, Some(Text(Cow::Borrowed(_)))), "borrowed where it can be");

    let text = self::line(&Entry::Act(Box::new(act(1, "client.change"))));
    let line = Line::parse(text.as_bytes()).expect("a line");
    assert_eq!(line.action.as_deref(), Some("client.change"));
    assert_eq!(line.target.as_deref(), Some("client/mobile-app"));
    assert_eq!(line.status, None);
}

#[test]
fn what_is_no_line_is_refused() {
    let check = |text: &[u8], expected: &str| {
        let error = Line::parse(text).expect_err("no line").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let good = of_request(full(1));
    check(b"", "EOF");
    check(&good.as_bytes()[..good.len() - 1], "EOF");
    check(good.replace("\"v\":1", "\"v\":2").as_bytes(), "unknown format version 2");
    check(good.replace("2026-03-01T12", "2026-03-01T99").as_bytes(), "is no record");
    check(good.replace("\"seq\":7", "\"seq\":-7").as_bytes(), "is no record");
    check(b"{\"v\":1}", "missing field");
}
