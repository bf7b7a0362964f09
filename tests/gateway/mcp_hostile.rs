//! Arguments that try to be more than one thing. Whatever a model sends, the operation's path template,
//! its parameters and its fields are what arrives: a recording service says so.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::harness::mcp::{Answer, Era};
use super::harness::scripted::Asked;
use super::harness::toolbox::Toolbox;

/// What may stand in one segment, in one value or in one member, and would change a request that is put
/// together carelessly.
const TEXTS: [&str; 32] = [
    "../../admin",
    "..",
    ".",
    "...",
    "%2e%2e%2f",
    "%2e%2e",
    "..%2fadmin",
    "..\\admin",
    "a/b",
    "/",
    "//evil.example.com/",
    "a?x=1",
    "a&limit=9",
    "a#b",
    "a;b=c",
    "a%00b",
    "a\0b",
    "a\r\nX-Evil: 1",
    "a\nX-Evil: 1",
    "a HTTP/1.1\r\nHost: evil.example.com\r\n\r\nGET /admin",
    "a\tb",
    "a b",
    " a",
    "{n}",
    "%",
    "%zz",
    "%25",
    "\u{e9}\u{4e2d}\u{1f600}",
    "\u{202e}evil",
    "\u{7f}",
    "@evil.example.com",
    "http://evil.example.com/",
];

#[test]
fn a_text_is_one_segment_or_is_refused() {
    let toolbox = Toolbox::start();
    let usual = usual_fields(&toolbox);
    let odd = ["", "og_live_wrong", "a+b", "~", "*", "a:b", "a=b", "a,b", "$", "!", "'", "(", "|"];
    let ascii = (0_u8..0x80).map(|byte| format!("a{}b", char::from(byte)));
    let texts = TEXTS.iter().chain(&odd).map(|text| (*text).to_owned()).chain(ascii);
    for (at, text) in texts.enumerate() {
        let era = if at.is_multiple_of(2) { Era::Modern } else { Era::Legacy };
        let before = toolbox.upstream.asked().len();
        let answer = toolbox.ask(&era.call("lab_read", &json!({ "n": text })));
        let asked = toolbox.upstream.asked();
        let arrived = expect_one_or_refused(&answer, &asked[before..], &text);
        let Some(arrived) = arrived else { continue };
        let segment = arrived.target.strip_prefix("/lab/ok/");
        let segment = segment.unwrap_or_else(|| panic!("another path: {text:?}: {arrived:?}"));
        assert!(!segment.contains(['/', '?', '#', '\\']), "{text:?}: {arrived:?}");
        assert_eq!(decode(segment), text, "{arrived:?}");
        expect_usual(arrived, &usual, &text);
    }
    // Dots alone are never a segment.
    let record = toolbox.ask(&Era::Modern.call("lab_read", &json!({ "n": ".." })));
    assert!(record.is_error(), "{record:?}");
}

#[test]
fn a_text_is_one_parameter() {
    let toolbox = Toolbox::start();
    let usual = usual_fields(&toolbox);
    for text in TEXTS {
        let before = toolbox.upstream.asked().len();
        let arguments = json!({ "n": "1", "q": text, "tags": [text, "b"] });
        let answer = toolbox.ask(&Era::Modern.call("lab_read", &arguments));
        let asked = toolbox.upstream.asked();
        let Some(arrived) = expect_one_or_refused(&answer, &asked[before..], text) else {
            continue;
        };
        let (path, query) = arrived.target.split_once('?').expect("a query");
        assert_eq!(path, "/lab/ok/1", "{text:?}");
        let pairs: Vec<(String, String)> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(&value.replace('+', "%20"))))
            .collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut expected = vec![pair("q", text), pair("tags", text), pair("tags", "b")];
        expected.retain(|expected| !pairs.contains(expected));
        assert!(expected.is_empty() && pairs.len() == 3, "{text:?}: {arrived:?}");
        expect_usual(arrived, &usual, text);
    }
}

#[test]
fn a_text_is_one_field_or_is_refused() {
    let toolbox = Toolbox::start();
    let mut usual = usual_fields(&toolbox);
    usual.insert("x-note".to_owned());
    for text in TEXTS {
        let before = toolbox.upstream.asked().len();
        let arguments = json!({ "n": "1", "X-Note": text });
        let answer = toolbox.ask(&Era::Legacy.call("lab_read", &arguments));
        let asked = toolbox.upstream.asked();
        let Some(arrived) = expect_one_or_refused(&answer, &asked[before..], text) else {
            continue;
        };
        assert_eq!(arrived.target, "/lab/ok/1", "{text:?}");
        assert!(!text.contains(['\r', '\n', '\0']), "{text:?} arrived: {arrived:?}");
        expect_usual(arrived, &usual, text);
    }
}

#[test]
fn a_text_is_one_member() {
    let toolbox = Toolbox::start();
    for text in TEXTS {
        let before = toolbox.upstream.asked().len();
        let arguments = json!({ "n": "1", "amount": 1, "note": text });
        let answer = toolbox.ask(&Era::Modern.call("lab_write", &arguments));
        assert!(!answer.is_error(), "{text:?}: {answer:?}");
        let asked = toolbox.upstream.asked();
        let body: Value = serde_json::from_slice(&asked[before].body).expect("JSON");
        assert_eq!(body, json!({ "amount": 1, "note": text }));
        assert_eq!(asked.len(), before + 1);
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused_with_their_name() {
    let toolbox = Toolbox::start();
    let check = |tool: &str, arguments: Value, word: &str| {
        for era in Era::BOTH {
            let answer = toolbox.ask(&era.call(tool, &arguments));
            answer.expect_error(word);
            let record = toolbox.gate.record_of_answer(&answer);
            assert_eq!(record["operation"], "mcp.tools/call", "{arguments}: {record}");
            assert_eq!(record["denial"], "malformed_request", "{arguments}: {record}");
            assert_eq!(record["mcp"]["tool"], tool, "{arguments}: {record}");
        }
    };
    let read = |arguments, word: &str| check("lab_read", arguments, word);
    read(json!({}), "n");
    for n in [json!(7), json!(null), json!(["1"]), json!({ "a": "1" }), json!(true)] {
        read(json!({ "n": n }), "n");
    }
    for limit in [json!("5"), json!(1.5), json!(true), json!([1]), json!("a&b=c")] {
        read(json!({ "n": "1", "limit": limit }), "limit");
    }
    for tags in [json!("a"), json!([1]), json!([["a"]]), json!({ "a": "b" })] {
        read(json!({ "n": "1", "tags": tags }), "tags");
    }
    for name in ["evil", "N", "Authorization", "Host", "__proto__", "_meta", "x-onegate-client", ""]
    {
        read(json!({ "n": "1", name: "1" }), name);
    }
    let write = |arguments, word: &str| check("lab_write", arguments, word);
    write(json!({ "n": "1" }), "amount");
    write(json!({ "n": "1", "amount": "1" }), "amount");
    write(json!({ "n": "1", "amount": 1, "more": 2 }), "more");
    write(json!({ "n": "1", "amount": 1, "note": 2 }), "note");
    assert!(toolbox.upstream.asked().is_empty(), "{:?}", toolbox.upstream.asked());
}

#[test]
fn a_megabyte_is_carried_or_refused() {
    let toolbox = Toolbox::start();
    let large = "a".repeat(1_000_000);
    for (tool, arguments) in [
        ("lab_read", json!({ "n": large })),
        ("lab_read", json!({ "n": "1", "q": large })),
        ("lab_read", json!({ "n": "1", "X-Note": large })),
        ("lab_read", json!({ "n": "1", "tags": vec!["a"; 100_000] })),
    ] {
        let answer = toolbox.ask(&Era::Modern.call(tool, &arguments));
        assert!(answer.is_error(), "{tool}");
    }
    assert!(toolbox.upstream.asked().is_empty(), "no head is as large");
    let arguments = json!({ "n": "1", "amount": 1, "note": large });
    assert!(!toolbox.ask(&Era::Modern.call("lab_write", &arguments)).is_error());
    let body: Value = serde_json::from_slice(&toolbox.only_asked().body).expect("JSON");
    assert_eq!(body["note"], large);
}

#[test]
fn no_field_of_the_agents_goes_on() {
    let toolbox = Toolbox::start();
    let usual = usual_fields(&toolbox);
    let before = toolbox.upstream.asked().len();
    let call = Era::Modern.call("lab_read", &json!({ "n": "1" }));
    let mut call = call.field("Mcp-Param-Evil", "1").field("X-Note", "of the agent");
    for (name, value) in [
        ("Cookie", "a=b"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Onegate-Client", "admin"),
        ("X-Onegate-Surface", "rest"),
        ("Traceparent", "nonsense"),
        ("X-Evil", "1"),
    ] {
        call = call.field(name, value);
    }
    assert!(!toolbox.ask(&call).is_error());
    let asked = toolbox.upstream.asked();
    expect_usual(&asked[before], &usual, "fields");
    assert_eq!(asked[before].fields.value("x-onegate-client"), Some("full"));
    assert_eq!(asked[before].fields.value("x-onegate-surface"), Some("mcp"));
}

/// Names of the fields of a call without anything odd.
fn usual_fields(toolbox: &Toolbox) -> BTreeSet<String> {
    assert!(!toolbox.ask(&Era::Modern.call("lab_read", &json!({ "n": "1" }))).is_error());
    names(toolbox.upstream.asked().last().expect("it arrived"))
}

fn names(asked: &Asked) -> BTreeSet<String> {
    asked.fields.iter().map(|(name, _)| name.clone()).collect()
}

fn expect_usual(asked: &Asked, usual: &BTreeSet<String>, text: &str) {
    assert_eq!(asked.method, "GET", "{text:?}: {asked:?}");
    assert_eq!(&names(asked), usual, "{text:?}: {asked:?}");
    // Each stands once.
    assert_eq!(asked.fields.iter().count(), usual.len(), "{text:?}: {asked:?}");
}

/// One request that the answer tells of, or an error and none.
fn expect_one_or_refused<'a>(answer: &Answer, new: &'a [Asked], text: &str) -> Option<&'a Asked> {
    if answer.is_error() {
        assert!(new.is_empty(), "{text:?} was refused and arrived: {new:?}");
        return None;
    }
    assert_eq!(new.len(), 1, "{text:?}: {new:?}");
    Some(&new[0])
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let escape = more.get(..2).filter(|_| *first == b'%').map(|digits| {
            let digits = std::str::from_utf8(digits).expect("ASCII");
            u8::from_str_radix(digits, 16).expect("an escape")
        });
        bytes.push(escape.unwrap_or(*first));
        rest = if escape.is_some() { &more[2..] } else { more };
    }
    String::from_utf8(bytes).expect("UTF-8")
}
