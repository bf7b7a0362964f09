//! Plans with everything, through the decision and the real ledger: all limits or none, against a
//! slow reference.

use std::collections::BTreeMap;

use onegate::model::denial::Denial;
use onegate::model::time::{MonoNs, Now};
use proptest::prelude::*;

use super::lab::{Lab, at, refusal_of};

#[test]
fn seats_are_given_back_by_whoever_has_them() {
    let mut lab = Lab::new("concurrency = 2");
    let first = lab.call(0, "GET", at(0)).expect("a seat");
    let second = lab.call(1, "POST", at(0)).expect("a seat");
    assert!(first.is_seated() && second.is_seated());
    let refused = refusal_of(lab.call(0, "GET", at(0)));
    assert_eq!(refused, (Denial::ConcurrencyLimited, 1, "concurrency".to_owned()));
    // Under another config too: it is the client's.
    lab.reload("concurrency = 2");
    assert!(lab.call(0, "GET", at(0)).is_err());
    drop(first);
    assert!(lab.call(0, "GET", at(0)).is_ok());
}

#[test]
fn a_shadow_watches_and_refuses_nobody() {
    let mut lab = Lab::new(
        "rates = [{ name = 'rate', limit = 1, per = '1h', burst = 2, shadow = true }]\n\
         quotas = [{ name = 'quota', limit = 400, per = 'day', shadow = true }]\n\
         concurrency = { limit = 1, shadow = true }",
    );
    let mut held = Vec::new();
    let mut watched = Vec::new();
    for _ in 0..4 {
        held.push(lab.call(0, "GET", at(0)).expect("nothing is enforced"));
        lab.answer();
        watched.push(lab.shadow().map(str::to_owned));
    }
    let watched: Vec<_> = watched.iter().map(Option::as_deref).collect();
    assert_eq!(watched, [None, Some("concurrency"), Some("rate"), Some("rate")]);
    held.clear();
    // The first came before its lease did.
    for _ in 4..401 {
        lab.call(0, "GET", at(7200)).expect("nothing is enforced");
        lab.answer();
    }
    lab.call(0, "GET", at(7200)).expect("nothing is enforced");
    assert_eq!(lab.shadow(), Some("quota"));
}

/// What a generated plan has.
#[derive(Clone, Debug)]
struct Spec {
    /// Limit in 10 s, burst, by credential, for writes only, shadow.
    rates: Vec<(u32, u32, bool, bool, bool)>,
    /// Limit per day, for writes only.
    quotas: Vec<(u64, bool)>,
    concurrency: Option<u32>,
}

impl Spec {
    fn to_toml(&self) -> String {
        let only = |writes: bool| if writes { ", operations = ['lab.write']" } else { "" };
        let mut text = String::new();
        let rates = self.rates.iter().enumerate().map(|(at, (limit, burst, by, writes, shadow))| {
            let by = if *by { "credential" } else { "client" };
            let only = only(*writes);
            format!("{{ name = 'r{at}', limit = {limit}, per = '10s', burst = {burst}, by = '{by}', shadow = {shadow}{only} }}")
        });
        let rates: Vec<_> = rates.collect();
        text += &format!("rates = [{}]\n", rates.join(", "));
        if !self.quotas.is_empty() {
            let quotas = self.quotas.iter().enumerate().map(|(at, (limit, writes))| {
                format!("{{ name = 'q{at}', limit = {limit}, per = 'day'{} }}", only(*writes))
            });
            text += &format!("quotas = [{}]\n", quotas.collect::<Vec<_>>().join(", "));
        }
        if let Some(concurrency) = self.concurrency {
            text += &format!("concurrency = {concurrency}\n");
        }
        text
    }
}

fn specs() -> impl Strategy<Value = Spec> {
    let rate = (1..20_u32, 1..8_u32, any::<bool>(), any::<bool>(), any::<bool>());
    let quota = (1..60_u64, any::<bool>());
    let rates = prop::collection::vec(rate, 1..4);
    let quotas = prop::collection::vec(quota, 0..3);
    (rates, quotas, prop::option::of(1..4_u32)).prop_map(|(rates, quotas, concurrency)| Spec {
        rates,
        quotas,
        concurrency,
    })
}

/// A bucket that keeps its level, in nanoseconds of its rate.
#[derive(Clone, Copy)]
struct Bucket {
    level: u64,
    at: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every call gets the verdict of a slow reference, and a refused one charges no limit at all,
    /// or the two would drift apart.
    #[test]
    fn all_limits_are_charged_or_none(
        spec in specs(),
        calls in prop::collection::vec((0..2_usize, any::<bool>(), 0..3_000_u64, 0..4_usize), 1..80),
    ) {
        let mut lab = Lab::new(&spec.to_toml());
        let interval = |limit: u32| 10_000_000_000_u64.div_ceil(u64::from(limit));
        let mut buckets: BTreeMap<(usize, usize), Bucket> = BTreeMap::new();
        let mut used = vec![0; spec.quotas.len()];
        let mut held = Vec::new();
        let mut now_ns = 0;
        for (key, writes, gap_ms, kept) in calls {
            now_ns += gap_ms * 1_000_000;
            held.truncate(kept);
            let (mut admits, mut charged) = (true, Vec::new());
            for (at, (limit, burst, by, only_writes, shadow)) in spec.rates.iter().enumerate() {
                if *only_writes && !writes {
                    continue;
                }
                let size = interval(*limit) * u64::from(*burst);
                let cell = (at, if *by { key } else { 0 });
                let bucket = buckets.entry(cell).or_insert(Bucket { level: size, at: now_ns });
                bucket.level = (bucket.level + now_ns - bucket.at).min(size);
                bucket.at = now_ns;
                if bucket.level >= interval(*limit) {
                    charged.push((cell, interval(*limit)));
                } else {
                    admits &= shadow;
                }
            }
            let quota_counts = |at: usize| writes || !spec.quotas[at].1;
            admits &= (0..used.len()).all(|at| !quota_counts(at) || used[at] < spec.quotas[at].0);
            admits &= spec.concurrency.is_none_or(|most| held.len() < most as usize);
            if admits {
                for (cell, cost) in charged {
                    buckets.get_mut(&cell).expect("it was looked at").level -= cost;
                }
                (0..used.len()).filter(|at| quota_counts(*at)).for_each(|at| used[at] += 1);
            }
            let now = Now { mono: MonoNs(now_ns), wall: at(0).wall };
            let verdict = lab.call(key, if writes { "POST" } else { "GET" }, now);
            prop_assert_eq!(verdict.is_ok(), admits, "{:?}", verdict.map(drop));
            held.extend(verdict.ok());
            lab.answer();
        }
    }
}
