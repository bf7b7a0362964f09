//! Staged configs: what decides is what it was, and what binds a gate to its place is not.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::staged::{Limits, Staged, Staging};
use crate::model::plan::{LimitAt, Plan};

/// A folder for one test, gone after it.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("onegate-staged-{}-{name}", std::process::id()));
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

const WIDE: u32 = 200_000;

/// A config as it is, and as it is staged.
fn staged(path: &str, limits: Limits) -> (Policy, Policy) {
    let loaded = load(Path::new(path)).unwrap_or_else(|problems| panic!("{problems}"));
    let upstream = SocketAddr::from(([127, 0, 0, 1], 9));
    let staging = Staging { upstream, limits };
    let made = loaded.texts.staged(&loaded.policy, &staging).expect("it is staged");
    let home = Home::new(&path.replace('/', "-"));
    let Staged { config, documents } = made;
    for (name, document) in documents {
        fs::write(home.0.join(name), document).expect("the folder is ours");
    }
    let main = home.0.join("gateway.toml");
    fs::write(&main, config).expect("the folder is ours");
    let staged = load(&main).unwrap_or_else(|problems| panic!("{problems}"));
    (loaded.policy, staged.policy)
}

#[test]
fn a_staged_config_decides_the_same() {
    let configs = ["accepted.toml", "included/main.toml", "openapi/main.toml", "loop_brake.toml"];
    for path in configs.map(|name| format!("tests/config/{name}")) {
        let (policy, staged) = staged(&path, Limits::Wide { calls: WIDE });
        let all = |policy: &Policy| format!("{:?}{:?}", policy.apis, policy.products);
        assert_eq!(all(&staged), all(&policy), "{path}");
        assert_eq!(staged.trusted_proxies, policy.trusted_proxies, "{path}");
        let tools = |policy: &Policy| policy.catalogue().digest.clone();
        assert_eq!(tools(&staged), tools(&policy), "{path}");
        let [listener] = &*staged.listeners else { panic!("{path}: {:?}", staged.listeners) };
        assert!(listener.address.ip().is_loopback() && listener.tls.is_none(), "{path}");
        assert_eq!(staged.upstreams.len(), policy.upstreams.len(), "{path}");
        let upstreams = format!("{:?}", staged.upstreams);
        let replaced =
            upstreams.matches(r#"[Endpoint { location: Host { name: "127.0.0.1", port: 9 }"#);
        assert_eq!(replaced.count(), policy.upstreams.len(), "{upstreams}");
        assert!(staged.access_log.is_none() && staged.anonymous.is_none(), "{path}");
    }
}

/// Bursts of rates, limits of quotas and calls at once, in order.
fn numbers(plan: &Plan) -> Vec<u64> {
    let rates = plan.rates.iter().map(|rate| u64::from(rate.burst));
    let quotas = plan.quotas.iter().map(|quota| quota.terms.limit);
    let concurrency = plan.concurrency.iter().map(|concurrency| u64::from(concurrency.limit));
    rates.chain(quotas).chain(concurrency).collect()
}

#[test]
fn one_limit_is_tight_and_keeps_its_name() {
    let check = |limits: Limits, expected: [u64; 3]| {
        let (policy, staged) = staged("conf/demo/demo.toml", limits);
        let find = |policy: &Policy| {
            let mut plans = policy.plans.values();
            plans.find(|plan| plan.name.as_str() == "standard").map(Arc::clone)
        };
        let (was, is) = (find(&policy).expect("a plan"), find(&staged).expect("a plan"));
        assert_eq!(numbers(&is), expected, "{limits:?}");
        let names =
            |plan: &Plan| (0..3).map(|at| plan.item(Plan::rate_at(at)).to_owned()).collect();
        let (before, after): (Vec<String>, Vec<String>) = (names(&was), names(&is));
        assert_eq!(before, after, "{limits:?}");
        // A minute and more, between two calls.
        assert!(is.paced().all(|(_, pace)| pace.interval_ns > 60_000_000_000), "{limits:?}");
    };
    let tight = |at: LimitAt, few| Limits::Tight { at, few, calls: WIDE };
    let wide = u64::from(WIDE);
    check(Limits::Wide { calls: WIDE }, [wide, wide, 20]);
    check(tight(Plan::rate_at(0), 3), [3, wide, 20]);
    check(tight(Plan::rate_at(1), 3), [wide, 3, 20]);
    check(tight(Plan::rate_at(2), 3), [wide, wide, 3]);
    // Never more than the config says.
    check(tight(Plan::rate_at(2), 1_000), [wide, wide, 20]);
}
