//! `onegate client connect`: what it prints is done as it is printed, with the key in its variable alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use serde_json::Value;

use super::harness::demo::Demo;
use super::harness::folder::Folder;
use super::harness::tools::{self, Said};

/// Where a person pastes: a shell with a home, and with programs of the test's that take the place of
/// those that are not installed.
struct Desk {
    printed: Value,
    home: Folder,
}

impl Desk {
    fn new(demo: &Demo) -> Self {
        let printed = demo.cli(&["--json", "client", "connect", "support-agent"]).expect_success();
        let human = demo.cli(&["client", "connect", "support-agent"]).expect_success();
        for client in ["support-agent", "mobile-app"] {
            assert!(!printed.contains(demo.key(client)) && !human.contains(demo.key(client)));
        }
        let desk = Self {
            printed: serde_json::from_str(&printed).expect("one JSON value"),
            home: Folder::new(),
        };
        // Each says how it was called, one word to a line.
        for program in ["claude", "npx"] {
            let path = desk.home.at(program);
            let text = "#!/bin/sh\nprintf '%s\\n' \"$@\" \"key=$ONEGATE_KEY\"\n";
            fs::write(&path, text).expect("the folder is ours");
            fs::set_permissions(path, Permissions::from_mode(0o755)).expect("the file is ours");
        }
        symlink(tools::node_packages(), desk.home.at("node_modules")).expect("the folder is ours");
        desk
    }

    /// The snippet of an MCP client.
    fn snippet(&self, of: &str, at: usize) -> &Value {
        &self.printed["setups"][of][at]
    }

    /// Pastes a line into a shell that was asked for the key before, as is printed.
    fn paste(&self, key: &str, line: &str) -> Said {
        let set = text(&self.printed["set_variable"]);
        let path = format!("{}:/usr/bin:/bin", self.home.path().display());
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("{set}\n{line}")]).current_dir(self.home.path());
        shell.env_remove("ONEGATE_KEY").env("HOME", self.home.path()).env("PATH", path);
        tools::run(&mut shell, format!("{key}\n").as_bytes())
    }

    /// Saves a program under its name and runs it.
    fn run(&self, of: &str, key: &str) -> Said {
        let snippet = self.snippet(of, 0);
        let file = text(&snippet["file"]);
        fs::write(self.home.at(file), text(&snippet["text"])).expect("the folder is ours");
        let with = if of == "python" { tools::python() } else { tools::node() };
        self.paste(key, &format!("exec '{}' {file}", with.display()))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[test]
fn printed_programs_list_the_tools() {
    let demo = Demo::start();
    let desk = Desk::new(&demo);
    assert_eq!(desk.printed["url"], demo.mcp());
    let reading = "payments_export_payments\npayments_get_payment\npayments_list_payments\n";
    let all = format!("payments_create_payment\n{reading}payments_refund_payment\n");
    for (of, key, tools) in [
        ("python", "support-agent", reading),
        ("typescript", "support-agent", reading),
        ("python", "mobile-app", &all),
    ] {
        assert_eq!(desk.run(of, demo.key(key)).expect_success(), tools, "{of} {key}");
    }
    // Both speak the newest revision, and call nothing.
    let listed = demo.records(&["--operation", "mcp.tools/list"], |records| records.len() >= 3);
    for record in &listed {
        assert_eq!(record["mcp"]["protocol"], "2026-07-28", "{record}");
    }
    assert_eq!(demo.records(&["--path", "/api/payments"], |_| true), Vec::<Value>::new());

    for (of, key) in
        [("python", ""), ("python", "og_live_x"), ("typescript", ""), ("typescript", "x")]
    {
        let said = desk.run(of, key);
        assert_eq!((said.code, &*said.stdout), (Some(1), ""), "{of} {key}: {}", said.stderr);
    }
}

#[test]
fn printed_lines_keep_the_key_out_of_arguments_and_configs() {
    let demo = Demo::start();
    let desk = Desk::new(&demo);
    let key = demo.key("support-agent");
    let said = desk.paste(key, text(&desk.snippet("claude-code", 0)["text"])).expect_success();
    let header = "Authorization: Bearer ${ONEGATE_KEY}";
    let url = demo.mcp();
    let expected = ["mcp", "add", "--transport", "http", "onegate", &url, "--header", header];
    assert_eq!(said, format!("{}\nkey={key}\n", expected.join("\n")));

    // The key goes into a file that a stranger made readable before.
    let file = desk.home.at(".onegate-key");
    fs::write(&file, "old").expect("the folder is ours");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("the file is ours");
    desk.paste(key, text(&desk.snippet("claude-desktop", 0)["text"])).expect_success();
    assert_eq!(fs::read_to_string(&file).expect("it was written"), key);
    let mode = fs::metadata(&file).expect("it was written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // As Claude Desktop starts it: with none of the shell's variables.
    let config = text(&desk.snippet("claude-desktop", 1)["text"]);
    let config: Value = serde_json::from_str(config).expect("JSON");
    let server = &config["mcpServers"]["onegate"];
    let words = server["args"].as_array().expect("words").iter().map(text);
    let path = format!("{}:/usr/bin:/bin", desk.home.path().display());
    let mut bridge = Command::new(text(&server["command"]));
    bridge.args(words).env_clear().env("HOME", desk.home.path()).env("PATH", path);
    let said = tools::run(&mut bridge, b"").expect_success();
    let [yes, program, told_url, rest @ .., header, variable] = &*said.lines().collect::<Vec<_>>()
    else {
        panic!("{said}")
    };
    assert_eq!((*yes, *told_url), ("-y", &*url));
    assert!(program.starts_with("mcp-remote@"), "{program}");
    assert_eq!(rest, ["--transport", "http-only", "--allow-http", "--header"]);
    assert_eq!(*header, "X-API-Key:${ONEGATE_KEY}");
    assert_eq!(*variable, format!("key={key}"));
}
