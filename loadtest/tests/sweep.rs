//! A whole sweep as a user runs it, with all servers and tiny rates: that everything starts, is asked
//! with the right keys, and ends in files that can be read. It says nothing about speed.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test stops at a surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn a_sweep_of_all_servers_ends_in_files_that_can_be_read() {
    let folder = Folder::new();
    let gate = build_gate();
    let said = loadtest(&[
        "sweep",
        "--targets=gate,nginx,bare,stub",
        "--rates=40,80",
        "--rounds=2",
        "--measured-ms=250",
        "--warm-up-ms=50",
        // Longer than any machine takes.
        "--timeout-ms=60000",
        "--clients=20",
        "--connections=4",
        &format!("--gate={}", gate.display()),
        &format!("--out={}", folder.0.display()),
    ]);
    for part in ["gate", "nginx", "bare", "stub", "knee", "gate / nginx"] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    let json = folder.0.join("sweep.json");
    check_facts(&json);
    check_page(&folder.0.join("sweep.html"));

    // From its JSON alone, the page is the same again.
    let again = folder.0.join("again.html");
    loadtest(&["report", &json.display().to_string(), "--html", &again.display().to_string()]);
    assert_eq!(text(&again), text(&folder.0.join("sweep.html")));
}

#[test]
fn capacities_are_found_where_no_rates_are_given() {
    let folder = Folder::new();
    loadtest(&[
        "sweep",
        "--targets=stub",
        "--rounds=1",
        "--measured-ms=100",
        "--warm-up-ms=0",
        "--clients=3",
        "--connections=2",
        &format!("--out={}", folder.0.display()),
    ]);
    let value: Value = serde_json::from_str(&text(&folder.0.join("sweep.json"))).expect("JSON");
    let sweep = &value["sweep"];
    assert!(sweep["targets"][0]["capacity_per_second"].as_u64() > Some(0), "{sweep}");
    assert_eq!(sweep["rungs"].as_array().map(Vec::len), Some(10), "{sweep}");
    check_page(&folder.0.join("sweep.html"));
}

/// Every request of every run was answered rightly, by every server.
fn check_facts(file: &Path) {
    let value: Value = serde_json::from_str(&text(file)).expect("JSON");
    let runs = value["sweep"]["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 4 * 2 * 2);
    for run in runs {
        assert!(run["intended"].as_u64() > Some(0), "{run}");
        assert_eq!(run["right"], run["intended"], "{run}");
        assert!(run["cost"]["server_ns"].as_u64() > Some(0), "{run}");
    }
    let machine = &value["sweep"]["machine"];
    for fact in ["cpu", "kernel", "governor", "commit", "nginx", "cpus_allowed"] {
        assert!(!machine[fact].is_null(), "{fact} in {machine}");
    }
    assert_eq!(value["summary"]["points"].as_array().map(Vec::len), Some(8));
    assert!(!text(file).contains("og_live_"), "a key is nobody's business");
}

/// A real XML parser reads it, and all six charts are there.
fn check_page(file: &Path) {
    let program = "import sys, xml.dom.minidom as m; d = m.parse(sys.argv[1]); \
                   print(len(d.getElementsByTagName('svg')))";
    let said = run(Command::new("python3").args(["-c", program]).arg(file));
    assert_eq!(said.trim(), "6");
}

/// The gate as the root of the workspace builds it; nothing happens when it is built.
fn build_gate() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    run(Command::new(env!("CARGO")).args(["build", "--locked", "--bin=onegate"]).current_dir(root));
    let gate = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("onegate");
    assert!(gate.exists(), "{} was built elsewhere", gate.display());
    gate
}

fn loadtest(arguments: &[&str]) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments))
}

fn run(command: &mut Command) -> String {
    let said = command.output().expect("it is installed");
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{:?}: {errors}", command.get_program());
    String::from_utf8_lossy(&said.stdout).into_owned()
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).expect("it was written")
}

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("loadtest-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The system's place for temporary files is emptied anyway.
        drop(fs::remove_dir_all(&self.0));
    }
}
