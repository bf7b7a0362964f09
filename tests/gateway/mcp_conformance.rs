//! The conformance suite of MCP's authors against the gate, with a real key, for both eras. Its tools are
//! operations of `fixtures/conformance.yaml`, and a service behind the gate answers them.
//!
//! What the suite may find missing stands in `fixtures/conformance-REVISION.yml`, each with its reason.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::harness::gate::Gate;
use super::harness::injector::Injector;
use super::harness::node;
use super::harness::scripted::{Asked, Say, Scripted, whole};
use super::harness::setup::Setup;
use super::harness::tools;

/// The operations, and what the suite calls them.
const TOOLS: [(&str, &str); 11] = [
    ("text", "test_simple_text"),
    ("image", "test_image_content"),
    ("audio", "test_audio_content"),
    ("resource", "test_embedded_resource"),
    ("mixed", "test_multiple_content_types"),
    ("failure", "test_error_handling"),
    ("slow", "test_tool_with_progress"),
    ("quiet", "test_logging_tool"),
    ("unasking", "test_streaming_elicitation"),
    ("region", "test_custom_header"),
    ("contact", "json_schema_2020_12_tool"),
];

/// Three signs of life of `KEEP_ALIVE`, and some.
const SLOW: Duration = Duration::from_millis(3500);
const KEEP_ALIVE: &str = "1s";

#[test]
fn the_suite_passes_at_2026_07_28() {
    let of_its_own =
        ["json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation"];
    check("2026-07-28", &of_its_own);
}

#[test]
fn the_suite_passes_at_2025_11_25() {
    check("2025-11-25", &["json-schema-2020-12"]);
}

/// Runs what the revision requires; then scenarios that the suite runs with it and does not score.
fn check(revision: &str, of_its_own: &[&str]) {
    let upstream = Scripted::start(answer);
    let gate = Gate::start(&setup(&upstream));
    let key = gate.add_client("suite", &["--no-expiry", "--product", "fixtures", "--plan", "wide"]);
    let injector = Injector::start(gate.address, &key.text);
    let url = format!("http://{}/mcp", injector.address);
    let run = |what: &[&str]| {
        let mut suite = node::of_package("@modelcontextprotocol/conformance/dist/index.js");
        suite.current_dir(gate.folder.path());
        suite.args(["server", "--url", &url, "--output-dir", "suite"]).args(what);
        let expected = fixture(&format!("conformance-{revision}.yml"));
        let said = tools::run(suite.args(["--expected-failures", &expected]), b"");
        assert_eq!(said.code, Some(0), "{what:?}\n{}\n{}", said.stdout, said.stderr);
        // It is also content with nothing to run.
        assert!(said.stdout.contains("Baseline check passed"), "{what:?}\n{}", said.stdout);
    };
    run(&["--requirements", revision]);
    for scenario in of_its_own {
        run(&["--scenario", scenario, "--spec-version", revision]);
    }
    // Each of its calls was the operation's: with its record, under the client's name.
    let records = gate.records(&["--operation", "fixtures.text"], |records| !records.is_empty());
    for record in records {
        assert_eq!((&record["client"], &record["surface"]), (&json!("suite"), &json!("mcp")));
    }
}

fn fixture(name: &str) -> String {
    format!("{}/tests/gateway/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn setup(upstream: &Scripted) -> Setup {
    let openapi = fixture("conformance.yaml");
    let mut apis = format!(
        "[mcp]\nkeep_alive = \"{KEEP_ALIVE}\"\n\
         [[api]]\nname = \"fixtures\"\nbase_path = \"/fixtures\"\nupstream = \"recorder\"\n\
         access = \"granted\"\nopenapi = \"{openapi}\"\n"
    );
    let mut granted = Vec::new();
    for (id, name) in TOOLS {
        writeln!(apis, "[[api.operation]]\nid = \"{id}\"\ntool = {{ name = \"{name}\" }}")
            .expect("a String takes all");
        granted.push(format!("\"fixtures.{id}\""));
    }
    write!(apis, "[[product]]\nname = \"fixtures\"\noperations = [{}]\n", granted.join(", "))
        .expect("a String takes all");
    Setup { apis, ..Setup::before_address(upstream.address) }
}

fn answer(asked: &Asked) -> Vec<Say> {
    let path = asked.target.split('?').next().unwrap_or_default();
    let typed = |kind: &str, body: &[u8]| {
        whole(asked, "200 OK", &format!("Content-Type: {kind}\r\n"), body)
    };
    let result = |content: Value| {
        let body = json!({ "content": content }).to_string();
        typed("application/vnd.onegate.tool-result+json", body.as_bytes())
    };
    let resource = |uri: &str, text: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": "text/plain", "text": text } });
    match path.strip_prefix("/fixtures/").unwrap_or_default() {
        "image" => typed("image/png", &PNG),
        "audio" => typed("audio/wav", &WAV),
        "resource" => result(json!([resource("test://embedded-resource", "embedded")])),
        "mixed" => result(json!([
            { "type": "text", "text": "Multiple content types test:" },
            { "type": "image", "data": PNG_BASE64, "mimeType": "image/png" },
            resource("test://mixed-content-resource", "mixed"),
        ])),
        "failure" => {
            let problem = br#"{"title":"This tool intentionally returns an error for testing"}"#;
            let fields = "Content-Type: application/problem+json\r\n";
            whole(asked, "500 Internal Server Error", fields, problem)
        }
        "slow" => {
            let mut says = vec![Say::Pause(SLOW)];
            says.extend(typed("text/plain", b"It took a while."));
            says
        }
        _ => typed("text/plain", b"This is a simple text response for testing."),
    }
}

/// One red pixel.
const PNG: [u8; 69] = [
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 12, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x63, 0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0xc9, 0xfe, 0x92, 0xef, 0, 0, 0, 0, b'I',
    b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];
const PNG_BASE64: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/// Silence: a head without a sample.
const WAV: [u8; 44] = *b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\0\0\0\0";
