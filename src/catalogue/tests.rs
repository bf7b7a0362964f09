//! Tools of operations, as rows; that names depend on nothing but what they name, over any operations.

use proptest::prelude::*;
use std::sync::OnceLock;

use serde_json::json;

use super::*;
use crate::model::api::{Access, ApiFacts, Durability, Metering};
use crate::model::id::{ApiName, OperationId};
use crate::model::tool::{Need, Style};
use crate::openapi::NamedArgument;

fn operation(id: &str, methods: &[&str], path: &str) -> Arc<Operation> {
    let (api, local) = id.split_once('.').expect("api.operation");
    let name = ApiName::parse(api).expect("a name");
    Arc::new(Operation {
        id: OperationId::join(&name, local).expect("a name"),
        api: Arc::new(ApiFacts { name, access: Access::Granted }),
        methods: match methods {
            ["*"] => Methods::Any,
            listed => Methods::Listed(listed.iter().map(|method| (*method).into()).collect()),
        },
        template: Template::parse(path).expect("a template"),
        scopes: Box::default(),
        body_bytes_max: 1,
        durability: Durability::Standard,
        metering: Metering::All,
        shape: None,
        products: Box::default(),
        facts: OnceLock::new(),
    })
}

fn offer(id: &str, methods: &[&str], path: &str) -> Offer {
    Offer {
        operation: operation(id, methods, path),
        base_path: BasePath::new("/api"),
        host: None,
        source: Source::Config,
        name: None,
        description: None,
    }
}

fn only(offer: Offer) -> Arc<Tool> {
    let catalogue = catalogue(vec![offer]);
    assert_eq!(catalogue.tools().len(), 1);
    Arc::clone(&catalogue.tools()[0])
}

#[test]
fn operations_that_can_be_no_tool_say_why() {
    let check = |methods: &[&str], path: &str, expected: Option<NoTool>| {
        let offer = offer("a.b", methods, path);
        assert_eq!(offer.refused(), expected, "{methods:?} {path}");
        assert_eq!(catalogue(vec![offer]).tools().is_empty(), expected.is_some());
    };
    check(&["GET"], "/x", None);
    check(&["HEAD"], "/x", None);
    check(&["GET"], "/", None);
    check(&["*"], "/x", Some(NoTool::SeveralMethods));
    check(&["GET", "POST"], "/x", Some(NoTool::SeveralMethods));
    check(&["OPTIONS"], "/x", Some(NoTool::Options));
    check(&["GET"], "/x/{rest...}", Some(NoTool::Tail));
    let undescribed = Offer { source: Source::Document(None), ..offer("a.b", &["GET"], "/x") };
    assert_eq!(undescribed.refused(), Some(NoTool::NotDescribed));
}

#[test]
fn the_path_is_in_parts() {
    let check = |base: &str, path: &str, expected: &[PathPart]| {
        let offer = Offer { base_path: BasePath::new(base), ..offer("a.b", &["GET"], path) };
        assert_eq!(*only(offer).path, *expected, "{base} {path}");
    };
    let literal = |text: &str| PathPart::Literal(text.into());
    check("/", "/", &[literal("/")]);
    check("/api", "/", &[literal("/api")]);
    check("/api", "/x/", &[literal("/api/x/")]);
    check("/", "/{id}", &[literal("/"), PathPart::Argument(0)]);
    let refunds = [literal("/api/p/"), PathPart::Argument(0), literal("/refunds")];
    check("/api", "/p/{id}/refunds", &refunds);
    // Arguments are in order of their names: a, b, query.
    let two = [literal("/api/"), PathPart::Argument(1), literal("/"), PathPart::Argument(0)];
    check("/api", "/{b}/{a}", &two);
}

#[test]
fn arguments_of_an_undescribed_operation_are_its_path_a_query_and_a_body() {
    let check = |method: &str, path: &str, expected: &[(&str, Place, Need)]| {
        let tool = only(offer("a.b", &[method], path));
        let found = tool.arguments.iter().map(|a| (&*a.name, a.place.clone(), a.need));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{method} {path}");
        assert_eq!(tool.body.is_some(), matches!(method, "POST" | "PUT" | "PATCH"), "{method}");
        assert_eq!(tool.input.fault(), None);
    };
    let query = ("query", Place::AnyQuery, Need::Optional);
    let body = ("body", Place::Body, Need::Optional);
    let id = ("id", Place::Path, Need::Required);
    check("GET", "/p", std::slice::from_ref(&query));
    check("HEAD", "/p/{id}", &[id.clone(), query.clone()]);
    check("DELETE", "/p/{id}", &[id.clone(), query.clone()]);
    check("POST", "/p", &[body.clone(), query.clone()]);
    check("PUT", "/p/{id}", &[body.clone(), id.clone(), query.clone()]);
    check("PATCH", "/p/{id}", &[body.clone(), id, query.clone()]);
    let taken = [
        ("body", Place::Path, Need::Required),
        ("body_body", Place::Body, Need::Optional),
        ("query", Place::Path, Need::Required),
        ("query_query", Place::AnyQuery, Need::Optional),
    ];
    check("POST", "/{query}/{body}", &taken);
}

#[test]
fn arguments_of_an_undescribed_operation_are_checked() {
    let tool = only(offer("a.b", &["POST"], "/p/{id}"));
    let check = |arguments: Value, is_good: bool| {
        assert_eq!(tool.input.check(&arguments).is_ok(), is_good, "{arguments}");
    };
    check(json!({ "id": "7" }), true);
    check(json!({ "id": "7", "query": { "a": 1, "b": "x", "c": true }, "body": [1] }), true);
    check(json!({}), false);
    check(json!({ "id": "" }), false);
    check(json!({ "id": 7 }), false);
    check(json!({ "id": "7", "query": { "a": [1] } }), false);
    check(json!({ "id": "7", "body": "text" }), false);
    check(json!({ "id": "7", "other": 1 }), false);
}

#[test]
fn the_definition_is_one_object_in_one_line() {
    let described = only(offer("payments.get", &["GET"], "/payments/{id}"));
    let value: Value = serde_json::from_str(&described.definition).expect("JSON");
    let start = r#"{"name":"payments_get","description":"GET /api/payments/{id}","inputSchema":{"#;
    assert!(described.definition.starts_with(start), "{}", described.definition);
    let end = r#""annotations":{"readOnlyHint":true,"destructiveHint":false,"idempotentHint":true,"openWorldHint":false}}"#;
    assert!(described.definition.ends_with(end), "{}", described.definition);
    assert_eq!(value["inputSchema"], described.input.value);
    assert_eq!(described.digest.len(), 64);

    let mut told = offer("payments.get", &["DELETE"], "/payments/{id}");
    told.name = Some("drop".into());
    told.description = Some("Two\nlines \"quoted\"\u{2028}".into());
    let told = only(told);
    assert!(!told.definition.contains(['\n', '\r']), "{}", told.definition);
    let value: Value = serde_json::from_str(&told.definition).expect("JSON");
    assert_eq!((&value["name"], &*told.name), (&json!("drop"), "drop"));
    assert_eq!(value["description"], "Two\nlines \"quoted\"\u{2028}");
    let hints = json!({ "readOnlyHint": false, "destructiveHint": true, "idempotentHint": true,
                        "openWorldHint": false });
    assert_eq!(value["annotations"], hints);
    assert_ne!(told.digest, described.digest);
}

fn form() -> Form {
    let argument =
        |name: &str, place, need| Argument { name: name.into(), place, need, mirrored: None };
    let named = |wire_name: &str, argument| NamedArgument { wire_name: wire_name.into(), argument };
    let filter = Place::Query { name: "filter[x]".into(), style: Style::FormExploded };
    Form {
        title: Some("Get a payment".into()),
        description: "One payment.".into(),
        tags: Box::default(),
        arguments: vec![
            // Another place has the parameter's name too.
            named("id", argument("id_path", Place::Path, Need::Required)),
            named("filter[x]", argument("filter_x", filter, Need::Optional)),
        ],
        body: None,
        input: json!({ "type": "object" }),
        output: Some(json!({ "type": "object", "properties": { "id": { "type": "string" } } })),
    }
}

#[test]
fn a_digest_is_of_where_calls_go_too() {
    let described = |path: &str, form: Form| {
        let offer =
            Offer { source: Source::Document(Some(form)), ..offer("payments.get", &["GET"], path) };
        only(offer)
    };
    let before = described("/payments/{id}", form());
    let check = |path: &str, change: fn(&mut Form)| {
        let mut form = form();
        change(&mut form);
        let after = described(path, form);
        assert_eq!(after.definition, before.definition, "{path}");
        assert_ne!(after.digest, before.digest, "{path}");
    };
    check("/admin/{id}", |_| {});
    check("/payments/{id}", |form| {
        let place = Place::Query { name: "admin".into(), style: Style::FormExploded };
        form.arguments[1].argument.place = place;
    });
    check("/payments/{id}", |form| {
        let place = Place::Query { name: "filter[x]".into(), style: Style::Form };
        form.arguments[1].argument.place = place;
    });
    check("/payments/{id}", |form| form.body = Some(BodyForm::Form));
}

#[test]
fn a_document_tells_more() {
    let offer = || Offer {
        source: Source::Document(Some(form())),
        host: Some("api.example.com".into()),
        ..offer("payments.get", &["GET"], "/payments/{id}")
    };
    let tool = only(offer());
    let value: Value = serde_json::from_str(&tool.definition).expect("JSON");
    let keys = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];
    let places = keys.map(|key| tool.definition.find(&format!("\"{key}\":")).expect(key));
    assert!(places.is_sorted(), "{}", tool.definition);
    assert_eq!(
        (&value["title"], &value["annotations"]["title"]),
        (&json!("Get a payment"), &json!("Get a payment"))
    );
    assert_eq!(value["outputSchema"], form().output.expect("it has one"));
    assert_eq!(tool.path[1], PathPart::Argument(1), "after filter_x");
    assert_eq!(tool.host.as_deref(), Some("api.example.com"));
    let renamed = only(Offer { description: Some("Better.".into()), ..offer() });
    assert!(renamed.definition.contains("\"description\":\"Better.\""));
    // A path that its arguments do not fill is no tool.
    let unfilled = Offer { operation: operation("payments.get", &["GET"], "/{other}"), ..offer() };
    assert!(catalogue(vec![unfilled]).tools().is_empty());
}

fn names_of(ids: &[&str], given: &[(&str, &str)]) -> Vec<String> {
    let wanted = |id: &&str| names::Wanted {
        operation: OperationId::parse_joined(id).expect("an id"),
        name: given.iter().find(|(of, _)| of == id).map(|(_, name)| (*name).into()),
    };
    let wanted: Vec<_> = ids.iter().map(wanted).collect();
    names::assign(&wanted).iter().map(ToString::to_string).collect()
}

#[test]
fn names_are_made_of_api_and_operation() {
    let check = |ids: &[&str], given: &[(&str, &str)], expected: &[&str]| {
        assert_eq!(names_of(ids, given), expected, "{ids:?} {given:?}");
    };
    check(&["payments.list_payments"], &[], &["payments_list_payments"]);
    check(&["a.b-c"], &[], &["a_b-c"]);
    check(&["a.b"], &[("a.b", "given")], &["given"]);
    // printf a.b_c | sha256sum
    check(&["a.b_c", "a_b.c"], &[], &["a_b_c_5b8f934a", "a_b_c_a3715283"]);
    check(&["x.y", "a.b"], &[("x.y", "a_b")], &["a_b", "a_b_2e7336dc"]);
    let long = format!("payments.{}", "x".repeat(40));
    // The tools that stand for all others have theirs.
    let name = names_of(&["search.operations"], &[]).remove(0);
    assert!(name.starts_with("search_operations_") && name.len() == 26, "{name}");
    let name = names_of(&[&long], &[]).remove(0);
    let kept = long.replace('.', "_");
    assert_eq!((name.len(), name.split_at(39).0), (48, kept.split_at(39).0));
    let just = format!("payments.{}", "x".repeat(39));
    assert_eq!(names_of(&[&just], &[]), [just.replace('.', "_")]);
}

#[test]
fn what_changed_is_told_by_name_and_digest() {
    let tools = |offers: Vec<Offer>| catalogue(offers);
    let get = || offer("a.get", &["GET"], "/x");
    let put = || offer("a.put", &["PUT"], "/x");
    let (old, new) = (
        tools(vec![get(), put()]),
        tools(vec![
            Offer { description: Some("x".into()), ..get() },
            offer("a.new", &["GET"], "/"),
        ]),
    );
    assert!(old.changes(&tools(vec![put(), get()])).is_empty(), "their order means nothing");
    assert_eq!(old.digest, tools(vec![put(), get()]).digest);
    assert_ne!(old.digest, new.digest);
    let changes = new.changes(&old);
    let names = |versions: &[crate::model::tool::Version]| {
        versions.iter().map(|version| version.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&changes.added), names(&changes.removed)),
        (vec!["a_new".into()], vec!["a_put".into()])
    );
    let (before, after) = &changes.changed[0];
    assert_eq!((&*before.name, &*after.name), ("a_get", "a_get"));
    assert_eq!(*after.digest, *new.get("a_get").expect("there").digest);
    assert_ne!(before.digest, after.digest);
}

/// Ids that meet often.
fn ids() -> impl Strategy<Value = Vec<String>> {
    let id = ("[ab]{1}[_.]?[ab]{0,1}", "[ab][_.-]{0,2}[ab]?|[ab]{40,50}");
    let ids =
        prop::collection::btree_set(id.prop_map(|(api, local)| format!("{api}.{local}")), 1..12);
    ids.prop_map(|ids| ids.into_iter().collect())
}

proptest! {
    #[test]
    fn names_differ_fit_and_do_not_depend_on_order(
        ids in ids(),
        given in any::<prop::sample::Index>(),
        turn in any::<prop::sample::Index>(),
    ) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let overridden = [(ids[given.index(ids.len())], "a_a")];
        let names = names_of(&ids, &overridden);
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        prop_assert_eq!(different.len(), names.len(), "{:?}", names);
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        for name in &names {
            prop_assert!(name.len() <= 48 && name.chars().all(good), "{}", name);
        }
        let mut turned = ids.clone();
        turned.rotate_left(turn.index(ids.len()));
        turned.reverse();
        let mut again = names_of(&turned, &overridden);
        again.reverse();
        again.rotate_right(turn.index(ids.len()));
        prop_assert_eq!(&again, &names);
        // One that meets nobody changes nobody's name.
        let more: Vec<_> = ids.iter().copied().chain(["zz.zz"]).collect();
        prop_assert_eq!(&names_of(&more, &overridden)[..ids.len()], &names[..]);
    }
}
