//! A JSON text in its shortest form.

use std::borrow::Cow;

use super::scan::Scanned;

/// JSON without the blanks between its tokens.
pub(in crate::mcp) fn compact(json: &str, scanned: Scanned) -> Cow<'_, str> {
    if scanned.blanks == 0 {
        return Cow::Borrowed(json);
    }
    let bytes = json.as_bytes();
    let mut out = String::with_capacity(json.len());
    // Up to where all was copied; a run ends where blanks begin.
    let (mut at, mut run) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at + 1),
            b' ' | b'\n' | b'\r' | b'\t' => {
                out.push_str(json.get(run..at).unwrap_or_default());
                run = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(json.get(run..).unwrap_or_default());
    Cow::Owned(out)
}

/// Where the quotation mark is that ends a string.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            Some(more) if rest.get(more) == Some(&b'"') => return at + more,
            // A backslash takes the next one with it.
            Some(more) => at += more + 2,
            None => return bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use crate::mcp::json::scan::scan;

    use super::*;

    #[test]
    fn blanks_between_tokens_go() {
        let check = |json: &str, expected: &str| {
            let scanned = scan(json, ()).expect("JSON");
            assert_eq!(compact(json, scanned), expected, "{json}");
        };
        check("7", "7");
        check(" 7\n", "7");
        check("{}", "{}");
        check("{ \"a b\" : [ 1 , { } ] }\r\n", r#"{"a b":[1,{}]}"#);
        check(r#" "a \" { [ b" "#, r#""a \" { [ b""#);
        check("[\t\"\\\\\" , \" \"]", r#"["\\"," "]"#);
    }

    proptest! {
        #[test]
        fn compact_json_is_the_same(text in any::<String>(), number in any::<i64>()) {
            let value = serde_json::json!({ "a": [text, number], (text): { "b": [] } });
            let pretty = serde_json::to_string_pretty(&value).expect("valid");
            let compact = compact(&pretty, scan(&pretty, ()).expect("JSON"));
            prop_assert_eq!(&*compact, value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&compact).expect("valid"), value);
        }
    }
}
