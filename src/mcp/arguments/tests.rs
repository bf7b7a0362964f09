//! What a request looks like, whatever the arguments.

use http::HeaderName;

use super::*;
use crate::mcp::testing::{argument, posting, tool};
use crate::model::tool::{BodyForm, Schema, Style};

mod hostile;

fn literal(text: &str) -> PathPart {
    PathPart::Literal(text.into())
}

fn query(name: &str, style: Style) -> Place {
    Place::Query { name: name.into(), style }
}

fn member(name: &str) -> Place {
    Place::Member { name: name.into() }
}

fn run(tool: &Tool, arguments: &str) -> Result<Prepared, String> {
    let raw = Raw::parse(arguments).expect("JSON");
    prepare(tool, Some(raw)).map_err(|bad| bad.0)
}

/// `/pay/{id}/items` with one argument of a place more.
fn with(place: Place) -> Tool {
    let path = [literal("/pay/"), PathPart::Argument(0), literal("/items")];
    tool("pay", &path, vec![argument("id", Place::Path), argument("value", place)])
}

#[test]
fn a_path_argument_is_one_segment() {
    let tool = with(query("value", Style::Form));
    let check = |id: &str, expected: Result<&str, &str>| {
        let prepared = run(&tool, &format!(r#"{{"id":{id}}}"#));
        let target = prepared.map(|prepared| prepared.target.as_str().to_owned());
        let expected = match expected {
            Ok(segment) => Ok(format!("/pay/{segment}/items")),
            Err(problem) => Err(format!("The argument `id` {problem}.")),
        };
        assert_eq!(target, expected, "{id}");
    };
    check(r#""7""#, Ok("7"));
    check("7", Ok("7"));
    check("12345678901234567890123", Ok("12345678901234567890123"));
    check("1.10", Ok("1.10"));
    check("true", Ok("true"));
    check(r#""a?x=1#y;z&%2e%2e%2f""#, Ok("a%3Fx%3D1%23y%3Bz%26%252e%252e%252f"));
    check(r#""é \u2028""#, Ok("%C3%A9%20%E2%80%A8"));
    check(r#""...""#, Ok("..."));
    check(r#""..;x""#, Ok("..%3Bx"));
    let slash = "may not hold a slash or a backslash: it is one segment of the path";
    for id in [r#""../admin""#, r#""a/b""#, r#""\\""#, r#""/""#] {
        check(id, Err(slash));
    }
    check(r#""..""#, Err("may not be \".\" or \"..\""));
    check(r#"".""#, Err("may not be \".\" or \"..\""));
    check(r#""""#, Err("may not be empty"));
    for id in [r#""a\r\nb""#, r#""\u0000""#, r#""\u007f""#] {
        check(id, Err("may not hold a control character"));
    }
    let only = "takes strings, numbers and booleans only, not";
    check("[1]", Err(&format!("{only} arrays inside")));
    check("{}", Err(&format!("{only} objects inside")));
    check("null", Err("is missing"));
    let long = format!("\"{}\"", "x".repeat(70_000));
    let told = run(&tool, &format!(r#"{{"id":{long}}}"#)).expect_err("too long");
    assert_eq!(told, "The arguments make a URL that is too long. Send shorter ones.");
}

#[test]
fn queries_are_written_by_style() {
    use Style::{DeepObject, Form, FormExploded, Json, PipeDelimited, SpaceDelimited};
    let check = |style: Style, value: &str, expected: &str| {
        let tool = with(query("v[]", style));
        let prepared = run(&tool, &format!(r#"{{"id":1,"value":{value}}}"#)).expect("valid");
        assert_eq!(
            prepared.target.as_str(),
            format!("/pay/1/items{expected}"),
            "{style:?} {value}"
        );
    };
    for style in [Form, FormExploded, SpaceDelimited, PipeDelimited, DeepObject] {
        check(style, r#""a b&c=d+é,""#, "?v%5B%5D=a%20b%26c%3Dd%2B%C3%A9%2C");
        check(style, "1e2", "?v%5B%5D=1e2");
        check(style, "null", "");
        check(style, "[]", "");
        check(style, "{}", "");
    }
    let (list, object) = (r#"["a,b",2]"#, r#"{"x":"1&y=2","z":true}"#);
    check(FormExploded, list, "?v%5B%5D=a%2Cb&v%5B%5D=2");
    check(Form, list, "?v%5B%5D=a%2Cb,2");
    check(SpaceDelimited, list, "?v%5B%5D=a%2Cb%202");
    check(PipeDelimited, list, "?v%5B%5D=a%2Cb%7C2");
    check(FormExploded, object, "?x=1%26y%3D2&z=true");
    check(Form, object, "?v%5B%5D=x,1%26y%3D2,z,true");
    check(DeepObject, object, "?v%5B%5D%5Bx%5D=1%26y%3D2&v%5B%5D%5Bz%5D=true");
    check(Json, r#"{"a":[1.0]}"#, "?v%5B%5D=%7B%22a%22%3A%5B1.0%5D%7D");
    let any = with(Place::AnyQuery);
    let prepared = run(&any, r#"{"id":1,"value":{"a&b":"c d","e":2}}"#).expect("valid");
    assert_eq!(prepared.target.as_str(), "/pay/1/items?a%26b=c%20d&e=2");
    assert_eq!(
        run(&any, r#"{"id":1,"value":7}"#).expect_err("no object"),
        "The argument `value` must be an object."
    );
    assert_eq!(
        run(&with(query("v", Form)), r#"{"id":1,"value":[[1]]}"#).expect_err("nested"),
        "The argument `value` takes strings, numbers and booleans only, not arrays inside."
    );
}

#[test]
fn fields_hold_one_line() {
    use Style::{Json, Simple, SimpleExploded};
    let check = |style: Style, value: &str, expected: Result<&str, &str>| {
        let name = HeaderName::from_static("x-value");
        let tool = with(Place::Header { name, style });
        let prepared = run(&tool, &format!(r#"{{"id":1,"value":{value}}}"#));
        let field = prepared.map(|prepared| prepared.fields["x-value"].clone());
        let shown = field.as_ref().map(|field| field.to_str().expect("ASCII"));
        assert_eq!(shown.map_err(|text| &**text), expected, "{value}");
    };
    check(Simple, r#""a b""#, Ok("a b"));
    check(Simple, r#""a,b=c""#, Ok("a,b=c"));
    check(Simple, "[1,\"x\"]", Ok("1,x"));
    check(Simple, r#"{"x":1,"y":2}"#, Ok("x,1,y,2"));
    check(SimpleExploded, r#"{"x":1,"y":2}"#, Ok("x=1,y=2"));
    check(Json, r#"{"x":"\r\n"}"#, Ok(r#"{"x":"\r\n"}"#));
    let visible = "The argument `value` may hold visible ASCII characters and spaces only.";
    for value in [r#""a\r\nx: y""#, r#""\u0000""#, r#""\t""#, r#""é""#, r#""\u007f""#] {
        check(Simple, value, Err(visible));
    }
    check(Json, "[1,\n2]", Err(visible));
    let beside = "The values in the argument `value` may not hold ',' or '='.";
    check(Simple, r#"["a,b"]"#, Err(beside));
    check(SimpleExploded, r#"{"a=b":1}"#, Err(beside));
    check(Simple, &format!("\"{}\"", "x".repeat(4_096)), Ok(&"x".repeat(4_096)));
    let long = format!("\"{}\"", "x".repeat(4_097));
    check(Simple, &long, Err("The argument `value` is longer than 4096 bytes."));
}

/// Type and text of a body.
fn body(tool: &Tool, arguments: &str) -> Result<(String, String), String> {
    let prepared = run(tool, arguments)?;
    let length = prepared.fields["content-length"].to_str().expect("digits").to_owned();
    assert_eq!(length, prepared.body.len().to_string());
    let content_type =
        prepared.fields.get("content-type").map(|value| value.to_str().expect("ASCII"));
    let text = String::from_utf8_lossy(&prepared.body).into_owned();
    Ok((content_type.unwrap_or_default().into(), text))
}

#[test]
fn bodies_hold_values_as_they_came() {
    let check = |form: &BodyForm,
                 place: Place,
                 arguments: &str,
                 expected: Result<(&str, &str), &str>| {
        let tool = posting(tool("t", &[literal("/x")], vec![argument("v", place)]), form.clone());
        let built = body(&tool, arguments);
        let built = built.as_ref().map(|(kind, text)| (&**kind, &**text)).map_err(|text| &**text);
        assert_eq!(built, expected, "{form:?} {arguments}");
    };
    let kind = "application/json";
    let json = BodyForm::Json { content_type: kind.into() };
    let exact = r#"{"v":[1.10, 12345678901234567890123, "\u00e9"]}"#;
    check(&json, member("a\"b"), exact, Ok((kind, &exact.replace("{\"v\"", r#"{"a\"b""#))));
    check(&json, member("a"), r#"{"v":null}"#, Ok((kind, r#"{"a":null}"#)));
    check(&json, member("a"), "{}", Ok((kind, "{}")));
    check(&json, Place::Body, r#"{"v":[1.0]}"#, Ok((kind, "[1.0]")));
    check(&json, Place::Body, "{}", Ok(("", "")));
    let kind = "application/x-www-form-urlencoded";
    check(&BodyForm::Form, member("a&"), r#"{"v":"b=c d+"}"#, Ok((kind, "a%26=b%3Dc%20d%2B")));
    check(&BodyForm::Form, member("a"), r#"{"v":[1,2]}"#, Ok((kind, "a=1&a=2")));
    check(&BodyForm::Form, member("a"), r#"{"v":{"x":1}}"#, Ok((kind, "a=%7B%22x%22%3A1%7D")));
    check(&BodyForm::Form, member("a"), "{}", Ok((kind, "")));
    check(&BodyForm::Form, Place::Body, r#"{"v":{"x":1,"y":null}}"#, Ok((kind, "x=1")));
    let object = Err("The argument `v` must be an object.");
    check(&BodyForm::Form, Place::Body, r#"{"v":[1]}"#, object);
    let text = BodyForm::Text { content_type: "text/csv".into() };
    check(&text, Place::Body, r#"{"v":"a,b\r\n\u0000"}"#, Ok(("text/csv", "a,b\r\n\0")));
    check(&text, Place::Body, r#"{"v":7}"#, Err("The argument `v` must be a string."));
    let binary = BodyForm::Binary { content_type: "image/png".into() };
    check(&binary, Place::Body, r#"{"v":"aGk="}"#, Ok(("image/png", "hi")));
    let base64 = "The argument `v` must be a string of base64, padded and in one line.";
    for value in [r#""aGk""#, r#""a Gk=""#, r#""aGk=\n""#, "7", r#""_-==""#] {
        check(&binary, Place::Body, &format!(r#"{{"v":{value}}}"#), Err(base64));
    }
}

#[test]
fn multipart_keeps_its_parts_apart() {
    let arguments = ["note", "file", "data"].map(|name| argument(name, member(name)));
    let form = BodyForm::Multipart { files: Box::new(["file".into()]) };
    let tool = posting(tool("t", &[literal("/x")], arguments.into()), form);
    let given = r#"{"note":"--x\r\n\r\n--","file":"aGk=","data":{"a":1}}"#;
    let (kind, text) = body(&tool, given).expect("valid");
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a boundary");
    let mut expected = String::new();
    for (head, content) in [
        ("name=\"data\"\r\nContent-Type: application/json", "{\"a\":1}"),
        ("name=\"file\"; filename=\"file\"\r\nContent-Type: application/octet-stream", "hi"),
        ("name=\"note\"", "--x\r\n\r\n--"),
    ] {
        expected.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n"
        ));
    }
    assert_eq!(text, format!("{expected}--{boundary}--\r\n"));
    let again = body(&tool, &given.replace("--x", &format!("--{boundary}"))).expect("valid");
    assert!(!again.0.ends_with(boundary), "{}", again.0);
}

#[test]
fn methods_without_a_body_describe_none() {
    let get = tool("t", &[literal("/x")], vec![]);
    let prepared = prepare(&get, None).expect("valid");
    assert_eq!((prepared.method, prepared.target.as_str()), (Method::GET, "/x"));
    assert_eq!(prepared.fields.len(), 1);
    assert_eq!(prepared.fields["accept"], ACCEPT);
    let mut post = tool("t", &[literal("/x")], vec![]);
    post.method = Method::POST;
    let prepared = prepare(&post, None).expect("valid");
    assert_eq!(prepared.fields["content-length"], "0");
    assert_eq!(prepared.fields.get("content-type"), None);
}

#[test]
fn what_does_not_fit_is_told() {
    let mut arguments: Vec<_> =
        ["amount", "currency"].map(|name| argument(name, member(name))).into();
    arguments[0].need = Need::Required;
    let form = BodyForm::Json { content_type: "application/json".into() };
    let mut tool = posting(tool("t", &[literal("/x")], arguments), form);
    tool.input = Schema::new(serde_json::json!({
        "type": "object",
        "properties": { "amount": { "type": "integer" }, "currency": { "type": ["string", "null"] } },
    }));
    let check = |given: &str, expected: &str| {
        let told = run(&tool, given).map(|prepared| prepared.body).expect_err("refused");
        assert!(told.contains(expected), "{given}: {told}");
    };
    check("{}", "The argument `amount` is missing; it is required.");
    check(
        r#"{"amount":1,"curency":"EUR"}"#,
        "There is no argument `curency`. Did you mean `currency`?",
    );
    check(
        r#"{"amount":1,"xyz\u202e\n":1}"#,
        "There is no argument `xyz`. There are amount, currency.",
    );
    check(r#"{"amount":1,"amount":2}"#, "`amount` is there more than once");
    check(r#"{"amount":1,"currency":{"a":{"b":1,"b":2}}}"#, "`b` is there more than once");
    check(r#"{"amount":"1"}"#, r#""amount" is not of type "integer""#);
    check(r#"{"amount":1,"currency":7}"#, r#""currency" is not of types"#);
    check(r#"{"amount":1e999}"#, "cannot be read: number out of range");
    let deep = format!(r#"{{"amount":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    check(&deep, "a value is nested deeper than 64 levels");
    check("[]", "must be a JSON object");
    let none = crate::mcp::testing::tool("t", &[literal("/x")], vec![]);
    let told = run(&none, r#"{"a":1}"#).expect_err("unknown");
    assert_eq!(told, "There is no argument `a`. The tool takes none.");
}
