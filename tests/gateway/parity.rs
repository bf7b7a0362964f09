//! `onegate parity`: the demo shows no difference, and neither does any gate: random configs, whose documents
//! make random requests, and random inventories. That it would find one is shown by `src/cli/tests/parity.rs`.

mod world;

use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::harness::demo::Demo;
use super::harness::folder::Folder;
use super::harness::tools::{self, Said};
use world::World;

#[test]
fn the_demo_shows_no_difference() {
    let demo = Demo::start();
    let said = demo.cli(&["parity"]).expect_success();
    assert!(said.contains("4 clients (two of them made to be refused) and 5 tools"), "{said}");
    for denial in ["not_granted", "insufficient_scope", "rate_limited", "quota_exhausted"] {
        assert!(said.contains(denial), "{denial}: {said}");
    }
    assert!(said.ends_with("No difference.\n"), "{said}");
    // The gate that runs was left alone, and so were its keys.
    let (status, _) = demo.curl("mobile-app", "/api/payments");
    assert_eq!(status, 200);
    let records = demo.records(&["--limit", "1000"], |records| !records.is_empty());
    let calls = records.iter().filter(|record| record["surface"] != "admin").count();
    assert_eq!(calls, 1, "{records:?}");
    demo.expect_no_key();
}

#[test]
fn what_cannot_be_compared_is_said() {
    let folder = Folder::new();
    let place = Place { folder: &folder };
    let check = |config: &str, words: &[&str], expected: &str| {
        place.write("gateway.toml", config);
        let said = place.run(&[&["parity"], words].concat());
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.stderr.contains(expected), "{expected}: {}", said.stderr);
    };
    place.write("clients.toml", "");
    let clients = place.folder.at("clients.toml");
    let of_file: &[&str] = &["--inventory", &clients];
    let head = LISTENER;
    check(head, &[], "there is no inventory");
    check(head, &["--inventory", "/nowhere/at-all"], "/nowhere/at-all");
    check(head, of_file, "no operation is a tool");
    let nobody = [of_file, &["--client", "nobody"]].concat();
    check(&format!("{head}{ONE_TOOL}"), &nobody, "there is no client 'nobody'");
    check(&format!("{head}[mcp]\nendpoint = \"off\"\n"), of_file, "no MCP endpoint");
    check("[[listener]]\n", of_file, "listener.name\" is missing");
    place.write("clients.toml", "[[client]]\nid = 7\n");
    check(head, of_file, "clients.toml");
}

#[test]
fn an_inventory_may_be_a_file() {
    let folder = Folder::new();
    let place = Place { folder: &folder };
    place.write("gateway.toml", &format!("{LISTENER}{ONE_TOOL}"));
    let client = |id: &str| {
        format!(
            "[[client]]\nid = \"{id}\"\nkind = \"app\"\nowner = \"o\"\npurpose = \"p\"\n\
             credential = [{{ issue = true }}]\n"
        )
    };
    place.write("clients.toml", &[client("one"), client("two")].concat());
    let (file, copy) = (folder.at("clients.toml"), folder.at("copy.db"));
    let said = place.run(&["parity", "--inventory", &file]).expect_success();
    assert!(said.starts_with("4 clients (two of them made to be refused) and 1 tools"), "{said}");
    assert!(said.ends_with("No difference.\n"), "{said}");
    assert!(!folder.path().join("data").exists(), "the data directory was made");

    place.run(&["inventory", "apply", &file]).expect_success();
    std::fs::copy(folder.at("data/inventory.db"), &copy).expect("the folder is ours");
    let said = place.run(&["parity", "--inventory", &copy, "--client", "two"]).expect_success();
    assert!(said.starts_with("3 clients (two of them made to be refused) and 1 tools"), "{said}");
    let rows = place.run(&["--json", "parity", "--client", "one"]).expect_success();
    assert_eq!(rows, "");
}

const LISTENER: &str = "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\n";
const ONE_TOOL: &str = r#"
[[api]]
name = "status"
access = "public"
[[api.operation]]
id = "read"
methods = ["GET"]
path = "/status"
respond = { status = 200, body = "good" }
"#;

/// Few, because each starts a dozen gates or more.
const WORLDS: u32 = 6;
/// Smaller worlds that are tried where one fails.
const SHRINKS: u32 = 8;

#[test]
fn no_world_shows_a_difference() {
    let mut runner =
        TestRunner::new(Config { cases: WORLDS, max_shrink_iters: SHRINKS, ..Config::default() });
    let ran = runner.run(&world::worlds(), |world| {
        let said = compared(&world);
        prop_assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
        prop_assert!(!said.stdout.contains("was not called"), "{}", said.stdout);
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn clients_in_every_state_show_no_difference() {
    let said = compared(&World::of_all_kinds()).expect_success();
    for denial in [
        "client_suspended",
        "credential_invalid",
        "quarantined",
        "not_granted",
        "insufficient_scope",
        "rate_limited",
        "concurrency_limited",
    ] {
        assert!(said.contains(denial), "nobody was refused as {denial}: {said}");
    }
}

/// What parity says of a world, with the inventory of a data directory that no gate runs on.
fn compared(world: &World) -> Said {
    let folder = Folder::new();
    let place = Place { folder: &folder };
    place.write("gateway.toml", &world.config());
    for (name, document) in world.documents() {
        place.write(&name, &document.to_string());
    }
    place.write("clients.toml", &world.clients());
    place.run(&["inventory", "apply", &folder.at("clients.toml")]).expect_success();
    for words in world.acts() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        place.run(&words).expect_success();
    }
    place.run(&["parity"])
}

/// A config and a data directory.
struct Place<'f> {
    folder: &'f Folder,
}

impl Place<'_> {
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("the folder is ours");
    }

    fn run(&self, words: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onegate"));
        command.args(["--config", &self.folder.at("gateway.toml")]);
        command.args(["--data-dir", &self.folder.at("data")]).args(words);
        tools::run(&mut command, b"")
    }
}
