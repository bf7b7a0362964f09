//! What the tools that stand for all others take and answer.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::mcp::testing::{argument, posting, tool};
use crate::model::tool::{Argument, BodyForm, PathPart, Place, Words};

fn search(arguments: &str) -> Result<(String, usize), String> {
    let raw = Raw::parse(arguments).expect("JSON");
    let read = Search::read(Some(raw)).map_err(|bad| bad.0)?;
    Ok((read.query.into_owned(), read.most))
}

#[test]
fn a_search_has_a_question_and_a_bound() {
    let good = |arguments: &str, query: &str, most: usize| {
        assert_eq!(search(arguments), Ok((query.to_owned(), most)), "{arguments}");
    };
    good(r#"{"query":"cancel an order"}"#, "cancel an order", 5);
    good(r#"{"limit":20,"query":"a\"b"}"#, "a\"b", 20);
    good(r#"{"query":"a","limit":null}"#, "a", 5);
    let bad = |arguments: &str, told: &str| {
        let problem = search(arguments).expect_err(arguments);
        assert!(problem.contains(told), "{arguments}: {problem}");
    };
    bad("{}", "`query` is missing");
    bad(r#"{"query":null}"#, "`query` is missing");
    bad(r#"{"query":7}"#, "`query` is a text");
    bad(r#"{"query":" "}"#, "1 to 1024 bytes");
    bad(&format!(r#"{{"query":"{}"}}"#, "a".repeat(1025)), "1 to 1024 bytes");
    for limit in ["0", "21", "-1", "1.5", "1e0", "\"5\"", "1e999", "[]"] {
        bad(&format!(r#"{{"query":"a","limit":{limit}}}"#), "from 1 to 20");
    }
    bad(r#"{"query":"a","query":"b"}"#, "`query` is there more than once");
    bad(r#"{"querry":"a"}"#, "no argument `querry`; there is `query` and `limit`");
    assert!(Search::read(None).is_err());
}

#[test]
fn a_call_names_an_operation() {
    let read = |arguments: &str| {
        let raw = Raw::parse(arguments).expect("JSON");
        let inner = Inner::read(Some(raw)).map_err(|bad| bad.0)?;
        Ok::<_, String>((inner.name.into_owned(), inner.arguments.map(|raw| raw.get().to_owned())))
    };
    let name = || "pay".to_owned();
    assert_eq!(read(r#"{"name":"pay"}"#), Ok((name(), None)));
    assert_eq!(read(r#"{"name":"pay","arguments":null}"#), Ok((name(), None)));
    let arguments = Some(r#"{"id": 1.10}"#.to_owned());
    assert_eq!(read(r#"{"arguments":{"id": 1.10},"name":"pay"}"#), Ok((name(), arguments)));
    for bad in [
        "{}",
        r#"{"name":7}"#,
        r#"{"name":"pay","arguments":[]}"#,
        r#"{"name":"pay","arguments":"{}"}"#,
        r#"{"name":"pay","id":1}"#,
        r#"{"name":"pay","name":"pay"}"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

fn paying() -> Tool {
    let id = Argument { need: Need::Required, ..argument("id", Place::Path) };
    let path = [PathPart::Literal("/pay/".into()), PathPart::Argument(1)];
    let form = BodyForm::Json { content_type: "application/json".into() };
    let note = argument("a_note", Place::Member { name: "a_note".into() });
    let words = Words {
        title: Some("Pay".into()),
        description: "Pays a bill. And more of it.\nAnother line.".into(),
        tags: Box::default(),
    };
    let definition = r#"{"name":"pay","inputSchema":{"type":"object"}}"#.into();
    Tool { words, definition, ..posting(tool("pay", &path, vec![id, note]), form) }
}

#[test]
fn matches_say_how_they_are_called() {
    let (read, pay) = (tool("read", &[PathPart::Literal("/read".into())], vec![]), paying());
    let told: Value = serde_json::from_str(&found(&[&pay, &read])).expect("JSON");
    let expected = json!({ "operations": [
        {
            "name": "pay", "title": "Pay", "description": "Pays a bill.", "request": "POST /pay/{id}",
            "required": "id", "optional": "a_note", "call_with": "call_write_operation",
        },
        { "name": "read", "request": "GET /read", "call_with": "call_read_operation" },
    ] });
    assert_eq!(told, expected);
    let none: Value = serde_json::from_str(&found(&[])).expect("JSON");
    assert_eq!(none["operations"], json!([]));
    assert!(none["hint"].is_string());
}

#[test]
fn what_writes_is_not_called_as_if_it_read() {
    let (read, pay) = (tool("read", &[], vec![]), paying());
    assert_eq!(stands_for(MetaTool::CallRead, &read), Ok(()));
    assert_eq!(stands_for(MetaTool::CallWrite, &read), Ok(()));
    assert_eq!(stands_for(MetaTool::CallWrite, &pay), Ok(()));
    let refused = stands_for(MetaTool::CallRead, &pay).expect_err("it writes");
    assert!(refused.0.contains("call it with call_write_operation"), "{}", refused.0);
}

#[test]
fn a_description_fits() {
    let pay = paying();
    let whole = described(&pay, 10_000);
    let told: Value = serde_json::from_str(&whole).expect("JSON");
    assert_eq!(told["call_with"], "call_write_operation");
    assert_eq!(told["operation"]["name"], "pay");
    let large = format!(r#"{{"name":"pay","outputSchema":"{}"}}"#, "x".repeat(5000));
    let pay = Tool { definition: large.into(), ..pay };
    let told: Value = serde_json::from_str(&described(&pay, 4000)).expect("JSON");
    assert_eq!(told["operation"]["inputSchema"], json!(true), "{told}");
    let cut = described(&pay, 100);
    assert!(cut.len() < 250 && cut.contains("\n[cut: "), "{cut}");
}

#[test]
fn a_list_has_what_is_of_use() {
    let (read, pay) = (tool("read", &[], vec![]), paying());
    let names = |tools: &[&Tool]| {
        let list = page(tools.iter().copied()).tools;
        let list: Vec<Value> = serde_json::from_slice(&list).expect("JSON");
        list.iter().map(|tool| tool["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let none: [String; 0] = [];
    let check = |tools: &[&Tool], expected: &[&str]| {
        let names: Vec<String> = names(tools);
        assert_eq!(names, expected);
    };
    check(&[], &none.each_ref().map(String::as_str));
    let [find, describe, call_read, call_write] = MetaTool::ALL.map(MetaTool::name);
    check(&[&read], &[find, describe, call_read]);
    check(&[&pay], &[find, describe, call_write]);
    check(&[&pay, &read], &[find, describe, call_read, call_write]);
    let (count, bytes) = size([&pay, &read].into_iter());
    assert_eq!(count, 4);
    assert!(bytes < 4 * 750, "{bytes} bytes");
}

proptest! {
    /// Whatever is asked: an answer or a problem, and texts that are JSON where they say they are.
    #[test]
    fn nothing_that_comes_is_too_odd(json in "[ -~é\\u{202e}]{0,40}", name in any::<String>()) {
        let text = serde_json::to_string(&json).expect("valid");
        let arguments = format!(r#"{{"query":{text},"name":{text}}}"#);
        let raw = Raw::parse(&arguments);
        prop_assert!(raw.is_some());
        prop_assert!(Search::read(raw).is_err() && Inner::read(raw).is_err());
        let words = Words { title: Some(name.clone().into()), description: name.clone().into(), ..Words::default() };
        let odd = Tool { words, ..paying() };
        prop_assert!(serde_json::from_str::<Value>(&found(&[&odd])).is_ok());
        prop_assert!(unknown(&name, &[]).0.len() < 300);
    }
}
