//! The scanner beside serde, which takes the same texts.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn is_agreed(text: &str) -> bool {
    scan(text, ()).is_some_and(|scanned| scanned.agreed == Agreed::ByAll)
}

fn is_serdes(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok()
}

/// Texts at the edges of the grammar.
const NEAR_JSON: &[&str] = &[
    "",
    " ",
    "7",
    " 7\n",
    "-",
    "-0",
    "01",
    "-01",
    "0.",
    "0.5",
    ".5",
    "1e5",
    "1E+5",
    "1e",
    "1e+",
    "1.e5",
    "+1",
    "1e999",
    "-1e999",
    "0e999",
    "1e-999",
    "0x1",
    "1 2",
    "true",
    "tru",
    "truex",
    "nul",
    "null ",
    "false",
    "{}",
    "{ }",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{\"a\":1 ,\"b\":[]}",
    "{1:2}",
    "[",
    "[]",
    "[ ]",
    "[,]",
    "[1,]",
    "[1 2]",
    "[1}",
    "{\"a\":1]",
    "]",
    "}",
    "[[],{}]",
    "\"",
    "\"a",
    "\"a\"",
    "\"\\\"",
    "\"\\\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\u00e9\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ud83dx\"",
    "\"\\udc00\"",
    "\"\\ud83d\\n\"",
    "\"\\ud800\\ud83d\\ude00\"",
    "\"\n\"",
    "\"\t\"",
    "\"\u{7f}\u{80}\u{9f}\u{a0}é😀\"",
    "\u{feff}1",
    "\u{a0}1",
    "\"12345678\"",
    "\"1234567\"",
    "\"123456789\\n\"",
    "'a'",
    "{\"a\":1}{}",
    "NaN",
    "\u{b}1",
    "\u{c}1",
];

#[test]
fn the_grammar_is_serdes() {
    for text in NEAR_JSON {
        assert_eq!(is_agreed(text), is_serdes(text), "{text:?}");
    }
    let zeros = |count: usize| format!("1{}", "0".repeat(count));
    assert!(is_agreed(&zeros(308)) && is_serdes(&zeros(308)));
    assert!(!is_agreed(&zeros(310)) && !is_serdes(&zeros(310)));
    assert_eq!(scan("\"\\ud800\"", ()).map(|s| s.agreed), Some(Agreed::BySome));
    assert_eq!(scan(" [ 1 ] ", ()).map(|s| s.blanks), Some(4));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}1{}", "[{\"a\":".repeat(depth), "}]".repeat(depth));
    assert!(is_agreed(&nested(50)));
    assert!(!is_agreed(&nested(51)));
    assert!(!is_agreed(&"[".repeat(100_000)));
    assert!(is_agreed(&format!("[{}1]", "[[]],".repeat(1_000))));
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z\"\\\\\u{7f}-\u{a1}\n]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_taken(value in json()) {
        prop_assert!(is_agreed(&value.to_string()));
        prop_assert!(is_agreed(&serde_json::to_string_pretty(&value).expect("valid")));
    }

    /// A text near to JSON is taken just where serde takes it.
    #[test]
    fn changed_json_is_taken_where_serde_takes_it(
        value in json(),
        changes in proptest::collection::vec(
            (any::<proptest::sample::Index>(), 0..2_usize, prop_oneof![
                Just(""), Just("\""), Just("\\"), Just("{"), Just("}"), Just("["), Just("]"), Just(","),
                Just(":"), Just("-"), Just("0"), Just("1"), Just("."), Just("e"), Just("+"), Just(" "),
                Just("\n"), Just("\t"), Just("\0"), Just("\\u"), Just("\\ud800"), Just("\\udc00"), Just("null"),
                Just("e999"), Just("é"), Just("\u{85}"), Just("\u{7f}"),
            ]),
            0..4,
        ),
    ) {
        let mut text: Vec<char> = value.to_string().chars().collect();
        for (at, gone, new) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + gone).min(text.len());
            text.splice(at..end, new.chars());
        }
        let text: String = text.into_iter().collect();
        prop_assert_eq!(is_agreed(&text), is_serdes(&text), "{}", text);
    }
}
