//! Both syntaxes: what is one document, what is none, and where that is said.

use crate::openapi::{json, yaml};

use super::*;

fn both(text: &str) -> (Value, Value) {
    let yaml = yaml::parse(text).unwrap();
    let json = json::parse(text).unwrap();
    (yaml.to_json(), json.to_json())
}

#[test]
fn json_is_read_like_the_yaml_that_it_is() {
    let check = |text: &str, expected: Value| {
        assert_eq!(both(text), (expected.clone(), expected), "{text}");
    };
    check(
        r#"{"a": [1, -2, 2.5, 1e3, true, false, null, "x"], "b": {}}"#,
        json!({"a": [1, -2, 2.5, 1e3, true, false, null, "x"], "b": {}}),
    );
    check(r#"{"a\tb": "\u00e9\n\\"}"#, json!({"a\tb": "é\n\\"}));
    check("{\"a\": \"\u{1f600}\", \"é\": [\"ü\"]}", json!({"a": "\u{1f600}", "é": ["ü"]}));
}

#[test]
fn json_is_strict() {
    let check = |text: &str, at: usize| {
        let problem = json::parse(text).unwrap_err();
        assert_eq!(
            (problem.severity, problem.at.start),
            (Severity::Error, at),
            "{text}: {problem:?}"
        );
    };
    check(r#"{"a": 1,}"#, 8);
    check(r#"{"a": 01}"#, 7);
    check(r#"{"a": '1'}"#, 6);
    check(r#"{"a": 1} x"#, 9);
    check(r#"{"a": 1, "a": 2}"#, 9);
    check(r#"{"a": 1, "\u0061": 2}"#, 9);
    check(r#"{"a": "\ud800"}"#, 6);
    check(r#"{"a": 1e999}"#, 6);
    check("{\"é", 2);
    check("\u{feff}{\n  \"a\": nul}", 15);
    check(&format!("{{\"a\": {}1{}}}", "[".repeat(200), "]".repeat(200)), 133);
    assert_eq!(json::parse(r#"{"a": "\ud83d\ude00"}"#).unwrap().text("a"), Some("\u{1f600}"));
}

#[test]
fn yaml_follows_the_core_schema() {
    let check = |text: &str, expected: Value| {
        assert_eq!(yaml::parse(text).map(|node| node.to_json()), Ok(expected), "{text}");
    };
    check(
        "[yes, no, on, 'true', true, True, ~, null, '']",
        json!(["yes", "no", "on", "true", true, true, null, null, ""]),
    );
    check(
        "[1, +1, -1, 0o17, 0x1F, 1.5, .5, 5., 1e2, 1_000, 0b1, 1:30, 3.0.0, 007]",
        json!([1, 1, -1, 15, 31, 1.5, 0.5, 5.0, 100.0, "1_000", "0b1", "1:30", "3.0.0", 7]),
    );
    check("[7e10000, .inf, -.INF, .nan]", json!(["7e10000", ".inf", "-.INF", ".nan"]));
    check("200: a\n1.0: b\nnull: c\n", json!({"200": "a", "1.0": "b", "null": "c"}));
    check("a: |\n  x\n  y\nb: >\n  x\n  y\n", json!({"a": "x\ny\n", "b": "x y\n"}));
    check("a: !!str 1\nb: !!int 2\nc: ! 3\n", json!({"a": "1", "b": 2, "c": "3"}));
    check("a: &x {b: 1}\nc: [*x, *x]\n", json!({"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}));
    check("&k a: 1\nb: *k\n", json!({"a": 1, "b": "a"}));
    check("\u{feff}---\na: 1\n...\n", json!({"a": 1}));
}

#[test]
fn yaml_has_one_document_without_surprises() {
    let check = |text: &str, at: usize, message: &str| {
        let problem = yaml::parse(text).unwrap_err();
        assert!(problem.message.contains(message), "{text}: {problem:?}");
        assert_eq!(problem.at.start, at, "{text}: {problem:?}");
    };
    check("a: 1\na: 2\n", 5, "twice");
    check("é: 1\né: 2\n", 6, "twice");
    check("a: &x {b: 1}\nc:\n  <<: *x\n", 18, "merge keys");
    check("a: 1\n---\nb: 2\n", 5, "second document");
    check("a: &x [*x]\n", 7, "inside of what it names");
    check("? [a]\n: 1\n", 2, "scalar");
    check("? {a: 1}\n: 1\n", 2, "scalar");
    check("a: !!float .inf\n", 3, "tag");
    check("a: !!set {b}\n", 3, "tag");
    check("a: !mine 1\n", 3, "tag");
    check("", 0, "empty");
    check("a: 'x\n", 3, "not YAML");
    let problem = yaml::parse(&"[".repeat(100_000)).unwrap_err();
    assert!(problem.message.contains("recursion limit"), "{problem:?}");
    let problem =
        yaml::parse(&(0..200).map(|n| " ".repeat(n) + "-\n").collect::<String>()).unwrap_err();
    assert!(problem.message.contains("deeper"), "{problem:?}");
}

#[test]
fn aliases_cannot_blow_a_document_up() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{below}]\n");
    }
    let problem = yaml::parse(&text).unwrap_err();
    assert!(problem.message.contains("aliases"), "{problem:?}");
    // One long text, again and again.
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(1000));
    let problem = yaml::parse(&long).unwrap_err();
    assert!(problem.message.contains("aliases"), "{problem:?}");
    // Each anchor names all that is within.
    let anchors = (0..100).map(|level| format!("&a{level} [")).collect::<Vec<_>>().concat();
    let nested = format!("{anchors}{}{}", "x, ".repeat(30_000), "]".repeat(100));
    let problem = yaml::parse(&nested).unwrap_err();
    assert!(problem.message.contains("aliases"), "{problem:?}");
}

#[test]
fn values_stand_where_they_are_said_to() {
    let text = "é: [a, 'b c']\nx:\n  y: 12\n  z: {}\nlast: 1\n";
    let root = yaml::parse(text).unwrap();
    let of = |node: &node::Node| text.get(node.at.clone()).unwrap();
    assert_eq!(of(&root.get("é").unwrap().as_list().unwrap()[1]), "'b c'");
    assert_eq!(of(root.get("x").unwrap().get("y").unwrap()), "12");
    assert_eq!(of(root.get("last").unwrap()), "1");
    let text = "{\"é\": [1, {\"k\": true}]}";
    let root = json::parse(text).unwrap();
    let item = &root.get("é").unwrap().as_list().unwrap()[1];
    assert_eq!(text.get(item.at.clone()), Some("{\"k\": true}"));
    let key = &item.as_map().unwrap().entries()[0];
    assert_eq!(text.get(key.key_at.clone()), Some("\"k\""));
}

#[test]
fn only_openapi_3_is_read() {
    let check = |text: &str, message: &str| {
        let document = document(text);
        assert_eq!(document.problems.len(), 1, "{text}");
        assert_eq!(document.problems[0].severity, Severity::Error);
        assert!(document.problems[0].message.contains(message), "{:?}", document.problems);
    };
    check("swagger: '2.0'\n", "Swagger 2.0");
    check("openapi: 3.2.0\n", "3.2.0");
    check("openapi: 4.0.0\n", "4.0.0");
    check("openapi: 3.0\n", "a number");
    check("openapi: 3.10.0\n", "3.10.0");
    check("openapi: '3.1'\n", "patch version");
    check("a: 1\n", "missing");
    check("[]", "a list");
    check("{\"openapi\": \"3.1.0\"", "not JSON");
    for version in ["3.0.0", "3.0.4", "3.1.0", "3.1.1"] {
        let document = document(&format!("openapi: {version}\npaths: {{}}\n"));
        assert_eq!(document.problems, [], "{version}");
    }
}
