//! What models see of responses.

use http::HeaderValue;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn response(status: u16, content_type: &str, body: &[u8], whole: Whole) -> Response {
    let mut fields = HeaderMap::new();
    if !content_type.is_empty() {
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).expect("a field"));
    }
    fields.insert(header::SERVER, HeaderValue::from_static("internal.example/1.0"));
    Response { status, fields, body: Bytes::copy_from_slice(body), whole }
}

const fn of_no_output(id: &RpcId, revision: Revision) -> To<'_> {
    To { id, revision, output: Output::Untold, request_id: "req-1" }
}

fn rendered(revision: Revision, response: &Response) -> Value {
    let id = RpcId("7".into());
    let text = String::from_utf8(of_response(of_no_output(&id, revision), response));
    let text = text.expect("UTF-8");
    assert!(!text.contains(['\n', '\r']), "{text}");
    assert!(!text.contains("internal.example"), "{text}");
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&value["jsonrpc"], &value["id"]), (&json!("2.0"), &json!(7)));
    value["result"].take()
}

/// What the record says of it.
fn is_error(status: u16, whole: Whole) -> bool {
    McpDetail::is_error_of(status) || whole == Whole::Broken
}

/// The result in the revision that has least around it.
fn check(response: &Response, expected: Value) {
    let old = rendered(Revision::R2025_11_25, response);
    assert_eq!(old, expected, "{response:?}");
    let new = rendered(Revision::R2026_07_28, response);
    assert_eq!(new["resultType"], "complete");
    assert_eq!(new["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "onegate");
    for member in ["content", "structuredContent", "isError"] {
        assert_eq!(new.get(member), expected.get(member), "{member}");
    }
    let failed = expected.get("isError") == Some(&json!(true));
    assert_eq!(is_error(response.status, response.whole), failed, "{response:?}");
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

fn failed(of: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": of }], "isError": true })
}

#[test]
fn json_is_text_and_structure() {
    let ok = |body: &str| response(200, "application/json", body.as_bytes(), Whole::Yes);
    let both = |shown: &str, structured: Value| json!({ "content": [{ "type": "text", "text": shown }], "structuredContent": structured });
    check(&ok("{\n  \"a\": 1.10\n}\n"), both(r#"{"a":1.10}"#, json!({ "a": 1.1 })));
    check(
        &ok(r#"{"s":"a\n\"b\" \\ é"}"#),
        both(r#"{"s":"a\n\"b\" \\ é"}"#, json!({ "s": "a\n\"b\" \\ é" })),
    );
    check(&ok("[1, 2] "), both("[1,2]", json!({ "result": [1, 2] })));
    check(&ok("\"x\""), both("\"x\"", json!({ "result": "x" })));
    check(&ok("\u{feff}null"), both("null", json!({ "result": null })));
    check(&ok("{\"a\":"), text("{\"a\":"));
    check(&ok("nope\u{1b}[31m"), text("nope[31m"));
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check(&ok(&deep(5_000)), text(&deep(5_000)));
    assert!(rendered(Revision::R2025_11_25, &ok(&deep(100))).get("structuredContent").is_some());
    let latin = response(200, "application/json", b"{\"a\":\"\xe9\"}", Whole::Yes);
    check(&latin, both("{\"a\":\"\u{fffd}\"}", json!({ "a": "\u{fffd}" })));
    let created = response(201, "application/hal+json", b"{}", Whole::Yes);
    check(&created, both("{}", json!({})));
}

#[test]
fn what_strict_parsers_refuse_is_text() {
    for body in [
        r#"{"a":1e999}"#,
        r#"{"a":-1.0E+999}"#,
        r#"["\ud800"]"#,
        r#"{"\udc00":1}"#,
        r#"["\ud800\u0041"]"#,
        r#"["\ud800x"]"#,
        "{} {}",
        "{\"a\":\"\u{1}\"}",
    ] {
        let kept: String = body.chars().filter(|c| !c.is_control()).collect();
        check(&response(200, "application/json", body.as_bytes(), Whole::Yes), text(&kept));
    }
    let whole = json!({ "content": [{ "type": "text", "text": r#"["\ud83d\ude00",1e308]"# }],
        "structuredContent": { "result": ["😀", 1e308] } });
    let body = br#"["\ud83d\ude00",1e308]"#;
    check(&response(200, "application/json", body, Whole::Yes), whole);
}

/// Clients throw where a tool says what its results look like and one has no structure.
#[test]
fn a_told_output_always_has_structure() {
    let kinds: [(u16, &str, &[u8]); 16] = [
        (204, "", b""),
        (200, "application/json", b""),
        (200, "application/json", b"{\"a\":1}"),
        (200, "application/json", b"[1]"),
        (200, "application/json", b"{\"a\":"),
        (200, "application/json", b"{\"a\":1e999}"),
        (200, "text/plain", b"a"),
        (200, "text/html", b"<p>"),
        (200, "text/event-stream", b"data: 1\n\n"),
        (200, "image/png", b"a"),
        (206, "audio/wav", b"a"),
        (200, "application/pdf", b"a"),
        (200, "", b"\0"),
        (200, TOOL_RESULT, br#"{"content":[]}"#),
        (200, TOOL_RESULT, br#"{"content":[],"structuredContent":{"b":1}}"#),
        (200, TOOL_RESULT, br#"{"content":[],"isError":true}"#),
    ];
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    let kinds = kinds.into_iter().chain([(200, "application/json", deep.as_bytes())]);
    let wholes = [Whole::Yes, Whole::Cut { bytes_max: 9 }, Whole::Collected, Whole::Broken];
    for (status, kind, body) in kinds {
        for (whole, revision) in wholes.iter().flat_map(|whole| Revision::ALL.map(|r| (*whole, r)))
        {
            let response = response(status, kind, body, whole);
            let id = RpcId("7".into());
            let to = To { output: Output::Told, ..of_no_output(&id, revision) };
            let text = of_response(to, &response);
            let mut told: Value = serde_json::from_slice(&text).expect("JSON");
            let mut result = told["result"].take();
            let untold = rendered(revision, &response);
            if result.get("isError").is_none() && untold.get("structuredContent").is_none() {
                let structured = result.as_object_mut().and_then(|r| r.remove("structuredContent"));
                assert_eq!(structured, Some(json!({})), "{kind} {whole:?}");
            }
            assert_eq!(result, untold, "{kind} {whole:?}");
        }
    }
}

const TOOL_RESULT: &str = "application/vnd.onegate.tool-result+json";

#[test]
fn what_is_not_whole_says_so() {
    let cut = "\n[cut after 9 bytes: ask for less, for instance with the operation's paging or filter \
               arguments]";
    let whole = Whole::Cut { bytes_max: 9 };
    let of = |kind: &str, body: &str, whole: Whole| response(200, kind, body.as_bytes(), whole);
    check(&of("application/json", "{\"a\": {}}", whole), text(&format!("{{\"a\": {{}}}}{cut}")));
    check(&of("text/plain", "some text", whole), text(&format!("some text{cut}")));
    check(&response(200, "text/plain", b"ab\xc3", whole), text(&format!("ab{cut}")));
    check(&response(200, "text/plain", b"ab\xc3", Whole::Yes), text("ab\u{fffd}"));
    let stream = "data: 1\n\n";
    let going_on = "\n[the stream goes on: this is what came while it was read]";
    check(&of("text/event-stream", stream, Whole::Collected), text(&format!("{stream}{going_on}")));
    let broken = "\n[the answer broke off here: it is not whole]";
    check(&of("text/plain", "ab", Whole::Broken), failed(&format!("ab{broken}")));
    check(&of("application/json", "{}", Whole::Broken), failed(&format!("{{}}{broken}")));
    check(
        &of("image/png", "123456789", whole),
        text("[image/png of more than 9 bytes: too large for a result]"),
    );
    let video = "[video/mp4, of which 3 bytes came\n[the answer broke off here: it is not whole]]";
    check(&of("video/mp4", "123", Whole::Broken), failed(video));
}

#[test]
fn other_types_are_blocks_of_their_kind() {
    let of = |kind: &str, body: &[u8]| response(200, kind, body, Whole::Yes);
    let block = |block: Value| json!({ "content": [block] });
    check(
        &of("image/PNG", b"hi"),
        block(json!({ "type": "image", "mimeType": "image/png", "data": "aGk=" })),
    );
    check(
        &of("audio/wav", b"hi"),
        block(json!({ "type": "audio", "mimeType": "audio/wav", "data": "aGk=" })),
    );
    let blob = |mime: &str| {
        let resource = json!({ "uri": "onegate://result/req-1", "mimeType": mime, "blob": "/wA=" });
        block(json!({ "type": "resource", "resource": resource }))
    };
    check(&of("application/pdf", b"\xff\0"), blob("application/pdf"));
    check(&of("", b"\xff\0"), blob("application/octet-stream"));
    check(&of("nonsense\"", b"\xff\0"), blob("application/octet-stream"));
    check(&of("", b"just text"), text("just text"));
    check(
        &of("", b"a\0"),
        block(json!({ "type": "resource", "resource":
        { "uri": "onegate://result/req-1", "mimeType": "application/octet-stream", "blob": "YQA=" } })),
    );
    check(&of("text/csv", b"a,b\r\n1,2\r\n"), text("a,b\n1,2\n"));
    check(&of("image/svg+xml", b"<svg/>"), text("<svg/>"));
    check(
        &response(204, "", b"", Whole::Yes),
        text("204 No Content: done, and there is no content."),
    );
    check(
        &response(200, "image/png", b"", Whole::Yes),
        text("200 OK: done, and there is no content."),
    );
}

#[test]
fn failures_say_what_to_do() {
    let check_meta = |response: &Response, shown: &str, problem: Value| {
        for revision in Revision::ALL {
            let result = rendered(revision, response);
            assert_eq!(result["content"], json!([{ "type": "text", "text": shown }]));
            assert_eq!(result["isError"], json!(true));
            assert_eq!(result["_meta"]["dev.onegate/problem"], problem, "{response:?}");
            assert!(result.get("structuredContent").is_none());
        }
    };
    let problem = br#"{"type":"x","title":"Not granted","status":403,"detail":"Ask its owner.","code":"not_granted","stack":"at x"}"#;
    check_meta(
        &response(403, "application/problem+json", problem, Whole::Yes),
        "403 Forbidden: Not granted\nAsk its owner.\nRequest id: req-1",
        json!({ "status": 403, "request_id": "req-1", "title": "Not granted",
            "detail": "Ask its owner.", "code": "not_granted" }),
    );
    let mut limited = response(
        429,
        "application/problem+json",
        br#"{"title":"Rate limited","violated-policies":["hour"]}"#,
        Whole::Yes,
    );
    limited.fields.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    check_meta(
        &limited,
        "429 Too Many Requests: Rate limited\nviolated-policies: [\"hour\"]\nTry again after 30 seconds.\nRequest id: req-1",
        json!({ "status": 429, "request_id": "req-1", "title": "Rate limited", "retry_after": 30 }),
    );
}

#[test]
fn of_an_upstreams_error_the_useful_part_is_told() {
    let shown = |status: u16, kind: &str, body: &str, expected: &str| {
        let expected = format!("{expected}\nRequest id: req-1");
        let result =
            rendered(Revision::R2025_11_25, &response(status, kind, body.as_bytes(), Whole::Yes));
        assert_eq!(result["content"][0]["text"], json!(expected), "{status} {body}");
        assert_eq!(result["isError"], json!(true));
    };
    let json = "application/json";
    shown(
        404,
        json,
        r#"{"title":"Not Found","message":"no such payment"}"#,
        "404 Not Found\nno such payment",
    );
    shown(400, json, r#"{"error":"bad amount"}"#, "400 Bad Request: bad amount");
    shown(
        400,
        json,
        r#"{"error":{"message":"bad amount","code":"x"}}"#,
        "400 Bad Request\nbad amount",
    );
    shown(
        422,
        json,
        r#"{"errors":[{"field":"a"}]}"#,
        "422 Unprocessable Entity\nerrors: [{\"field\":\"a\"}]",
    );
    shown(
        400,
        json,
        r#"{"amount":["is required"]}"#,
        "400 Bad Request\n{\"amount\":[\"is required\"]}",
    );
    shown(500, json, r#"{"host":"db-7"}"#, "500 Internal Server Error");
    shown(
        503,
        json,
        r#"{"error":{"message":"no database\n  at Db.java:7"},"title":"Down\nat x","errors":["db-7"]}"#,
        "503 Service Unavailable: Down\nno database",
    );
    shown(
        502,
        "application/problem+json",
        r#"{"type":"https://onegate.dev/problems/upstream_unreachable","detail":"one\ntwo","errors":[1]}"#,
        "502 Bad Gateway\none\ntwo\nerrors: [1]",
    );
    shown(400, json, "[1]", "400 Bad Request");
    shown(400, json, "{", "400 Bad Request");
    shown(400, "text/plain", "two\u{1b}\nlines", "400 Bad Request\ntwo\nlines");
    shown(502, "text/plain", "\nfirst\nat stack", "502 Bad Gateway\nfirst");
    shown(502, "text/html", "<h1>nginx</h1>", "502 Bad Gateway");
    shown(500, "application/octet-stream", "\0", "500 Internal Server Error");
    shown(599, "", "", "599");
    let long = "é".repeat(2_000);
    shown(400, "text/plain", &long, &format!("400 Bad Request\n{}…", "é".repeat(1_024)));
    let to = "The operation answered with a redirection, which a tool call does not follow. The gate's operator \
              can set the operation to where it points.";
    shown(302, json, "{}", &format!("302 Found\n{to}"));
    shown(304, "", "", &format!("304 Not Modified\n{to}"));
}

#[test]
fn bad_arguments_are_a_result() {
    let id = RpcId("7".into());
    let to = of_no_output(&id, Revision::R2025_11_25);
    let told: Value =
        serde_json::from_slice(&of_bad_arguments(to, &BadArguments("No \"x\".".into())))
            .expect("JSON");
    assert_eq!(told["result"], failed("The call was not made. No \"x\".\nRequest id: req-1"));
}

#[test]
fn upstreams_may_make_blocks() {
    let of = |body: &Value| {
        let kind = "application/vnd.onegate.tool-result+json";
        rendered(
            Revision::R2025_11_25,
            &response(200, kind, body.to_string().as_bytes(), Whole::Yes),
        )
    };
    let blocks = json!([
        { "type": "text", "text": "a" },
        { "type": "image", "mimeType": "image/png", "data": "aGk=" },
        { "type": "audio", "mimeType": "audio/wav", "data": "aGk=" },
        { "type": "resource", "resource": { "uri": "test://a", "mimeType": "text/plain", "text": "b" } },
        { "type": "resource", "resource": { "uri": "test://b", "blob": "aGk=" } },
    ]);
    assert_eq!(of(&json!({ "content": blocks })), json!({ "content": blocks }));
    let more = json!({ "content": [], "structuredContent": { "a": 1 }, "isError": false, "x": 1 });
    assert_eq!(of(&more), json!({ "content": [], "structuredContent": { "a": 1 } }));
    assert_eq!(
        of(&json!({ "content": [], "isError": true })),
        json!({ "content": [], "isError": true })
    );
    // Members that are not known do not go on.
    let dressed =
        json!({ "content": [{ "type": "text", "text": "a", "_meta": {}, "annotations": {} }] });
    assert_eq!(of(&dressed), text("a"));
    for other in [
        json!({ "content": [{ "type": "resource_link", "uri": "file:///x", "name": "x" }] }),
        json!({ "content": [{ "type": "image", "mimeType": "image/png", "data": "a GK=" }] }),
        json!({ "content": [{ "type": "resource", "resource": { "uri": "a", "text": "b", "blob": "" } }] }),
        json!({ "content": [7] }),
        json!({ "content": vec![json!({ "type": "text", "text": "a" }); 65] }),
        json!({ "content": [], "structuredContent": [1] }),
        json!({ "content": [], "isError": "no" }),
        json!({ "contents": [] }),
    ] {
        let shown = json!({ "content": [{ "type": "text", "text": other.to_string() }],
            "structuredContent": other });
        assert_eq!(of(&other), shown);
    }
}

proptest! {
    /// Whatever an upstream sends, the result is one line of JSON of the protocol's shape, without a control
    /// character but line breaks and tabs.
    #[test]
    fn any_response_is_a_result(
        status in 200..600_u16,
        kind in prop_oneof![
            Just(""), Just("application/json"), Just("application/problem+json"), Just("text/plain"),
            Just("image/png"), Just("application/pdf"), Just("text/event-stream"),
            Just("application/vnd.onegate.tool-result+json"),
        ],
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            any::<String>().prop_map(String::into_bytes),
            any::<String>().prop_map(|text| json!({ "title": text, "a\n": [text] }).to_string().into_bytes()),
        ],
        whole in prop_oneof![
            Just(Whole::Yes), Just(Whole::Cut { bytes_max: 80 }), Just(Whole::Collected),
            Just(Whole::Broken),
        ],
    ) {
        let response = response(status, kind, &body, whole);
        for revision in Revision::ALL {
            let result = rendered(revision, &response);
            let content = result["content"].as_array().expect("content");
            prop_assert_eq!(content.len(), 1);
            if let Some(text) = content[0]["text"].as_str() {
                let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
                prop_assert!(kind.ends_with("json") || !text.contains(is_odd), "{:?}", text);
            }
            let failed = result.get("isError") == Some(&json!(true));
            prop_assert_eq!(failed, is_error(status, whole));
            prop_assert!(result.get("structuredContent").is_none_or(Value::is_object));
        }
    }
}
