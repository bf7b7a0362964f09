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
        let document = document(&format!("openapi: 3.0.3\npaths:\n  {path:?}:\n    get: {{}}\n"));
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
}

#[test]
fn two_paths_that_match_the_same_are_not_both_taken() {
    let names =
        ids("  /a/{x}:\n    get: {}\n  /a/{y}:\n    get: {}\n    put: {}\n  /a/b:\n    get: {}\n");
    assert_eq!(names, ["get_a_x", "get_a_b"]);
}

#[test]
fn scopes_are_those_of_all_alternatives() {
    let check = |document_wide: &str, own: &str, expected: Option<&[&str]>| {
        let text = format!(
            "openapi: 3.0.3\n{document_wide}\npaths:\n  /a:\n    get:\n      {own}\n      x-y: 1\n"
        );
        let document = document(&text);
        let scopes = document
            .operations
            .first()
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
