//! Certificates of a listener: pairs that can be used, and what is said of those that cannot.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::*;
use crate::model::certificate::testing::{FAR, PAST, certificate, ecdsa, key_pem, rsa};

/// A pair of files that can be used; removed with the test.
pub(super) struct Pair {
    folder: PathBuf,
}

impl Pair {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = folder(&format!("pair-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let key = ecdsa();
        write(&folder, "tls.crt", &certificate(&key, &["a.test"], FAR));
        write(&folder, "tls.key", &key_pem(&key));
        Self { folder }
    }

    pub(super) fn cert_quoted(&self) -> String {
        format!("\"{}\"", self.folder.join("tls.crt").display())
    }

    pub(super) fn key_quoted(&self) -> String {
        format!("\"{}\"", self.folder.join("tls.key").display())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn folder(name: &str) -> PathBuf {
    let name = format!("onegate-certificates-{}-{name}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// For this user only, as keys should be.
fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("it can be written");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("the file is ours");
}

/// Good pairs and bad files, side by side.
fn pairs() -> PathBuf {
    let folder = folder("told");
    let (one, other, old) = (ecdsa(), ecdsa(), rsa(2048));
    write(&folder, "one.crt", &certificate(&one, &["a.test", "b.test"], FAR));
    write(&folder, "one.key", &key_pem(&one));
    write(&folder, "other.crt", &certificate(&other, &["b.test"], FAR));
    write(&folder, "other.key", &key_pem(&other));
    write(&folder, "old.crt", &certificate(&old, &["b.test"], PAST));
    write(&folder, "old.key", &key_pem(&old));
    write(&folder, "open.key", &key_pem(&one));
    let open = Permissions::from_mode(0o644);
    fs::set_permissions(folder.join("open.key"), open).expect("the file is ours");
    write(&folder, "text.crt", b"hello");
    write(&folder, "nameless.crt", &certificate(&one, &[], FAR));
    folder
}

#[test]
fn pairs_that_cannot_be_used_are_told() {
    let folder = pairs();
    let check = |certificates: &str, expected: &[&str]| {
        let line = format!("tls = {{ certificates = [{certificates}] }}");
        let text = format!("[[listener]]\nname = 'a'\naddress = '127.0.0.1:0'\n{line}\n");
        let (shown, loads) = match load_text(&folder.join("gateway.toml"), &text) {
            Ok(loaded) => (loaded.warnings.to_string(), true),
            Err(diagnostics) => (diagnostics.to_string(), false),
        };
        let expected_to_load = expected.iter().all(|line| !line.contains("error: "));
        assert_eq!(loads, expected_to_load, "{certificates}\n{shown}");
        let lines: Vec<_> = shown.lines().filter(|line| line.contains("gateway.toml:4:")).collect();
        assert_eq!(lines.len(), expected.len(), "{certificates}\n{shown}");
        for (line, (place, rest)) in
            lines.iter().zip(expected.iter().filter_map(|e| e.split_once(' ')))
        {
            assert!(line.contains(&format!("gateway.toml:4:{place}: {rest}")), "{shown}");
        }
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    };
    let one = "{ cert = 'one.crt', key = 'one.key' }";
    let old = "{ cert = 'old.crt', key = 'old.key' }";
    let cannot = "cannot be used:";
    check(one, &[]);
    check(
        "{ cert = 'nowhere.crt', key = 'one.key' }",
        &[&format!("34 error: \"nowhere.crt\" {cannot} No such file")],
    );
    check(
        "{ cert = 'one.crt', key = 'nowhere.key' }",
        &[&format!("51 error: \"nowhere.key\" {cannot} No such file")],
    );
    check(
        "{ cert = 'text.crt', key = 'one.key' }",
        &[&format!("34 error: \"text.crt\" {cannot} it holds no certificate")],
    );
    check(
        "{ cert = 'one.crt', key = 'one.crt' }",
        &[&format!("51 error: \"one.crt\" {cannot} it holds no private key")],
    );
    check(
        "{ cert = 'one.crt', key = 'other.key' }",
        &[&format!("51 error: \"other.key\" {cannot} the private key is not the certificate's")],
    );
    check(
        "{ cert = 'nameless.crt', key = 'one.key' }",
        &[&format!("34 error: \"nameless.crt\" {cannot} the certificate has no host name")],
    );
    check(old, &["34 warning: \"old.crt\" expired at"]);
    check(
        "{ cert = 'one.crt', key = 'open.key' }",
        &["51 warning: every user of this machine can read \"open.key\""],
    );
    let twice = "error: \"b.test\" has two certificates of one kind, first at";
    check(
        &format!("{one}, {{ cert = 'other.crt', key = 'other.key' }}"),
        &[&format!("64 {twice}")],
    );
    check(&format!("{one}, {old}"), &["73 warning: \"old.crt\" expired at"]);
    check("", &["24 error: \"listener.tls.certificates\" must have 1 to 64"]);
    check("{ cert = 'one.crt' }", &["25 error: \"listener.tls.certificates.key\" is missing"]);
    fs::remove_dir_all(&folder).expect("the folder can be removed");
}

#[test]
fn tls_brings_http2_unless_told_otherwise() {
    let pair = Pair::new();
    let files = format!("{{ cert = {}, key = {} }}", pair.cert_quoted(), pair.key_quoted());
    let check = |keys: &str, expected: (bool, bool)| {
        let text = format!("[[listener]]\nname = 'a'\naddress = '127.0.0.1:0'\n{keys}");
        let policy = load_text(Path::new("gateway.toml"), &text).expect(keys).policy;
        let listener = &policy.listeners[0];
        assert_eq!((listener.tls.is_some(), listener.http2), expected, "{keys}");
    };
    check("", (false, false));
    check("http2 = true", (false, true));
    check(&format!("tls = {{ certificates = [{files}] }}"), (true, true));
    check(&format!("http2 = false\ntls = {{ certificates = [{files}] }}"), (true, false));
}

#[test]
fn tls_cannot_be_switched_by_a_reload() {
    let pair = Pair::new();
    let load = |keys: &str| {
        let text = format!("[[listener]]\nname = 'a'\naddress = '127.0.0.1:1'\n{keys}");
        load_text(Path::new("gateway.toml"), &text).expect(keys).policy
    };
    let (cert, key) = (pair.cert_quoted(), pair.key_quoted());
    let tls = format!("certificates = [{{ cert = {cert}, key = {key} }}]");
    let (plain, secured) = (load(""), load(&format!("tls = {{ {tls} }}")));
    let newer = load(&format!("tls = {{ min_version = '1.3', {tls} }}"));
    assert_eq!(restart_needed(&plain, &secured), ["listener \"a\""]);
    assert_eq!(restart_needed(&secured, &plain), ["listener \"a\""]);
    assert_eq!(restart_needed(&secured, &newer), [""; 0]);
    assert_eq!(restart_needed(&plain, &load("http2 = true")), [""; 0]);
}
