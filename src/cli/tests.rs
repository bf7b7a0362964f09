//! Whole commands, as typed, through a running gate and beside it: the same answers either way.

mod connect;
mod parity;

use std::fs;
use std::sync::Arc;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use super::Exit;
use super::client::ClientCommand;
use super::control::Control;
use super::credential::CredentialCommand;
use super::gate::User;
use super::grant::GrantCommand;
use super::inventory::InventoryCommand;
use super::output::{Failure, Format, Output};
use super::profile::ProfileCommand;
use super::revoke::RevokeCommand;
use super::suspend::{ResumeCommand, SuspendCommand};
use crate::admin::{self, AdminServer};
use crate::audit::keys::RotateError;
use crate::inventory::ActSink;
use crate::inventory::testing::{MemoryAudit, TempDir, policy, registry};
use crate::server::Source;

#[derive(Debug, Parser)]
enum Command {
    #[command(subcommand)]
    Client(ClientCommand),
    #[command(subcommand)]
    Profile(ProfileCommand),
    #[command(subcommand)]
    Grant(GrantCommand),
    #[command(subcommand)]
    Credential(CredentialCommand),
    #[command(subcommand)]
    Revoke(RevokeCommand),
    #[command(subcommand)]
    Suspend(SuspendCommand),
    #[command(subcommand)]
    Resume(ResumeCommand),
    #[command(subcommand)]
    Inventory(InventoryCommand),
}

/// A data directory to run commands on, with or without a gate.
struct Place {
    server: Option<AdminServer>,
    runtime: Runtime,
    dir: TempDir,
}

impl Place {
    fn beside() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { server: None, runtime, dir: TempDir::default() }
    }

    fn with_gate() -> Self {
        let mut place = Self::beside();
        let (registry, _) = registry(&place.dir);
        let reload = Box::new(|| Ok("config 1 is in force".to_owned()));
        let rotate = Box::new(|| Err(RotateError::Late));
        let server = admin::start(place.dir.path(), Arc::new(registry), reload, rotate);
        place.server = Some(server.expect("the socket opens"));
        place
    }

    /// Its config, where a test has written one.
    fn source(&self) -> Source {
        Source { path: self.dir.path().join("gateway.toml"), data_dir: None }
    }

    fn run(&self, words: &[&str], format: Format) -> Result<String, Failure> {
        let beside = || {
            let acts: Arc<dyn ActSink> = Arc::new(MemoryAudit::default());
            Ok((policy(&["payments-all", "payments-read"], &["agent", "standard"]), acts))
        };
        let words = ["onegate"].iter().chain(words);
        let command = Command::try_parse_from(words).expect("the command parses");
        let user = User { login: Some("ann".into()), sudo_user: None };
        let control = Control::find(&self.runtime, self.dir.path(), user, &beside)?;
        let mut out = Vec::new();
        let output = &mut Output { format, out: &mut out };
        match command {
            Command::Client(command) => command.run(&control, &self.source(), output),
            Command::Profile(command) => command.run(&control, output),
            Command::Grant(command) => command.run(&control, output),
            Command::Credential(command) => command.run(&control, output),
            Command::Revoke(command) => command.run(&control, output),
            Command::Suspend(command) => command.run(&control, output),
            Command::Resume(command) => command.run(&control, output),
            Command::Inventory(command) => command.run(&control, output),
        }?;
        Ok(String::from_utf8(out).expect("text"))
    }

    fn json(&self, words: &str) -> Vec<serde_json::Value> {
        let words: Vec<_> = words.split(' ').collect();
        let text = self.run(&words, Format::Json).expect("the command ends well");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    fn human(&self, words: &str) -> String {
        let words: Vec<_> = words.split(' ').collect();
        self.run(&words, Format::Human).expect("the command ends well")
    }

    fn failure(&self, words: &str) -> (Exit, String) {
        let words: Vec<_> = words.split(' ').collect();
        let failure = self.run(&words, Format::Human).expect_err("the command fails");
        (failure.exit, failure.sentence().to_owned())
    }

    fn stop(self) {
        if let Some(server) = self.server {
            server.stop();
        }
    }
}

const ADD: &str = "client add mobile-app --kind app --owner ann --purpose app \
                   --product payments-all --scope payments:read --plan standard";

/// Runs one test both ways.
fn both_ways(check: impl Fn(&Place)) {
    for place in [Place::with_gate(), Place::beside()] {
        check(&place);
        place.stop();
    }
}

#[test]
fn a_client_is_added_used_and_revoked() {
    both_ways(|place| {
        let added = &place.json(ADD)[0];
        assert_eq!(
            (&added["client"], &added["profile"]),
            (&"mobile-app".into(), &"default".into())
        );
        let key = added["key"].as_str().unwrap();
        assert!(key.starts_with("og_live_") && key.contains(added["credential"].as_str().unwrap()));
        assert_eq!(
            place.json("grant add --client mobile-app --product payments-read")[0],
            serde_json::json!({"revision": 2})
        );
        let words = "credential add --client mobile-app --holder ann --expires 2099-12-31 --key";
        let second = &place.json(words)[0];
        assert_eq!(second["expires"], "2099-12-31T23:59:59.999999Z");

        let shown = &place.json("client show mobile-app")[0];
        assert_eq!(shown["client"]["owner"], "ann");
        assert_eq!(shown["profiles"][0]["plan"], "standard");
        assert_eq!(shown["grants"].as_array().unwrap().len(), 2);
        assert_eq!(shown["credentials"].as_array().unwrap().len(), 2);

        let id = second["credential"].as_str().unwrap();
        let receipt = &place.json(&format!("revoke credential {id} --reason lost"))[0];
        assert_eq!(receipt["credentials"], serde_json::json!([id]));
        let ended = if place.server.is_some() { (1, 2) } else { (0, 0) };
        assert_eq!(receipt["requests_ended"], ended.0);
        assert_eq!(receipt["streams_ended"], ended.1);
        assert!(receipt["enforced_us"].is_u64());
        let receipt = &place.json("revoke client mobile-app --reason sold")[0];
        assert_eq!(receipt["credentials"], serde_json::json!([added["credential"]]));
        assert_eq!(place.json("client list")[0]["status"], "revoked");
    });
}

#[test]
fn a_client_is_suspended_and_resumed() {
    both_ways(|place| {
        let added = &place.json(ADD)[0];
        let receipt = &place.json("suspend client mobile-app --for 2h --reason odd")[0];
        assert_eq!(receipt["credentials"], serde_json::json!([added["credential"]]));
        assert_eq!(receipt["last_calls"], serde_json::json!([]));
        let told = place.human("suspend client mobile-app --reason odd");
        let expected = "Client 'mobile-app' is suspended until it is resumed.\n\
                        credentials stopped  none could still be used\n";
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(place.json("client list")[0]["suspended_until"], "until it is resumed");
        assert!(place.human("client list").contains("  suspended  "));
        assert_eq!(place.human("resume client mobile-app"), "Client 'mobile-app' is resumed.\n");
        let id = added["credential"].as_str().unwrap();
        place.json(&format!("suspend credential {id} --for 7d --reason odd"));
        assert!(place.human("credential list").contains("  suspended  "));
        assert!(place.human("client list").contains("  active  "));
        let (exit, told) = place.failure("suspend client mobile-app --for 9y --reason odd");
        assert_eq!(exit, Exit::Usage);
        assert!(told.contains("such as 30m, 2h or 7d"), "{told}");
    });
}

#[test]
fn people_get_tables_and_the_key_once() {
    both_ways(|place| {
        let added = place.human(ADD);
        let key = added.lines().find_map(|line| line.strip_prefix("key         ")).unwrap();
        assert!(added.starts_with("Client 'mobile-app' is added.\n\nclient      mobile-app\n"));
        assert!(added.contains("The key is shown this once"));
        let list = place.human("client list");
        let expected = "\
CLIENT      KIND  STATUS  OWNER  EXPIRES  GRANTS  KEYS  PURPOSE
mobile-app  app   active  ann    never    1       1     app
";
        assert_eq!(list, expected);
        let shown = place.human("client show mobile-app");
        assert!(shown.contains(
            "PROFILE  STATUS  PLAN      PRESENTATION  SCOPES\n\
             default  active  standard  -             payments:read\n"
        ));
        assert!(!shown.contains(key));
        place.human("profile add batch --client mobile-app --product payments-read");
        let profiles = place.human("profile list --client mobile-app");
        assert_eq!(profiles.lines().count(), 3);
        let receipt = place.human("revoke profile mobile-app/batch --reason unused");
        assert!(receipt.contains("none could still be used"), "{receipt}");
    });
}

#[test]
fn refusals_say_what_to_do() {
    both_ways(|place| {
        place.json(ADD);
        let check = |words: &str, exit: Exit, expected: &str| {
            assert_eq!(place.failure(words), (exit, expected.to_owned()), "{words}");
        };
        check(
            "client show mobil-app",
            Exit::NotDone,
            "there is no client 'mobil-app'\n  Did you mean 'mobile-app'?",
        );
        check(
            "grant add --client mobile-app --product payment-all",
            Exit::NotDone,
            "there is no product 'payment-all'\n  Did you mean 'payments-all'?",
        );
        check(
            "credential add --client Mobile --key",
            Exit::Usage,
            "client 'Mobile' must start with a lower-case letter or a digit",
        );
        check(
            "client change mobile-app",
            Exit::Usage,
            "nothing to change: give an owner, a purpose, an expiry, a plan, a presentation or scopes",
        );
    });
}

#[test]
fn a_file_is_applied_whole_or_not_at_all() {
    both_ways(|place| {
        let file = place.dir.path().join("clients.toml");
        let words = format!("inventory apply {}", file.display());
        let client = |id: &str, owner: &str| {
            format!(
                "[[client]]\nid = '{id}'\nkind = 'app'\nowner = '{owner}'\npurpose = 'p'\n\
                 credential = [{{ issue = true }}]\n"
            )
        };
        fs::write(&file, client("a", "ann") + &client("b", "ann")).unwrap();
        assert_eq!(place.json(&words).len(), 2, "a key each");
        assert_eq!(place.json(&words).len(), 0, "nothing to do");
        fs::write(&file, client("a", "eve") + &client("c", "ann")).unwrap();
        let (exit, told) = place.failure(&words);
        assert_eq!(exit, Exit::NotDone);
        assert!(told.starts_with("clients exist with other values: a (owner)\n"), "{told}");
        assert_eq!(place.json("client list").len(), 2);
        fs::write(&file, client("c", "").replace("''", "1")).unwrap();
        let (exit, told) = place.failure(&words);
        assert_eq!(exit, Exit::ProblemFound);
        assert!(told.contains("line 4, column 9"), "{told}");
    });
}

#[test]
fn lists_go_on_page_after_page() {
    both_ways(|place| {
        let file = place.dir.path().join("clients.toml");
        let client = |number: u32| {
            format!("[[client]]\nid = 'c{number}'\nkind = 'app'\nowner = 'o'\npurpose = 'p'\n")
                + "products = ['payments-all', 'payments-read']\ncredential = [{ issue = true }]\n"
        };
        fs::write(&file, (0..1001).map(client).collect::<String>()).unwrap();
        place.json(&format!("inventory apply {}", file.display()));
        assert_eq!(place.json("client list").len(), 1001);
        assert_eq!(place.json("grant list").len(), 2002);
        assert_eq!(place.json("credential list").len(), 1001);
        assert_eq!(place.json("grant list --client c7").len(), 2);
        assert_eq!(place.json("credential list --client c7").len(), 1);
    });
}

#[test]
fn without_an_inventory_nothing_is_made_by_looking() {
    let place = Place::beside();
    let (exit, told) = place.failure("client list");
    assert_eq!(exit, Exit::NotDone);
    assert!(told.starts_with("there is no inventory in "), "{told}");
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);
}

#[test]
fn a_store_that_someone_holds_is_left_alone() {
    let place = Place::beside();
    let (_registry, _) = registry(&place.dir);
    let (exit, told) = place.failure(ADD);
    assert_eq!(exit, Exit::NotDone);
    assert!(told.starts_with("the inventory is in use by process "), "{told}");
}
