//! `client connect`: where the endpoint is said to be, what there is to paste, and that no key is in it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::*;
use crate::model::certificate::testing::{FAR, certificate, ecdsa, key_pem};

/// A listener with its address and other keys.
fn listener(name: &str, address: &str, more: &str) -> String {
    format!("[[listener]]\nname = '{name}'\naddress = '{address}'\n{more}\n")
}

/// An api with keys of its own, such as its hosts, and a product of its one operation.
fn api(name: &str, more: &str) -> String {
    format!(
        "[[api]]\nname = '{name}'\n{more}\nbase_path = '/{name}'\nupstream = 'u'\naccess = 'granted'\n\
         [[api.operation]]\nid = 'list'\nmethods = ['GET']\npath = '/'\n\
         [[product]]\nname = '{name}-all'\noperations = ['{name}.list']\n"
    )
}

const UPSTREAM: &str = "[[upstream]]\nname = 'u'\nendpoints = ['127.0.0.1:1']\n";
const LOCAL: &str = "127.0.0.1:8080";
const ALL: &str = "0.0.0.0:8080";

impl Place {
    /// With a client that may call, and this config.
    fn with_config(parts: &[&str]) -> Self {
        let place = Self::beside();
        place.json(ADD);
        place.configure(parts);
        place
    }

    fn configure(&self, parts: &[&str]) {
        fs::write(self.source().path, UPSTREAM.to_owned() + &parts.concat()).unwrap();
    }

    /// TLS of a listener whose certificate stands for these names.
    fn tls(&self, names: &[&str]) -> String {
        let key = ecdsa();
        for (file, bytes) in
            [("tls.crt", certificate(&key, names, FAR)), ("tls.key", key_pem(&key))]
        {
            let path = self.dir.path().join(file);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }
        "tls = { certificates = [{ cert = 'tls.crt', key = 'tls.key' }] }".to_owned()
    }

    /// What `client connect mobile-app` says with more words.
    fn connect(&self, more: &str) -> Value {
        let words = format!("client connect mobile-app {more}");
        self.json(words.trim_end()).remove(0)
    }

    fn expect(&self, more: &str, url: &str, notes: &[&str]) {
        let told = self.connect(more);
        assert_eq!(told["url"], url, "{told}");
        let said: Vec<_> = told["notes"].as_array().unwrap().iter().collect();
        assert_eq!(said.len(), notes.len(), "{url}: {said:?}");
        for (said, note) in said.iter().zip(notes) {
            assert!(said.as_str().unwrap().contains(note), "{url}: {said} {note}");
        }
    }
}

#[test]
fn less_is_listed_where_it_is_asked_for() {
    let place = Place::with_config(&[&listener("a", LOCAL, ""), &api("payments", "")]);
    let url = |more: &str| place.connect(more)["url"].as_str().expect("a text").to_owned();
    assert_eq!(url("--readonly"), "http://127.0.0.1:8080/mcp?readonly=true");
    assert_eq!(url("--product payments-all"), "http://127.0.0.1:8080/mcp/payments-all");
    let both = "--url https://a.test/b/ --product payments-all --readonly";
    assert_eq!(url(both), "https://a.test/b/payments-all?readonly=true");
    let (exit, told) = place.failure("client connect mobile-app --product payments-al");
    assert_eq!(exit, Exit::NotDone);
    assert!(told.contains("the config has no product 'payments-al'"), "{told}");
}

const NEAR: &str = "on the gate's own machine";
const CLEAR: &str = "travels unencrypted";

#[test]
fn the_config_tells_where_the_endpoint_is() {
    let check = |parts: &[&str], url: &str, notes: &[&str]| {
        Place::with_config(parts).expect("", url, notes);
    };
    let any = api("payments", "");
    let local = listener("a", LOCAL, "");
    let all = listener("a", ALL, "");
    check(&[&local, &any], "http://127.0.0.1:8080/mcp", &[NEAR]);
    check(&[&local, &any, "[mcp]\npath = '/a/mcp'"], "http://127.0.0.1:8080/a/mcp", &[NEAR]);
    let address = |address| listener("a", address, "");
    check(&[&address("0.0.0.0:80"), &any], "http://127.0.0.1/mcp", &[NEAR]);
    check(&[&address("[::]:81"), &any], "http://[::1]:81/mcp", &[NEAR]);
    check(&[&address("10.0.0.1:81"), &any], "http://10.0.0.1:81/mcp", &[CLEAR]);

    let named = api("payments", "hosts = ['pay.test', '*.pay.test']");
    check(&[&all, &named], "http://pay.test:8080/mcp", &[CLEAR]);
    let two = api("books", "hosts = ['books.test']");
    let also = "also at http://books.test:8080/mcp. Choose another with --url.";
    check(&[&all, &two, &named], "http://pay.test:8080/mcp", &[also, CLEAR]);
    let again = listener("b", "10.0.0.1:8080", "");
    check(&[&all, &named, &again], "http://pay.test:8080/mcp", &[CLEAR]);
    let hosts = "[mcp]\nhosts = ['b.test', 'a.test', 'c.test', 'd.test', 'e.test', 'f.test']";
    let also = "d.test:8080/mcp and 2 more. Choose";
    check(&[&all, &named, hosts], "http://b.test:8080/mcp", &[also, CLEAR]);
}

#[test]
fn tls_is_preferred_under_names_that_it_proves() {
    let check = |certified: &[&str], hosts: &str, more: &str, url: &str, notes: &[&str]| {
        let place = Place::with_config(&[]);
        let tls = place.tls(certified);
        let listeners = listener("a", ALL, "") + &listener("b", "0.0.0.0:443", &tls);
        place.configure(&[&listeners, &api("payments", hosts), more]);
        place.expect("", url, notes);
    };
    let also = "The endpoint is also at http";
    check(&["a.test"], "", "", "https://a.test/mcp", &[also]);
    check(&["*.a.test", "10.0.0.1"], "", "", "https://10.0.0.1/mcp", &[also]);
    check(&["a.test"], "hosts = ['0.test', 'a.test']", "", "https://a.test/mcp", &[also]);
    check(&["b.a.test", "c.test"], "hosts = ['*.a.test']", "", "https://b.a.test/mcp", &[]);
    let hosts = "[mcp]\nhosts = ['x.a.test']";
    check(&["*.a.test"], "", hosts, "https://x.a.test/mcp", &[also]);
    // What it does not prove is reached without it.
    let proved = "http://0.test:8080/mcp";
    check(&["a.test"], "hosts = ['0.test']", "", proved, &[CLEAR]);
}

#[test]
fn what_cannot_be_told_is_asked_for() {
    let wildcard = api("payments", "hosts = ['*.pay.test']");
    let place = Place::with_config(&[&listener("a", ALL, ""), &wildcard]);
    let (exit, told) = place.failure("client connect mobile-app");
    assert_eq!(exit, Exit::NotDone);
    let expected = "the config does not tell under which name MCP clients reach the endpoint\n  Say \
                    where it is: --url https://HOST/mcp";
    assert_eq!(told, expected);
    place.expect("--url https://a.pay.test", "https://a.pay.test/mcp", &[]);
    place.expect("--url https://a.pay.test/", "https://a.pay.test/mcp", &[]);
    place.expect("--url https://a.test:8443/x/mcp", "https://a.test:8443/x/mcp", &[]);
    place.expect("--url http://[::1]:80", "http://[::1]:80/mcp", &[]);
    place.expect("--url http://a.test", "http://a.test/mcp", &[CLEAR]);
    for bad in [
        "a.test",
        "ftp://a.test",
        "https://",
        "https://secret@a.test/mcp",
        "https://a.test/mcp?key=secret",
        "https://a.test/mcp#secret",
        "https://a.test/$(secret)",
        "https://a.test/'secret",
        "https://a.test/${SECRET}",
        "https://$secret/mcp",
    ] {
        let (exit, told) = place.failure(&format!("client connect mobile-app --url {bad}"));
        assert_eq!(exit, Exit::Usage, "{bad}");
        assert!(told.starts_with("--url ") && !told.to_lowercase().contains("secret"), "{told}");
    }
}

#[test]
fn there_is_nothing_to_connect_to() {
    let off = "[mcp]\nendpoint = 'off'";
    let place = Place::with_config(&[&listener("a", LOCAL, ""), &api("payments", ""), off]);
    for words in ["client connect mobile-app", "client connect mobile-app --url https://a.test"] {
        let (exit, told) = place.failure(words);
        assert_eq!(exit, Exit::NotDone);
        assert!(told.contains("endpoint = \"off\"\n  Take that line out"), "{told}");
    }
    place.configure(&["[mcp]\nendpoints = 'on'"]);
    let (exit, told) = place.failure("client connect mobile-app");
    assert_eq!(exit, Exit::ProblemFound);
    assert!(told.contains("gateway.toml"), "{told}");
    let unknown = ["--for", "emacs"];
    let words = ["onegate", "client", "connect", "mobile-app"].into_iter().chain(unknown);
    let error = Command::try_parse_from(words).expect_err("it is not known").to_string();
    assert!(error.contains("write one of: claude-code,"), "{error}");
}

#[test]
fn the_client_is_looked_at() {
    both_ways(|place| {
        place.configure(&[&listener("a", LOCAL, ""), &api("payments", "")]);
        let added = &place.json(ADD)[0];
        let key = added["key"].as_str().unwrap();
        let (exit, told) = place.failure("client connect mobile-ap");
        assert_eq!(exit, Exit::NotDone);
        assert!(told.ends_with("\n  Did you mean 'mobile-app'?"), "{told}");

        let expect = |notes: &[&str]| {
            let url = "http://127.0.0.1:8080/mcp";
            place.expect("", url, &[&[NEAR], notes].concat());
            let human = place.human("client connect mobile-app");
            assert!(!human.contains(key) && !human.contains("og_"), "{human}");
        };
        let issue = "onegate credential add --client mobile-app --key";
        expect(&[]);
        place.json("suspend client mobile-app --reason odd");
        expect(&["onegate resume client mobile-app"]);
        place.json("resume client mobile-app");
        let id = added["credential"].as_str().unwrap();
        place.json(&format!("suspend credential {id} --for 7d --reason odd"));
        expect(&[issue]);
        place.json(&format!("revoke credential {id} --reason lost"));
        expect(&[issue]);
        place.json("grant remove --client mobile-app --product payments-all --reason odd");
        expect(&[issue, "onegate grant add --client mobile-app --product PRODUCT"]);
        place.json("revoke client mobile-app --reason sold");
        expect(&["onegate client add"]);
    });
}

#[test]
fn what_is_to_be_pasted_is_whole() {
    let more = "[mcp]\npath = \"/it's/mcp\"";
    let place = Place::with_config(&[&listener("a", LOCAL, ""), &api("payments", ""), more]);
    let told = place.connect("");
    let url = told["url"].as_str().unwrap();
    assert_eq!(url, "http://127.0.0.1:8080/it's/mcp");
    let setups = told["setups"].as_object().unwrap();
    let names: Vec<_> = setups.keys().collect();
    let expected = ["claude-code", "claude-desktop", "cursor", "python", "typescript", "vscode"];
    assert_eq!(names, expected);
    let human = place.human("client connect mobile-app");
    for snippet in setups.values().flat_map(|snippets| snippets.as_array().unwrap()) {
        let text = snippet["text"].as_str().unwrap();
        assert!(human.contains(text.trim_end()), "{text}");
        match snippet["language"].as_str().unwrap() {
            "json" => {
                let parsed: Value = serde_json::from_str(text).unwrap();
                let of_server = |servers: &str| parsed[servers]["onegate"].clone();
                let server = [of_server("mcpServers"), of_server("servers")];
                let server = server.iter().find(|server| server.is_object()).unwrap();
                let bridge = server["args"][1].as_str().unwrap_or_default();
                let quoted = bridge.contains(r"'http://127.0.0.1:8080/it'\''s/mcp'");
                assert!(server["url"] == url || quoted, "{text}");
            }
            "sh" => assert!(!text.contains("it's") && text.lines().count() == 1, "{text}"),
            _ => assert!(text.contains(&format!("\"{url}\"")), "{text}"),
        }
    }
    let only = place.connect("--for cursor --for python");
    assert_eq!(
        only["setups"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["cursor", "python"]
    );
    let human = place.human("client connect mobile-app --for vscode");
    assert!(human.contains("\nVS Code\n-------\n") && !human.contains("Cursor\n"), "{human}");
}
