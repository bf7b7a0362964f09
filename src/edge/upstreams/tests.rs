//! Upstreams through reloads and changes of names, with a resolver that the test holds.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use prometheus::Opts;

use super::testing::{address, endpoint, inet, upstream};
use super::*;
use crate::model::balance::Balance;

type Answers = Arc<Mutex<BTreeMap<String, Vec<SocketAddr>>>>;

fn upstreams_that_ask(answers: &Answers) -> Arc<Upstreams> {
    let retries = IntCounterVec::new(Opts::new("retries", "of the test"), &["upstream"]);
    let answers = Arc::clone(answers);
    let names = Names::new(move |host, _| {
        let answers = answers.lock().expect("no thread panics");
        answers.get(host).cloned().ok_or_else(|| io::Error::other("no such name"))
    });
    Arc::new(Upstreams::new(retries.expect("a valid name"), names))
}

fn config(upstreams: &[(&str, &[&str])]) -> AHashMap<UpstreamName, Arc<Upstream>> {
    let of = |(name, hosts): &(&str, &[&str])| {
        let name = UpstreamName::parse(name).expect("a valid name");
        let endpoints = hosts.iter().map(|host| endpoint(host, 1)).collect();
        let upstream = upstream(Balance::RoundRobin);
        (name.clone(), Arc::new(Upstream { name, endpoints, ..upstream }))
    };
    upstreams.iter().map(of).collect()
}

fn pool(upstreams: &Upstreams, name: &str) -> Option<Arc<Pool>> {
    upstreams.pool(&UpstreamName::parse(name).expect("a valid name"))
}

fn picked(upstreams: &Upstreams) -> Vec<SocketAddr> {
    let pool = pool(upstreams, "a").expect("it is configured");
    let mut picked: Vec<SocketAddr> =
        (0..9).filter_map(|_| Some(inet(&pool.pick(None).ok()?.instance))).collect();
    picked.sort_unstable();
    picked.dedup();
    picked
}

#[test]
fn names_are_followed_and_a_failure_changes_nothing() {
    let answers = Answers::default();
    let say = |host: &str, found: Option<Vec<SocketAddr>>| {
        let mut answers = answers.lock().expect("no thread panics");
        answers.remove(host);
        answers.extend(found.map(|found| (host.to_owned(), found)));
    };
    let upstreams = upstreams_that_ask(&answers);
    upstreams.adopt(&config(&[("a", &["a.test", "10.0.0.9"])]));
    let check = |found: Option<Vec<SocketAddr>>, expected: &[u8]| {
        say("a.test", found);
        upstreams.resolve_and_wait();
        let expected: Vec<SocketAddr> = expected.iter().copied().map(address).collect();
        assert_eq!(picked(&upstreams), expected);
    };
    check(None, &[9]);
    check(Some(vec![address(1), address(2)]), &[1, 2, 9]);
    check(None, &[1, 2, 9]);
    check(Some(vec![address(3), address(2)]), &[2, 3, 9]);
}

#[test]
fn a_request_finds_the_upstream_that_a_reload_took_away() {
    let upstreams = upstreams_that_ask(&Answers::default());
    upstreams.adopt(&config(&[("a", &["10.0.0.1"]), ("b", &["10.0.0.2"])]));
    upstreams.adopt(&config(&[("a", &["10.0.0.1"])]));
    assert!(pool(&upstreams, "b").is_some());
    assert_eq!(upstreams.current().len(), 1);
    assert_eq!(upstreams.count().len(), 3, "three states of one upstream");
}

#[test]
fn a_reload_keeps_pools_that_are_unchanged_also_one_that_is_refused() {
    let upstreams = upstreams_that_ask(&Answers::default());
    let (old, new) = (config(&[("a", &["10.0.0.1"])]), config(&[("a", &["10.0.0.1", "10.0.0.2"])]));
    upstreams.adopt(&old);
    let before = pool(&upstreams, "a").expect("it is configured");
    let held = before.pick(None).expect("there is one");
    upstreams.adopt(&old);
    assert!(Arc::ptr_eq(&before, &pool(&upstreams, "a").expect("it is configured")));

    upstreams.adopt(&new);
    let changed = pool(&upstreams, "a").expect("it is configured");
    let found: Vec<_> = (0..2).filter_map(|_| changed.pick(None).ok()).collect();
    assert!(found.iter().any(|one| Arc::ptr_eq(&one.instance, &held.instance)));

    // The new one was refused: the old one, as it was.
    upstreams.adopt(&old);
    let again = pool(&upstreams, "a").expect("it is configured");
    let again = again.pick(None).expect("there is one");
    assert!(Arc::ptr_eq(&again.instance, &held.instance));
}
