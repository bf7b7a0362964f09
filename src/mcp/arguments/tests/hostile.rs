//! Whatever the arguments, a request has its tool's path and no line more.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const STYLES: [Style; 8] = [
    Style::FormExploded,
    Style::Form,
    Style::SpaceDelimited,
    Style::PipeDelimited,
    Style::DeepObject,
    Style::Simple,
    Style::SimpleExploded,
    Style::Json,
];

/// Texts that are written to mean something.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z./%;?#&=\\\\\r\n\u{0} -]{0,12}",
        Just("../../admin".to_owned()),
        Just("%2e%2e%2f".to_owned()),
        Just("x HTTP/1.1\r\nHost: evil\r\n\r\n".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        hostile().prop_map(Value::String),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(hostile(), inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// The bytes that a canonical segment stands for.
fn percent_decoded(segment: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digits = [*high, *low];
                u8::from_str_radix(str::from_utf8(&digits).expect("ASCII"), 16).expect("hex")
            }
            (byte, _) => *byte,
        });
    }
    bytes
}

proptest! {
    #[test]
    fn requests_keep_their_tools_path(
        id in value(), first in value(), second in value(), style in 0..STYLES.len(),
        body in 0..4_usize,
    ) {
        let style = STYLES[style];
        let path = [literal("/pay/"), PathPart::Argument(0), literal("/items/"), PathPart::Argument(1)];
        let arguments = vec![
            argument("a", Place::Path),
            argument("b", Place::Path),
            argument("c", query("c", style)),
            argument("d", Place::Header { name: HeaderName::from_static("x-d"), style }),
            argument("e", member("e")),
            argument("f", Place::AnyQuery),
        ];
        let form = [
            BodyForm::Json { content_type: "application/json".into() },
            BodyForm::Form,
            BodyForm::Multipart { files: Box::default() },
            BodyForm::Text { content_type: "text/plain".into() },
        ];
        let tool = posting(tool("t", &path, arguments), form[body].clone());
        let given = [("a", &id), ("b", &first), ("c", &second), ("d", &first), ("e", &second), ("f", &second)];
        // With and without those that seldom fit.
        for left_out in [&["c", "d", "e", "f"][..], &["c", "f"], &["d", "e", "f"], &["c", "d"]] {
            let given = given.iter().filter(|(name, _)| !left_out.contains(name));
            let given: Value = given.map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect();
            let Ok(prepared) = run(&tool, &given.to_string()) else { continue };
            let written = prepared.target.as_str();
            let target = Target::parse(written.as_bytes(), TARGET_BYTES_MAX);
            let target = target.map_err(|refusal| TestCaseError::fail(format!("{refusal:?}")))?;
            let whole = format!("{}{}", target.path(), target.query_suffix());
            prop_assert_eq!(&whole, written);
            prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
            let segments: Vec<&str> = target.path().split('/').collect();
            let [root, pay, a, items, b] = segments[..] else {
                return Err(TestCaseError::fail(written.to_owned()));
            };
            prop_assert_eq!((root, pay, items), ("", "pay", "items"));
            for (segment, value) in [(a, &id), (b, &first)] {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                prop_assert_eq!(percent_decoded(segment), text.into_bytes());
            }
            for (name, field) in &prepared.fields {
                prop_assert!(field.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
                let known = ["accept", "content-type", "content-length", "x-d"];
                prop_assert!(known.contains(&name.as_str()), "{}", name);
            }
            if body == 0 && !prepared.body.is_empty() {
                let sent: Value = serde_json::from_slice(&prepared.body).expect("JSON");
                prop_assert_eq!(sent.get("e"), given.get("e"));
            }
        }
    }

    #[test]
    fn forms_hold_their_values(value in hostile(), more in hostile()) {
        let arguments = vec![argument("a", member("a")), argument("b", member("b"))];
        let tool = posting(tool("t", &[literal("/x")], arguments), BodyForm::Form);
        let given = serde_json::json!({ "a": value, "b": more });
        let (_, text) = body(&tool, &given.to_string()).map_err(TestCaseError::fail)?;
        let pairs: Vec<_> = text.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let [("a", first), ("b", second)] = pairs[..] else {
            return Err(TestCaseError::fail(text.clone()));
        };
        prop_assert_eq!(percent_decoded(first), value.into_bytes());
        prop_assert_eq!(percent_decoded(second), more.into_bytes());
    }
}
