//! The process: threads, folders, signals.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use super::harness::client::Client;
use super::harness::folder::Folder;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

#[test]
fn threads_are_as_many_as_set() {
    let upstream = Upstream::start();
    let tasks = |server| {
        let gate = Gate::start(&Setup { server, ..Setup::before(&upstream) });
        let tasks = fs::read_dir(format!("/proc/{}/task", gate.pid())).expect("it runs");
        tasks.count()
    };
    assert_eq!(tasks("threads = 5") - tasks("threads = 2"), 3);
}

#[test]
fn the_data_dir_holds_all_state() {
    let upstream = Upstream::start();
    let mut gate = Gate::start(&Setup::before(&upstream));
    let key = gate.add_lab_client("moved");
    let call = Request::get("/lab/ok/1").key(&key.text);
    let response = gate.call(&call);
    assert!(gate.terminate().success());

    // Moved elsewhere, with the config that says so: clients and records are there.
    let (old, new) = (gate.folder.at("data"), gate.folder.at("elsewhere"));
    fs::rename(&old, &new).expect("one file system");
    gate.write_config_text(&gate.config_text().replace(&old, &new));
    gate.run();
    assert_eq!(gate.call(&call).status, 200);
    gate.record_of(&response);
    assert!(!fs::exists(&old).expect("the folder is ours"), "the old folder came back");

    // The command line wins over the config.
    let empty = gate.folder.at("empty");
    let said = gate.cli(&["--data-dir", &empty, "client", "list"]);
    assert!(said.code == Some(3) && said.stderr.contains(&empty), "{}", said.stderr);
}

#[test]
fn sigterm_drains_until_the_deadline() {
    let upstream = Upstream::start();
    let server = "drain_deadline = \"2s\"";
    let mut gate = Gate::start(&Setup { server, ..Setup::before(&upstream) });
    let begin = |name: &str| {
        let target = format!("/open/{name}/1");
        let mut client = gate.client();
        client.send(&Request::get(&target).bytes());
        upstream.wait_for(&target);
        client
    };
    let mut idle = begin("ok");
    assert_eq!(idle.read(Body::Expected).map(|response| response.status), Some(200));
    let mut held = begin("hold");

    gate.signal("TERM");
    assert!(idle.read(Body::Expected).is_none(), "an idle connection has nothing to wait for");
    poll::until("new connections are refused", || {
        std::net::TcpStream::connect(gate.address).is_err().then_some(())
    });
    upstream.release();
    assert_eq!(held.read(Body::Expected).map(|response| response.status), Some(200));
    assert!(gate.wait_for_end().success());
}

#[test]
fn readiness_goes_down_before_the_listeners_close() {
    let upstream = Upstream::start();
    let server = "drain_delay = \"5m\"\ndrain_deadline = \"1h\"";
    let mut gate = Gate::start(&Setup { server, ..Setup::before(&upstream) });
    gate.signal("TERM");
    poll::until("the gate is no longer ready", || {
        (gate.metrics_get("/readyz").status == 503).then_some(())
    });
    let response = gate.call(&Request::get("/open/ok/1"));
    assert_eq!(response.status, 200, "it serves until its traffic has gone elsewhere");
    gate.settle();
    // No more patience.
    gate.signal("INT");
    assert!(gate.wait_for_end().success());
}

#[test]
fn load_balancers_ask_at_the_health_path() {
    let upstream = Upstream::start();
    let setup = Setup { server: "drain_delay = \"5m\"", ..Setup::before(&upstream) };
    let mut gate = Gate::start(&setup);
    let listener = format!("address = \"{}\"", gate.address);
    let with_path = format!("{listener}\nhealth_path = \"/healthz\"\nhttp2 = true");
    let ask = |gate: &Gate| Client::connect(gate.address, None).call(&Request::get("/healthz"));
    assert_eq!(gate.call(&Request::get("/healthz")).status, 404, "off by default");

    // In force for connections that come after the reload.
    gate.write_config_text(&gate.config_text().replace(&listener, &with_path));
    gate.cli(&["reload"]).expect_success();
    let records = gate.records_now(&[]).len();
    assert_eq!((ask(&gate).status, ask(&gate).text()), (200, "ok\n"));
    let head = Client::connect(gate.address, None).call(&Request::new("HEAD", "/healthz"));
    assert_eq!((head.status, head.field("content-length")), (200, Some("3")));
    let url = format!("http://{}/healthz", gate.address);
    let curl = |more: &[&str]| tools::run(Command::new("curl").args(more).arg(&url), b"");
    let said = curl(&["-s", "--http2-prior-knowledge"]).expect_success();
    assert_eq!(said, "ok\n", "over HTTP/2");
    // Anything else there is a request like any other.
    assert_eq!(gate.call(&Request::new("POST", "/healthz").body(b"x")).status, 404);
    gate.settle();

    gate.signal("TERM");
    poll::until("it says that it will stop", || (ask(&gate).status == 503).then_some(()));
    gate.signal("INT");
    assert!(gate.wait_for_end().success());
    assert_eq!(gate.records_now(&["--surface", "rest"]).len(), 2, "checks have no record");
    assert!(records > 0);
}

#[test]
fn systemd_is_told_of_every_step() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let socket = UnixDatagram::bind(folder.at("notify")).expect("the folder is ours");
    socket.set_read_timeout(Some(poll::PATIENCE)).expect("a socket of ours");
    let hear = |word: &str| {
        let mut heard = [0; 512];
        let length = socket.recv(&mut heard).unwrap_or_else(|error| panic!("{word}: {error}"));
        let text = String::from_utf8_lossy(&heard[..length]).into_owned();
        assert!(text.lines().any(|line| line.starts_with(word)), "{word}: {text}");
    };
    let mut gate =
        Gate::start_with(&Setup::before(&upstream), &[("NOTIFY_SOCKET", &folder.at("notify"))]);
    hear("READY=1");
    gate.signal("HUP");
    hear("RELOADING=1");
    hear("READY=1");
    assert!(gate.terminate().success());
    hear("STOPPING=1");
}

#[test]
fn the_unit_is_sound_and_hardened() {
    let unit = fs::read_to_string("conf/onegate.service").expect("it is in the repository");
    let folder = Folder::new();
    let path = folder.at("onegate.service");
    let installed = unit.replace("/usr/bin/onegate", env!("CARGO_BIN_EXE_onegate"));
    fs::write(&path, installed).expect("the folder is ours");
    let analyze = |args: &[&str]| {
        let said = tools::run(Command::new("systemd-analyze").args(args).arg(&path), b"");
        assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
        said.stderr
    };
    assert_eq!(analyze(&["verify"]), "", "nothing to complain of");
    // The exposure that systemd works out, times ten: what is up to 2.0 it calls OK.
    analyze(&["security", "--offline=true", "--threshold=20"]);
}

#[test]
fn what_does_not_end_is_ended_at_the_deadline() {
    let upstream = Upstream::start();
    let server = "drain_deadline = \"1s\"";
    let mut gate = Gate::start(&Setup { server, ..Setup::before(&upstream) });
    let mut client = gate.client();
    client.send(&Request::get("/open/hold/1").bytes());
    upstream.wait_for("/open/hold/1");
    assert!(gate.terminate().success());
    assert!(client.read(Body::Expected).is_none_or(|response| response.status == 504));
    let record = gate.record_of_path("/open/hold/1");
    assert_eq!(record["end"], "deadline", "{record}");
}

#[test]
fn sigint_ends_at_once() {
    let upstream = Upstream::start();
    let mut gate =
        Gate::start(&Setup { server: "drain_deadline = \"1h\"", ..Setup::before(&upstream) });
    assert_eq!(gate.call(&Request::get("/open/ok/1")).status, 200);
    gate.settle();
    gate.signal("INT");
    gate.wait_for_end();
}

#[test]
fn only_one_gate_runs_on_a_data_dir() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let second = gate.cli(&["run"]);
    assert!(matches!(second.code, Some(1 | 3)), "{:?}", second.code);
    assert!(second.stderr.contains("data"), "{}", second.stderr);
    assert_eq!(gate.call(&Request::get("/open/ok/1")).status, 200);
}
