//! Kept configs: found again by their digest, judged by without the files beside them, and never taken for
//! what they are not.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;
use crate::config::kept::{Kept, NotKept, Texts};
use crate::model::time::UnixMicros;

/// A folder for one test, gone after it.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("onegate-kept-{}-{name}", std::process::id()));
        fs::remove_dir_all(&path).ok();
        fs::create_dir(&path).expect("a folder for the test");
        Self(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Loads as a gate does.
fn texts(path: &str) -> (Texts, Policy) {
    let loaded = load(Path::new(path)).unwrap_or_else(|problems| panic!("{problems}"));
    (loaded.texts, loaded.policy)
}

#[test]
fn a_config_of_several_files_is_found_again_and_judges_the_same() {
    let home = Home::new("found");
    let kept = Kept::of(&home.0);
    let configs = ["accepted.toml", "included/main.toml", "openapi/main.toml"];
    for path in configs.map(|name| format!("tests/config/{name}")) {
        let (texts, policy) = texts(&path);
        for _ in 0..2 {
            kept.keep(&texts).expect("it is kept");
        }
        let found = kept.find(&policy.digest).expect("it was kept");
        assert_eq!(format!("{found:?}"), format!("{texts:?}"));
        let again = found.to_judge_by().unwrap_or_else(|problems| panic!("{problems}"));
        let all = |policy: &Policy| format!("{:?}{:?}", policy.apis, policy.products);
        assert_eq!((&again.digest, all(&again)), (&policy.digest, all(&policy)), "{path}");
        assert!(again.listeners.is_empty() && again.upstreams.is_empty(), "it could be run");
    }
    let entries = fs::read_dir(kept.folder()).expect("it was made");
    let modes =
        entries.map(|entry| entry.and_then(|e| e.metadata()).expect("a file").permissions());
    assert_eq!(modes.map(|mode| mode.mode() & 0o777).collect::<Vec<_>>(), [0o600, 0o600, 0o600]);
}

#[test]
fn what_stands_beside_a_config_is_not_needed_to_judge_by_it() {
    let home = Home::new("beside");
    let text = r#"
[[listener]]
name = "edge"
address = "127.0.0.1:8443"
tls = { certificates = [{ cert = "gone.crt", key = "gone.key" }] }
[[upstream]]
name = "service"
endpoints = ["service.internal:443"]
tls = { ca = "gone.pem", cert = "gone.crt", key = "gone.key" }
[[api]]
name = "pages"
access = "public"
upstream = "service"
[[api.operation]]
id = "page"
methods = ["GET"]
path = "/page"
respond = { status = 200, file = "gone.html", content_type = "text/html" }
[[api.operation]]
id = "rest"
methods = ["GET"]
path = "/{rest...}"
"#;
    let path = home.0.join("gateway.toml");
    fs::write(&path, text).expect("the folder is ours");
    let told = load(&path).expect_err("nothing is there").to_string();
    assert_eq!(told.matches(": error: ").count(), 5, "{told}");
    let texts = Texts::read(&path).expect("the file is there");
    let policy = texts.to_judge_by().unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((policy.apis.len(), policy.operations.len()), (1, 2));
}

#[test]
fn what_is_not_what_it_says_is_not_taken() {
    let home = Home::new("damaged");
    let kept = Kept::of(&home.0);
    let (texts, policy) = texts("tests/config/accepted.toml");
    let find = |digest: &str| kept.find(digest).map(|_| ());
    assert!(matches!(find(&policy.digest), Err(NotKept::Missing(_))));
    assert!(matches!(find("../../etc/passwd"), Err(NotKept::Missing(_))));
    kept.keep(&texts).expect("it is kept");
    let path = kept.folder().join(format!("{}.json", policy.digest));
    let good = fs::read_to_string(&path).expect("it was kept");
    for bad in [
        &good.replacen("10.0.0.1:8080", "10.0.0.2:8080", 1),
        good.split_at(good.len() / 2).0,
        "",
        "{}",
    ] {
        fs::write(&path, bad).expect("the folder is ours");
        assert!(matches!(find(&policy.digest), Err(NotKept::Damaged(_))), "{bad}");
        // The next start mends it.
        kept.keep(&texts).expect("it is kept");
        assert!(find(&policy.digest).is_ok());
    }
}

#[test]
fn configs_are_forgotten_when_another_had_replaced_them_before_all_that_is_left() {
    let home = Home::new("pruned");
    let kept = Kept::of(&home.0);
    let day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_hours(24 * day);
    let until = |day: i64| UnixMicros::from_seconds(86_400 * day);
    assert_eq!(kept.forget_until(until(1000), "").expect("there is nothing"), 0);
    let configs = ["accepted.toml", "included/main.toml", "limits.toml"];
    let configs = configs.map(|name| texts(&format!("tests/config/{name}")));
    let file = |digest: &str| kept.folder().join(format!("{digest}.json"));
    let in_force_from = |of: usize, at: u64| {
        let (texts, policy) = &configs[of];
        kept.keep(texts).expect("it is kept");
        let file = File::options().write(true).open(file(&policy.digest)).expect("a file");
        file.set_modified(day(at)).expect("sets");
    };
    // The first comes into force again after the second.
    for (of, at) in [(0, 100), (1, 200), (0, 300), (2, 400)] {
        in_force_from(of, at);
    }
    fs::write(kept.folder().join("notes.txt"), "not ours").expect("the folder is ours");
    let check = |at: i64, forgotten: usize, left: [bool; 3]| {
        assert_eq!(
            kept.forget_until(until(at), &configs[2].1.digest).expect("it forgets"),
            forgotten,
            "{at}"
        );
        let found = [0, 1, 2].map(|of: usize| file(&configs[of].1.digest).exists());
        assert_eq!(found, left, "{at}");
    };
    check(299, 0, [true, true, true]);
    check(301, 1, [true, false, true]);
    check(399, 0, [true, false, true]);
    check(401, 1, [false, false, true]);
    check(100_000, 0, [false, false, true]);
    assert!(kept.folder().join("notes.txt").exists());
    // Whoever comes into force again says so.
    kept.keep(&configs[2].0).expect("it is kept");
    let changed = file(&configs[2].1.digest).metadata().and_then(|about| about.modified());
    assert!(changed.expect("a time") > day(401));
}
