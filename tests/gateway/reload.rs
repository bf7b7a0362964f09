//! A changed config comes into force whole or not at all, and no request notices the change.

use onegate::model::denial::Denial;

use super::harness::address;
use super::harness::bench::{Bench, expect_denial};
use super::harness::http::Request;
use super::harness::poll;
use super::harness::setup::{LAB, Setup};
use super::harness::tools::Said;
use super::harness::upstream::Upstream;

#[test]
fn a_new_config_is_in_force_for_the_next_request() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let added = Request::get("/new/ok/1");
    let with_new = with_new_api(&upstream);
    expect_denial(&bench.gate.call(&added), Denial::NotFound, &[]);

    bench.gate.write_config(&with_new);
    bench.gate.cli(&["reload"]).expect_success();
    assert_eq!(bench.gate.call(&added).status, 200);
    assert_eq!(bench.get("/lab/ok/1").status, 200, "what was there is still there");

    bench.gate.write_config(&Setup::before(&upstream));
    bench.gate.signal("HUP");
    poll::until("SIGHUP takes it back", || (bench.gate.call(&added).status == 404).then_some(()));
}

#[test]
fn a_request_under_way_ends_as_it_began() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let held = bench.hold(&upstream, 2);
    bench.gate.write_config(&with_new_api(&upstream));
    bench.gate.cli(&["reload"]).expect_success();
    held.release(&upstream);
}

#[test]
fn a_broken_config_is_refused_while_the_old_one_serves() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let good = bench.gate.config_text();
    let line = 1 + good.lines().position(|line| line.starts_with("base_path")).expect("it has one");
    let check = |broken: &str, place: &str, word: &str| {
        bench.gate.write_config_text(broken);
        for command in ["check", "reload"] {
            let told = refusal(bench.gate.cli(&[command]));
            assert!(told.contains(&format!("gateway.toml:{place}: ")), "{command}: {told}");
            assert!(told.contains(word), "{command}: {told}");
            assert!(told.contains('^'), "no caret: {told}");
        }
        let said = bench.gate.cli(&["--json", "check"]);
        let row = said.stdout.lines().next().expect("a row for each problem");
        let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
        assert_eq!(format!("{}:{}", row["line"], row["column"]), place, "{row}");
        assert!(row["fix"].is_string() && said.code == Some(1), "{row}");
        assert_eq!(bench.get("/lab/ok/1").status, 200);
    };
    let misspelt = good.replacen("base_path", "base_paht", 1);
    check(&misspelt, &format!("{line}:1"), "base_path");
    let no_path = good.replacen("base_path = \"/lab\"", "base_path = \"lab\"", 1);
    check(&no_path, &format!("{line}:14"), "'/'");
    let no_toml = good.replacen("base_path = \"/lab\"", "base_path = \"/lab", 1);
    check(&no_toml, &format!("{line}:18"), "string");

    bench.gate.write_config_text(&good);
    bench.gate.cli(&["check"]).expect_success();
    bench.gate.cli(&["reload"]).expect_success();
    assert_eq!(bench.get("/lab/ok/1").status, 200);
}

#[test]
fn a_moved_listener_is_refused_by_name() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let good = bench.gate.config_text();
    let elsewhere = address::free().to_string();
    bench.gate.write_config_text(&good.replace(&bench.gate.address.to_string(), &elsewhere));
    let told = refusal(bench.gate.cli(&["reload"]));
    assert!(told.contains("main") && told.contains("restart"), "{told}");
    assert_eq!(bench.get("/lab/ok/1").status, 200);
}

#[test]
fn what_is_in_use_cannot_be_taken_away() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let good = bench.gate.config_text();
    let check = |without: &str, users: &[&str]| {
        bench.gate.write_config_text(without);
        let told = refusal(bench.gate.cli(&["reload"]));
        assert!(users.iter().all(|user| told.contains(user)), "{told}");
        assert_eq!(bench.get("/lab/ok/1").status, 200);
    };
    check(&good.replace("name = \"five\"", "name = \"six\""), &["five"]);
    let product = "[[product]]\nname = \"lab\"";
    let renamed = good.replace(product, "[[product]]\nname = \"laboratory\"");
    check(&renamed, &["lab", "full", "reader"]);
}

/// Regression: a start takes such a config, since it cannot know what else is lost without the gate;
/// but it said nothing.
#[test]
fn a_start_says_what_is_in_use_and_gone() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    let good = bench.gate.config_text();
    assert!(bench.gate.terminate().success());
    let product = "[[product]]\nname = \"lab\"";
    bench.gate.write_config_text(&good.replace(product, "[[product]]\nname = \"laboratory\""));
    bench.gate.run();
    assert_eq!(bench.get("/lab/ok/1").status, 403);
    let said = bench.gate.stderr();
    assert!(said.contains("product 'lab' is in use by five/default, full/default"), "{said}");
}

fn with_new_api(upstream: &Upstream) -> Setup {
    let public = LAB.split("[[api]]").nth(2).and_then(|rest| rest.split("[[product]]").next());
    let new = public.expect("the second api is public").replace("open", "new");
    Setup { apis: format!("{LAB}\n[[api]]{new}"), ..Setup::before(upstream) }
}

/// What a command said that found a problem.
fn refusal(said: Said) -> String {
    assert!(matches!(said.code, Some(1 | 3)), "{:?}: {}{}", said.code, said.stdout, said.stderr);
    said.stdout + &said.stderr
}
