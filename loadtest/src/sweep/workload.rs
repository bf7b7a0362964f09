//! What is asked for: who (one of many keys, each as likely as the others) and what (a few kinds of
//! paths in fixed shares). It makes the bytes of a request and says how long its answer must be.

use std::io::Write;

use crate::random::Random;

#[derive(Debug)]
pub struct Workload {
    /// For each client all that follows the path.
    tails: Vec<Vec<u8>>,
}

impl Workload {
    pub fn new(keys: &[String]) -> Self {
        let tail = |key: &String| {
            format!(
                " HTTP/1.1\r\nHost: load.test\r\nUser-Agent: loadtest\r\nAccept: */*\r\n\
                 Authorization: Bearer {key}\r\n\r\n"
            )
            .into_bytes()
        };
        Self { tails: keys.iter().map(tail).collect() }
    }

    /// Writes one request over what was in `out` and returns the length of the right answer.
    pub fn write(&self, random: &mut Random, out: &mut Vec<u8>) -> u64 {
        let percent = random.below(100);
        let kind = MIX.iter().find(|kind| percent < kind.below_percent);
        let body_bytes = kind.and_then(|kind| kind.body_bytes);
        let payment = 1000 + random.below(9000);
        let client = usize::try_from(random.below(self.tails.len() as u64)).unwrap_or_default();
        out.clear();
        let path = match body_bytes {
            None => write!(out, "GET /payments/{payment}"),
            Some(bytes) => write!(out, "GET /payments/{payment}/bytes/{bytes}"),
        };
        // A vector takes everything.
        drop(path);
        out.extend_from_slice(self.tails.get(client).map_or(&[], Vec::as_slice));
        body_bytes.unwrap_or(SMALL_BYTES)
    }
}

/// One kind of request: a share of all, and the body its path asks the stub for.
struct Kind {
    /// Its share and those of the kinds before it.
    below_percent: u64,
    body_bytes: Option<u64>,
}

const MIX: [Kind; 3] = [
    Kind { below_percent: 80, body_bytes: None },
    Kind { below_percent: 95, body_bytes: Some(128) },
    Kind { below_percent: 100, body_bytes: Some(16 * 1024) },
];

/// The mix in words, for the report.
pub const MIX_IN_WORDS: &str = "80 % GET /payments/N (1 KiB), 15 % GET /payments/N/bytes/128, \
                                5 % GET /payments/N/bytes/16384";

/// What the stub answers to a path that names no size.
const SMALL_BYTES: u64 = 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_client_and_every_kind_has_its_share() {
        let keys: Vec<String> = (0..10).map(|number| format!("key{number}")).collect();
        let workload = Workload::new(&keys);
        let mut random = Random::of(&[1]);
        let mut out = Vec::new();
        let (mut by_length, mut by_key) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..10_000 {
            let bytes = workload.write(&mut random, &mut out);
            let text = String::from_utf8(out.clone()).expect("a request is text");
            let named = text.contains(&format!("/bytes/{bytes} "));
            assert!(text.starts_with("GET /payments/") && (named || bytes == 1024), "{text}");
            assert!(text.ends_with("\r\n\r\n"), "{text}");
            let key = text.split("Bearer ").nth(1).expect("a key").trim_end().to_owned();
            *by_length.entry(bytes).or_insert(0) += 1;
            *by_key.entry(key).or_insert(0) += 1;
        }
        assert_eq!(by_key.len(), 10);
        assert!(by_key.values().all(|count| (850..1150).contains(count)), "{by_key:?}");
        let share = |bytes: u64| by_length.get(&bytes).copied().unwrap_or(0);
        assert!((7800..8200).contains(&share(1024)), "{by_length:?}");
        assert!((1350..1650).contains(&share(128)), "{by_length:?}");
        assert!((400..600).contains(&share(16_384)), "{by_length:?}");
    }
}
