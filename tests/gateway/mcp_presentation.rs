//! Two presentations of one inventory: a tool for each operation, or four tools that find, describe and call all of
//! them. What stands in a list is one thing, what may be called another.

use serde_json::{Value, json};

use super::harness::mcp::{Answer, Era};
use super::harness::setup::Setup;
use super::harness::toolbox::{ALL, FULL, READING, Toolbox};

const META: [&str; 4] =
    ["search_operations", "describe_operation", "call_read_operation", "call_write_operation"];
const READING_META: [&str; 3] = ["search_operations", "describe_operation", "call_read_operation"];

/// A public api of 331 operations beside the lab.
fn platform() -> String {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/decision/fixtures/platform.yaml");
    format!(
        "[[api]]\nname = \"platform\"\nbase_path = \"/v1\"\naccess = \"public\"\n\
         upstream = \"recorder\"\nopenapi = \"{document}\"\n"
    )
}

fn start(presentation: &str, apis: &str) -> Toolbox {
    let more = format!("[mcp]\npresentation = \"{presentation}\"\n");
    Toolbox::start_with(|setup| Setup { apis: setup.apis + apis, more, ..setup })
}

fn list(toolbox: &Toolbox, key: &str, target: &str) -> Answer {
    toolbox.gate.mcp(key, &Era::Legacy.message("tools/list", json!({})).to(target))
}

/// The answer of a tool that answers JSON as text.
fn told(answer: &Answer) -> Value {
    assert!(!answer.is_error(), "{answer:?}");
    serde_json::from_str(&answer.text()).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[test]
fn a_list_is_shown_as_its_presentation_says() {
    let check = |presentation: &str, apis: &str, all: &[&str], reading: &[&str]| {
        let toolbox = start(presentation, apis);
        let lists = [(&toolbox.full, all), (&toolbox.reader, reading)];
        for (key, expected) in lists {
            for era in Era::BOTH {
                let list = toolbox.gate.mcp(&key.text, &era.message("tools/list", json!({})));
                if !expected.is_empty() {
                    assert_eq!(list.tools(), expected, "{presentation} {era:?}");
                }
                assert!(list.result().get("nextCursor").is_none(), "{list:?}");
                expect_good_tools(&list);
            }
        }
        toolbox
    };
    check("direct", "", &ALL, &READING);
    check("search", "", &META, &READING_META);
    check("auto", "", &ALL, &READING);
    let toolbox = check("auto", &platform(), &META, &META);
    let tools = list(&toolbox, &toolbox.reader.text, "/mcp");
    let bytes: usize = tools.result()["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|t| t.to_string().len())
        .sum();
    // Four bytes of JSON are a token.
    assert!(bytes <= 3_000 * 4, "{bytes} bytes");
    let about = tools.result()["tools"][0]["description"].as_str().expect("a text").to_owned();
    assert!(
        about.contains("among the 333 that you may call, of the APIs lab, platform."),
        "{about}"
    );
    let shown = toolbox.gate.json(&["client", "show", "reader"]);
    let seen = &shown[0]["tools"][0];
    assert_eq!((&seen["operations"], &seen["tools"]), (&json!(333), &json!(4)), "{seen}");
    assert_eq!(seen["tokens"], json!(bytes.div_ceil(4)), "{seen}");
}

/// What clients and models ask of names and schemas.
fn expect_good_tools(list: &Answer) {
    for tool in list.result()["tools"].as_array().expect("tools") {
        let name = tool["name"].as_str().expect("a name");
        assert!(name.len() <= 48, "{name}");
        let good = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        assert!(name.bytes().all(good), "{name}");
        let schema = tool["inputSchema"].as_object().expect("an object");
        assert_eq!(schema["type"], "object", "{tool}");
        for keyword in ["oneOf", "anyOf", "allOf", "not", "if"] {
            assert!(!schema.contains_key(keyword), "{tool}");
        }
        for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
            assert!(tool["annotations"][hint].is_boolean(), "{tool}");
        }
    }
}

#[test]
fn a_profile_is_shown_its_tools_as_it_wishes() {
    let toolbox = start("direct", "");
    let key = toolbox.reader.text.clone();
    let change = |more: &[&str]| {
        toolbox.gate.cli(&[&["client", "change", "reader"][..], more].concat()).expect_success();
    };
    let check = |expected: &[&str]| {
        assert_eq!(list(&toolbox, &key, "/mcp").tools(), expected);
    };
    check(&READING);
    change(&["--presentation", "search"]);
    check(&READING_META);
    assert_eq!(list(&toolbox, &toolbox.full.text, "/mcp").tools(), ALL, "it is the profile's own");
    let shown = toolbox.gate.json(&["client", "show", "reader"]);
    assert_eq!(shown[0]["profiles"][0]["presentation"], "search", "{shown:?}");
    assert_eq!(shown[0]["tools"][0]["presentation"], "search", "{shown:?}");
    change(&["--presentation", "auto"]);
    check(&READING);
    change(&["--presentation", "config"]);
    check(&READING);
    let refused = toolbox.gate.cli(&["client", "change", "reader", "--presentation", "all"]);
    assert!(refused.stderr.contains("none of direct, search, auto"), "{refused:?}");
    assert_ne!(refused.code, Some(0));
    let acts = toolbox.gate.records(&["--surface", "admin"], |acts| acts.len() >= 5);
    let acts = acts.iter().filter(|act| act["action"] == "client.change");
    let after: Vec<&Value> = acts.map(|act| &act["after"]["presentation"]).collect();
    assert_eq!(after, [&json!("search"), &json!("auto"), &Value::Null], "{after:?}");
    // A client that begins so.
    let more = [&FULL[..], &["--presentation", "search"]].concat();
    let other = toolbox.gate.add_client("other", &more);
    assert_eq!(list(&toolbox, &other.text, "/mcp").tools(), META);
}

#[test]
fn an_operation_is_found_described_and_called() {
    let toolbox = start("search", &platform());
    for era in Era::BOTH {
        let ask = |tool: &str, arguments: Value| toolbox.ask(&era.call(tool, &arguments));
        let found = ask("search_operations", json!({ "query": "read a thing in the lab" }));
        let operations = told(&found)["operations"].as_array().expect("matches").clone();
        assert!(operations.len() <= 5, "{operations:?}");
        let read = operations.iter().find(|of| of["name"] == "lab_read").expect("it is found");
        assert_eq!(read["call_with"], "call_read_operation", "{read}");
        assert_eq!(read["required"], "n", "{read}");
        let record = toolbox.gate.record_of_answer(&found);
        assert_eq!(record["operation"], "mcp.tools/call", "{record}");
        assert_eq!(record["mcp"]["tool"], "search_operations", "{record}");
        assert_eq!(record["decision"], "allowed", "{record}");

        let described = told(&ask("describe_operation", json!({ "name": "lab_write" })));
        assert_eq!(described["call_with"], "call_write_operation", "{described}");
        let direct = start("direct", "");
        let listed = list(&direct, &direct.full.text, "/mcp");
        assert_eq!(described["operation"], listed.result()["tools"][4], "as a list has it");

        let check = |meta: &str, tool: &str, arguments: Value, status: u64| {
            let inner = json!({ "name": tool, "arguments": arguments });
            let (through, straight) = (ask(meta, inner), ask(tool, arguments.clone()));
            let without = |answer: &Answer| {
                let id = answer.response.id().to_owned();
                answer.rpc().to_string().replace(&id, "ID")
            };
            assert_eq!(without(&through), without(&straight), "{tool}");
            let (mut one, mut other) =
                (toolbox.gate.record_of_answer(&through), toolbox.gate.record_of_answer(&straight));
            assert_eq!(one["status"], status, "{one}");
            assert_eq!(one["mcp"]["via"], meta, "{one}");
            for record in [&mut one, &mut other] {
                let record = record.as_object_mut().expect("an object");
                for own in
                    ["id", "seq", "time", "trace_id", "duration_us", "upstream_us", "request_bytes"]
                {
                    record.remove(own);
                }
                record["mcp"].as_object_mut().expect("an object").remove("via");
            }
            assert_eq!(one, other, "{tool}");
        };
        check("call_read_operation", "lab_read", json!({ "n": "7" }), 200);
        check("call_write_operation", "lab_read", json!({ "n": "7" }), 200);
        check("call_write_operation", "lab_write", json!({ "n": "8", "amount": 3 }), 200);
        check("call_read_operation", "lab_absent", json!({ "n": "1" }), 404);
        // Arguments that do not fit.
        check("call_read_operation", "lab_read", json!({ "m": "7" }), 200);
    }
}

#[test]
fn what_only_reads_calls_nothing_that_writes() {
    let toolbox = start("search", "");
    let write = json!({ "name": "lab_write", "arguments": { "n": "8", "amount": 3 } });
    for era in Era::BOTH {
        let refused = toolbox.ask(&era.call("call_read_operation", &write));
        refused.expect_error("call it with call_write_operation");
        let record = toolbox.gate.record_of_answer(&refused);
        assert_eq!(record["denial"], "malformed_request", "{record}");
        assert_eq!(record["mcp"]["tool"], "lab_write", "{record}");
    }
    // Who may not call it is told that, as by its own name.
    let denied =
        toolbox.gate.mcp(&toolbox.reader.text, &Era::Modern.call("call_read_operation", &write));
    denied.expect_problem(403, "not_granted");
    assert_eq!(toolbox.gate.record_of_answer(&denied)["operation"], "lab.write");
    assert!(toolbox.upstream.asked().is_empty());
}

#[test]
fn what_a_caller_may_not_call_is_neither_found_nor_told() {
    let toolbox = start("search", "");
    let ask = |tool: &str, arguments: Value| {
        toolbox.gate.mcp(&toolbox.reader.text, &Era::Modern.call(tool, &arguments))
    };
    let found =
        told(&ask("search_operations", json!({ "query": "write to the lab", "limit": 20 })));
    let names: Vec<&str> = found["operations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|o| o["name"].as_str())
        .collect();
    assert!(names.iter().all(|name| READING.contains(name)), "{names:?}");
    for name in ["lab_write", "lab_nothing", "search_operations"] {
        let answer = ask("describe_operation", json!({ "name": name }));
        answer.expect_error(&format!("There is no operation `{name}` that you may call."));
        assert!(!answer.text().contains("lab_hold"), "{answer:?}");
        let record = toolbox.gate.record_of_answer(&answer);
        assert_eq!(record["denial"], "not_found", "{record}");
    }
    let unknown = ask("call_write_operation", json!({ "name": "lab_reed" }));
    unknown
        .expect_error("There is no operation `lab_reed` that you may call. Near to it: lab_read");
    // A call is decided as REST decides it, whatever was shown.
    let arguments = json!({ "name": "lab_write", "arguments": { "n": "8", "amount": 3 } });
    let denied = ask("call_write_operation", arguments);
    denied.expect_problem(403, "not_granted");
    let record = toolbox.gate.record_of_answer(&denied);
    assert_eq!(
        (&record["operation"], &record["denial"]),
        (&json!("lab.write"), &json!("not_granted"))
    );
    assert!(toolbox.upstream.asked().is_empty());
}

#[test]
fn every_name_is_taken_however_tools_are_shown() {
    for presentation in ["direct", "search"] {
        let toolbox = start(presentation, "");
        let direct = toolbox.ask(&Era::Legacy.call("lab_read", &json!({ "n": "7" })));
        assert!(!direct.is_error(), "{presentation}: {direct:?}");
        let inner = json!({ "name": "lab_read", "arguments": { "n": "7" } });
        let through = toolbox.ask(&Era::Modern.call("call_read_operation", &inner));
        assert!(!through.is_error(), "{presentation}: {through:?}");
    }
}

#[test]
fn a_path_and_a_query_narrow_what_is_listed_and_nothing_else() {
    let toolbox = start("direct", "");
    let full = &toolbox.full.text;
    let reads = ["lab_absent", "lab_busy", "lab_hold", "lab_read"];
    assert_eq!(list(&toolbox, full, "/mcp/all").tools(), ALL);
    assert_eq!(list(&toolbox, full, "/mcp/reading").tools(), READING);
    assert_eq!(list(&toolbox, full, "/mcp?readonly=true").tools(), reads);
    assert_eq!(list(&toolbox, full, "/mcp/all?readonly=true").tools(), reads);
    assert_eq!(list(&toolbox, full, "/mcp?readonly=false").tools(), ALL);
    // A product that is not granted has nothing to show.
    assert_eq!(list(&toolbox, &toolbox.reader.text, "/mcp/all").tools(), READING);
    // A search is narrowed too, and a call is not.
    for era in Era::BOTH {
        let ask = |tool: &str, arguments: Value| {
            toolbox.ask(&era.call(tool, &arguments).to("/mcp/reading?readonly=true"))
        };
        let found = told(&ask("search_operations", json!({ "query": "lab", "limit": 20 })));
        assert_eq!(found["operations"].as_array().map(Vec::len), Some(2), "{found}");
        ask("describe_operation", json!({ "name": "lab_write" })).expect_error("no operation");
        let written = ask("lab_write", json!({ "n": "8", "amount": 3 }));
        assert!(!written.is_error(), "{written:?}");
        let inner = json!({ "name": "lab_write", "arguments": { "n": "8", "amount": 3 } });
        assert!(!ask("call_write_operation", inner).is_error());
    }
}

#[test]
fn what_narrows_nothing_that_there_is_is_refused() {
    let toolbox = start("direct", "");
    let check = |target: &str, key: Option<&str>, status: u16, code: &str| {
        let message = Era::Legacy.message("tools/list", json!({})).to(target);
        let response = toolbox.gate.call(&message.request(key));
        assert_eq!(response.status, status, "{target}: {response:?}");
        assert_eq!(response.problem()["code"], code, "{target}: {response:?}");
        let record = toolbox.gate.record_of(&response);
        assert_eq!(record["denial"], code, "{target}: {record}");
        assert_eq!(record["surface"], "mcp", "{target}: {record}");
    };
    let key = Some(toolbox.full.text.as_str());
    check("/mcp/nothing", key, 404, "not_found");
    check("/mcp?readonly=yes", key, 400, "malformed_request");
    check("/mcp?readonly=true&readonly=false", key, 400, "malformed_request");
    // Who is nobody does not learn which products there are.
    check("/mcp/nothing", None, 401, "credential_missing");
    check("/mcp/reading", None, 401, "credential_missing");
    for target in ["/mcp/reading/more", "/mcp/"] {
        let message = Era::Legacy.message("tools/list", json!({})).to(target);
        assert_eq!(toolbox.gate.call(&message.request(key)).status, 404, "{target}");
    }
}

#[test]
fn an_api_keeps_what_is_below_the_endpoint_but_for_products() {
    let below = "[[api]]\nname = \"below\"\nbase_path = \"/mcp/servers\"\naccess = \"public\"\n\
                 upstream = \"recorder\"\n[[api.operation]]\nid = \"root\"\nmethods = [\"*\"]\npath = \"/\"\n";
    let toolbox = start("direct", below);
    let message = Era::Legacy.message("tools/list", json!({})).to("/mcp/servers");
    let response = toolbox.gate.call(&message.request(Some(&toolbox.full.text)));
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(toolbox.gate.record_of(&response)["operation"], "below.root");
}

/// What REST cannot reach no argument of a tool reaches either.
#[test]
fn a_value_does_not_lead_to_the_endpoint() {
    let below = "[[api]]\nname = \"below\"\nbase_path = \"/\"\naccess = \"public\"\nupstream = \"recorder\"\n\
                 [[api.operation]]\nid = \"one\"\nmethods = [\"GET\"]\npath = \"/{a}\"\n\
                 [[api.operation]]\nid = \"two\"\nmethods = [\"GET\"]\npath = \"/mcp/{b}\"\n";
    let toolbox = start("direct", below);
    let ask = |tool: &str, arguments: Value| toolbox.ask(&Era::Modern.call(tool, &arguments));
    ask("below_one", json!({ "a": "mcp" })).expect_error("leads to the MCP endpoint");
    ask("below_two", json!({ "b": "reading" })).expect_error("leads to the MCP endpoint");
    assert!(toolbox.upstream.asked().is_empty());
    assert!(!ask("below_one", json!({ "a": "mcps" })).is_error());
    assert!(!ask("below_two", json!({ "b": "other" })).is_error());
}

#[test]
fn a_call_is_charged_once_and_a_search_to_the_rate() {
    let plan = "[[plan]]\nname = \"wide\"\nquotas = [{ limit = 2, per = \"month\" }]\n\
                rates = [{ name = \"slow\", limit = 1, per = \"1h\", burst = 6 }]\n";
    let toolbox = Toolbox::start_with(|setup| Setup { plans: plan, ..setup });
    let ask = |tool: &str, arguments: Value| toolbox.ask(&Era::Modern.call(tool, &arguments));
    let call =
        || ask("call_read_operation", json!({ "name": "lab_read", "arguments": { "n": "7" } }));
    assert!(!ask("search_operations", json!({ "query": "read" })).is_error());
    assert!(!ask("describe_operation", json!({ "name": "lab_read" })).is_error());
    assert!(!call().is_error());
    assert!(!call().is_error());
    call().expect_problem(429, "quota_exhausted");
    // What is refused is not charged; what is asked of the gate is no call of the quota.
    assert!(!ask("search_operations", json!({ "query": "read" })).is_error());
    ask("call_read_operation", json!({ "name": "nothing" })).expect_error("no operation");
    let slowed = ask("search_operations", json!({ "query": "read" }));
    assert_eq!(slowed.response.status, 429, "{slowed:?}");
    assert_eq!(toolbox.gate.record_of_answer(&slowed)["denial"], "rate_limited");
    assert_eq!(toolbox.upstream.asked().len(), 2);
}
