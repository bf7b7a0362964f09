//! Operations: which there are, what they are called, and what they need.

use super::*;

fn ids(paths: &str) -> Vec<String> {
    let document = document(&format!("openapi: 3.0.3\npaths:\n{paths}"));
    document.operations.iter().map(|operation| operation.id.to_string()).collect()
}

#[test]
fn operations_have_names_of_their_own() {
    let check = |id: &str, expected: &str| {
        assert_eq!(ids(&format!("  /a:\n    get: {{operationId: {id:?}}}\n")), [expected], "{id}");
    };
    check("listPets", "list_pets");
    check("ListHTTPServers2XL", "list_http_servers2_xl");
    check("pets.list-all/now", "pets_list_all_now");
    check("__x__", "x");
    check("größe", "gr_e");
    check("日本", "get_a");
    check("", "get_a");
    let long = "a".repeat(80);
    let cut = &ids(&format!("  /a:\n    get: {{operationId: {long}}}\n"))[0];
    assert!(cut.len() == 64 && cut.starts_with("aaaa") && cut.as_bytes()[55] == b'_', "{cut}");
    assert_eq!(ids("  /pets/{petId}:\n    delete: {}\n"), ["delete_pets_pet_id"]);
    assert_eq!(ids("  /:\n    get: {}\n"), ["get"]);
}

#[test]
fn names_that_are_alike_get_marks_whatever_their_order() {
    let paths = [
        "  /a:\n    get: {operationId: listAll}\n",
        "  /b:\n    get: {operationId: list_all}\n",
        "  /c:\n    get: {operationId: other}\n",
    ];
    let one = ids(&paths.concat());
    let mut other = ids(&[paths[2], paths[1], paths[0]].concat());
    other.reverse();
    assert_eq!(one, other);
    assert!(one[0] != one[1] && one[0].starts_with("list_all_") && one[0].len() == 17, "{one:?}");
    assert_eq!(one[2], "other");
    let text = format!("openapi: 3.0.3\npaths:\n{}", paths.concat());
    let problems = document(&text).problems;
    assert_eq!(problems.len(), 2);
    assert!(problems[0].message.contains("GET /a") && problems[0].message.contains("GET /b"));
}

#[test]
fn paths_become_templates_or_are_left_out() {
    let check = |path: &str, expected: Result<&str, &str>| {
        let document = document(&format!(
            "{{\"openapi\": \"3.0.3\", \"paths\": {{{path:?}: {{\"get\": {{}}}}}}}}"
        ));
        match expected {
            Ok(template) => {
                assert_eq!(document.operations[0].template.to_string(), template, "{path}");
            }
            Err(message) => {
                assert_eq!(document.operations.len(), 0, "{path}");
                assert!(document.problems[0].message.contains(message), "{:?}", document.problems);
            }
        }
    };
    check("/a/{id}/b", Ok("/a/{id}/b"));
    check("/a/{user.name}", Ok("/a/{user_name}"));
    check("/a/", Ok("/a/"));
    check("/", Ok("/"));
    check("/a/{rest...}", Ok("/a/{rest}"));
    check("/a/{x}.json", Err("whole segment"));
    check("/{a}:{b}", Err("whole segment"));
    check("/{a}{b}", Err("whole segment"));
    check("/a/{}", Err("whole segment"));
    check("/a?b=1", Err("literal"));
    check("/a b", Err("literal"));
    check("/a//b", Err("empty"));
    check("/a/../b", Err("dot"));
    check("/a/{x}/{x}", Err("twice"));
    check("a", Err("starts with"));
    check(&"/{a}".repeat(30), Err("16 parameters"));
    check(&format!("/{}", "a".repeat(1024)), Err("1024 bytes"));
}

/// What is withheld: its methods and its template.
fn withheld(document: &Document) -> Vec<String> {
    let named = document.withheld.iter().map(|withheld| match &withheld.methods {
        Methods::Any => format!("* {}", withheld.template),
        Methods::Listed(methods) => format!("{} {}", methods.join(" "), withheld.template),
    });
    named.collect()
}

#[test]
fn what_is_left_out_is_withheld() {
    let check = |paths: &str, expected: &[&str]| {
        let document = document(&format!("openapi: 3.1.0\npaths:\n{paths}"));
        assert_eq!(withheld(&document), expected, "{paths} {:?}", document.problems);
        assert!(!document.problems.is_empty(), "{paths}");
    };
    check("  /a:\n    get: 1\n", &["GET /a"]);
    check("  /a: 2\n", &["* /a"]);
    check("  /a: {$ref: 'other.yaml#/x'}\n", &["* /a"]);
    check("  /a: {$ref: '#/none'}\n", &["* /a"]);
    check("  /a:\n    GET: {}\n", &["GET /a"]);
    check("  /a:\n    trace: {}\n", &[]);
    check("  /a:\n    query: {}\n", &[]);
    check("  /a/{id}.json:\n    get: {}\n    put: {}\n", &["GET /a/{p1}", "PUT /a/{p1}"]);
    check("  /a/{id}.json: {$ref: 'other.yaml#/x'}\n", &["* /a/{p1}"]);
    check("  /a b/c:\n    get: {}\n", &["GET /{p1}/c"]);
    check("  /a?b=1:\n    get: {}\n", &["GET /a"]);
    check("  a/b#c:\n    get: {}\n", &["GET /a/b"]);
    // No request can have these.
    check("  /a//b:\n    get: {}\n", &[]);
    check("  /a/../b:\n    get: {}\n", &[]);
    let parameters = (1..=16).map(|n| format!("/{{p{n}}}")).collect::<Vec<_>>().concat();
    let long = format!("  ? {}\n  : get: {{}}\n", "/{a}".repeat(30));
    check(&long, &[&format!("GET {parameters}/{{rest...}}")]);
    let long = format!("  ? /a/{}/b\n  : get: {{}}\n", "b".repeat(2000));
    check(&long, &["GET /a/{rest...}"]);
    // Both would have the requests of both.
    check("  /a/{x}:\n    get: {}\n  /a/{y}:\n    get: 1\n", &["GET /a/{y}", "GET /a/{x}"]);
    check("  /a:\n    get: {}\n    GET: {}\n", &["GET /a", "GET /a"]);
}

#[test]
fn what_cannot_be_told_apart_is_an_error() {
    let check = |text: &str, message: &str| {
        let document = document(&format!("openapi: 3.1.0\n{text}"));
        let errors: Vec<_> = document
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| &*problem.message)
            .collect();
        assert!(matches!(errors.as_slice(), [only] if only.contains(message)), "{text} {errors:?}");
    };
    let sibling = "paths:\n  /a/{id}.json:\n    get: {}\n  /a/{id}:\n    get: {}\n";
    check(sibling, "GET /a/{id}: it has the requests of \"GET /a/{id}.json\"");
    let head = "paths:\n  /a/{id}.json:\n    get: {}\n  /a/{id}:\n    head: {}\n";
    check(head, "HEAD /a/{id}: it has the requests");
    check("security: 1\npaths:\n  /a:\n    get: {}\n    put: {}\n", "the document: its `security`");
    check("paths:\n  /a:\n    get: {security: }\n    put: {}\n", "GET /a: its `security`");
    let warnings = (0..1500).map(|n| format!("  /x{n}: 1\n")).collect::<Vec<_>>().concat();
    let behind = format!("paths:\n{warnings}  /a:\n    get: {{security: 1}}\n");
    check(&behind, "GET /a: its `security`");
}

#[test]
fn paths_that_match_the_same_are_merged_by_method() {
    let check = |paths: &str, expected: &[&str], left_out: &[&str]| {
        let text = format!("openapi: 3.0.3\npaths:\n{paths}");
        let document = document(&text);
        let names: Vec<&str> = document.operations.iter().map(|o| &*o.id).collect();
        assert_eq!(
            (names.as_slice(), withheld(&document)),
            (expected, strings(left_out)),
            "{paths}"
        );
        let said = document.problems.iter().filter(|p| p.message.contains("the paths and the"));
        assert_eq!(said.count(), left_out.len(), "{:?}", document.problems);
    };
    let both =
        "  /a/{x}:\n    get: {}\n  /a/{y}:\n    get: {}\n    put: {}\n  /a/b:\n    get: {}\n";
    check(both, &["put_a_y", "get_a_b"], &["GET /a/{x}", "GET /a/{y}"]);
    let apart = "  /a/{x}:\n    get: {}\n  /a/{y}:\n    put: {}\n    head: {}\n";
    check(apart, &["get_a_x", "put_a_y", "head_a_y"], &[]);
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn deprecated_operations_say_so() {
    let operation = json!({ "deprecated": true, "summary": "Does it." });
    let (form, _) = form("3.0.3", operation, json!({}));
    assert_eq!(
        (form.title.as_deref(), &*form.description),
        (Some("Does it."), "Deprecated. Does it.")
    );
}

#[test]
fn what_is_not_used_is_told() {
    let check = |item: &str, message: &str| {
        let document = document(&format!("openapi: 3.1.0\npaths:\n  /a:\n    get: {{}}\n{item}"));
        let told: Vec<_> = document.problems.iter().map(|problem| &*problem.message).collect();
        assert!(matches!(told.as_slice(), [only] if only.contains(message)), "{item} {told:?}");
        assert_eq!(document.operations.len(), 1, "{item}");
    };
    check("    servers: [{url: 'https://b'}]\n", "`servers` are not used");
    check("    put_: {}\n", "\"put_\" is no method");
    check("    trace: {}\n", "TRACE is never forwarded");
    check("security: [{a: [x]}, {b: [y]}]\n", "alternatives of `security` differ");
}

#[test]
fn scopes_are_those_of_all_alternatives() {
    let check = |document_wide: &str, own: &str, expected: Option<&[&str]>| {
        let text = format!(
            "openapi: 3.0.3\n{document_wide}\npaths:\n  /a:\n    get:\n      {own}\n      x-y: 1\n"
        );
        let document = document(&text);
        let is_refused = document.problems.iter().any(|p| p.severity == Severity::Error);
        let scopes = document
            .operations
            .first()
            .filter(|_| !is_refused)
            .map(|operation| operation.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>());
        assert_eq!(scopes.as_deref(), expected, "{document_wide} {own} {:?}", document.problems);
    };
    check("", "", Some(&[]));
    check("security: [{o: [a, b]}]", "", Some(&["a", "b"]));
    check("security: [{o: [a, b]}]", "security: []", Some(&[]));
    check(
        "security: [{o: [a]}]",
        "security: [{o: [c, b], k: []}, {}, {p: [b, d]}]",
        Some(&["c", "b", "d"]),
    );
    // Nobody may take a broken one for none.
    check("", "security: {o: [a]}", None);
    check("", "security: [{o: a}]", None);
    check("", "security: [{o: ['a b']}]", None);
    check("security: null", "", None);
    check("security: null", "security: []", None);
}

#[test]
fn tags_are_kept_clean_and_few() {
    let tags = json!(["Pay\u{202e}ments", 7, " ", "More", "c", "d", "e", "f", "g", "h", "i"]);
    let (form, problems) = form("3.1.0", json!({ "tags": tags }), json!({}));
    let tags: Vec<&str> = form.tags.iter().map(|tag| &**tag).collect();
    assert_eq!(tags, ["Payments", "More", "c", "d", "e", "f", "g", "h"]);
    assert_eq!(problems.len(), 0);
}

#[test]
fn a_broken_operation_leaves_the_others() {
    let text = "openapi: 3.1.0\npaths:\n  /a:\n    get: 1\n    put: {}\n  /b: 2\n  /c:\n    $ref: 'other.yaml#/x'\n  \
                /d:\n    $ref: '#/components/pathItems/d'\n  x-e: 1\ncomponents:\n  pathItems:\n    d:\n      \
                parameters: [{name: q, in: query, schema: {type: string}}]\n      post: {summary: \"S\\u202e\"}\n";
    let document = document(text);
    let names: Vec<&str> = document.operations.iter().map(|o| &*o.id).collect();
    assert_eq!(names, ["put_a", "post_d"]);
    let messages: Vec<&str> = document.problems.iter().map(|p| &*p.message).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].starts_with("GET /a: ") && messages[1].starts_with("\"/b\": "));
    assert!(messages[2].contains("out of the document"));
    let form = document.operations[1].form.as_ref().unwrap();
    assert_eq!((form.title.as_deref(), &*form.description), (Some("S"), "S"));
    assert_eq!(form.arguments[0].argument.name.as_ref(), "q");
}
