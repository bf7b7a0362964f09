//! Certificates that are renewed while the gate runs: no request fails, no broken pair is taken, and
//! links that are swapped are followed.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::harness::authority::{Authority, Issued, Kind, put};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;
use super::tls::{Secured, listener};

const SNI: [&str; 2] = ["-servername", "a.test"];

fn wait_for(secured: &Secured, expected: &Issued) {
    let shown = || (secured.serial(&SNI) == expected.serial).then_some(());
    poll::until("the renewed certificate is shown", shown);
}

#[test]
fn a_renewed_certificate_is_taken_without_a_failed_request() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let pair = authority.issue("a", &["a.test"], Kind::Ecdsa, 90);
    let secured = Secured::start(Setup::before(&upstream), "", &[&pair]);
    let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                // Each curl makes a connection of its own.
                let curl = secured.curl(&authority, "a.test", "/open/ok/1");
                assert_eq!(curl.fetch().response.status, 200);
                calls.fetch_add(1, Ordering::AcqRel);
            }
        });
        for days in [80, 70] {
            let renewed = authority.issue("a", &["a.test"], Kind::Rsa, days);
            wait_for(&secured, &renewed);
            let seen = calls.load(Ordering::Acquire);
            poll::until("calls go on", || (calls.load(Ordering::Acquire) > seen).then_some(()));
        }
        stop.store(true, Ordering::Release);
    });
    let said = secured.gate.metrics();
    assert!(said.contains("onegate_certificate_expiry_seconds{name=\"a.test\"} 60"), "{said}");
}

#[test]
fn a_broken_pair_leaves_the_last_good_one() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let pair = authority.issue("a", &["a.test"], Kind::Ecdsa, 90);
    let secured = Secured::start(Setup::before(&upstream), "", &[&pair]);
    let told = |word: &str| {
        poll::until(word, || secured.gate.stderr().contains(word).then_some(()));
        assert_eq!(secured.serial(&SNI), pair.serial);
        assert_eq!(secured.curl(&authority, "a.test", "/open/ok/1").fetch().response.status, 200);
    };
    let key = fs::read(&pair.key).expect("the file is ours");
    // A key that is not the certificate's, then no key, then none at all.
    let next = authority.issue("next", &["a.test"], Kind::Ecdsa, 60);
    put(&pair.key, &fs::read(&next.key).expect("the file is ours"));
    told("the private key is not the certificate's");
    put(&pair.key, b"nothing\n");
    told("it holds no private key");
    fs::remove_file(&pair.key).expect("the file is ours");
    told("No such file");
    // The two files come one after the other, as they do in life.
    put(&pair.cert, &fs::read(&next.cert).expect("the file is ours"));
    put(&pair.key, &key);
    told("the private key is not the certificate's");
    put(&pair.key, &fs::read(&next.key).expect("the file is ours"));
    wait_for(&secured, &next);
    let said = secured.gate.stderr();
    assert!(said.matches("stays: ").count() <= 5, "each fault is told once: {said}");
}

#[test]
fn swapped_links_are_followed() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let folder = |name: &str| authority.folder().at(name);
    // As Kubernetes mounts a secret: tls.crt -> ..data/tls.crt, ..data -> a folder of its own.
    let version = |name: &str, days: i64| {
        fs::create_dir(folder(name)).expect("the folder is ours");
        authority.issue(&format!("{name}/tls"), &["a.test"], Kind::Ecdsa, days)
    };
    let first = version("..2026_01", 90);
    symlink("..2026_01", folder("..data")).expect("a link");
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), folder(file)).expect("a link");
    }
    let mounted = Issued { cert: folder("tls.crt"), key: folder("tls.key"), ..first.clone() };
    let secured = Secured::start(Setup::before(&upstream), "", &[&mounted]);
    wait_for(&secured, &first);
    let second = version("..2026_02", 90);
    symlink("..2026_02", folder("..data_tmp")).expect("a link");
    fs::rename(folder("..data_tmp"), folder("..data")).expect("the folder is ours");
    wait_for(&secured, &second);
    fs::remove_dir_all(folder("..2026_01")).expect("the folder is ours");
    // As certbot does: each file is a link that is made anew.
    let third = version("archive", 90);
    for (file, target) in [("tls.crt", &third.cert), ("tls.key", &third.key)] {
        fs::remove_file(folder(file)).expect("the folder is ours");
        symlink(target, folder(file)).expect("a link");
    }
    wait_for(&secured, &third);
}

#[test]
fn a_reload_adds_and_removes_certificates() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let one = authority.issue("one", &["a.test"], Kind::Ecdsa, 90);
    let two = authority.issue("two", &["b.test"], Kind::Ecdsa, 90);
    let secured = Secured::start(Setup::before(&upstream), "", &[&one]);
    let of_b = ["-servername", "b.test"];
    assert_eq!(secured.serial(&of_b), one.serial);
    let reload = |keys: &str, pairs: &[&Issued]| {
        let more = listener(secured.address, keys, pairs);
        secured.gate.write_config(&Setup { more, ..Setup::before(&upstream) });
        secured.gate.cli(&["reload"])
    };
    reload("", &[&one, &two]).expect_success();
    assert_eq!(secured.serial(&of_b), two.serial);
    // What came by the reload is followed too.
    let renewed = authority.issue("two", &["b.test"], Kind::Ecdsa, 60);
    let shown = || (secured.serial(&of_b) == renewed.serial).then_some(());
    poll::until("the renewed certificate is shown", shown);
    reload("min_version = \"1.3\"", &[&two, &one]).expect_success();
    assert_eq!(secured.serial(&["-noservername"]), renewed.serial);
    // A config whose certificates cannot be used changes nothing.
    let missing = Issued { cert: authority.folder().at("no.crt"), ..one.clone() };
    assert_ne!(reload("", &[&missing]).code, Some(0));
    assert_eq!(secured.serial(&SNI), one.serial);
    // TLS itself comes and goes with a restart only.
    let address = secured.address;
    let plain = format!("[[listener]]\nname = \"secure\"\naddress = \"{address}\"\n");
    secured.gate.write_config(&Setup { more: plain, ..Setup::before(&upstream) });
    let refused = secured.gate.cli(&["reload"]);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("restart"));
    assert_eq!(secured.serial(&SNI), one.serial);
}
