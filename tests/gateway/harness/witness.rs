//! What a test saw of its gate: the ids of all responses, and the keys it was given. At the end the
//! gate's records and files are held against it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::http::Response;

/// Shared by a gate and its clients.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    ids: Vec<String>,
    secrets: Vec<String>,
}

impl Witness {
    pub fn saw_response(&self, response: &Response) {
        self.seen().ids.push(response.id().to_owned());
    }

    /// Keeps the secret part of a key: its fourth part.
    pub fn was_given(&self, key: &str) {
        let secret = key.split('_').nth(3).unwrap_or_else(|| panic!("not a key of five parts"));
        assert_eq!(secret.len(), 43, "a key's secret has 43 characters");
        self.seen().secrets.push(secret.to_owned());
    }

    /// Whether each response that was seen has a record by now.
    pub fn is_recorded(&self, records: &[Value]) -> bool {
        let counts = count_ids(records);
        self.seen().ids.iter().all(|id| counts.contains_key(id.as_str()))
    }

    /// Each response that was seen has exactly one record, and no two records share an id.
    pub fn expect_records(&self, records: &[Value]) {
        let counts = count_ids(records);
        for id in &self.seen().ids {
            assert_eq!(counts.get(id.as_str()), Some(&1), "records of response {id}");
        }
        for (id, count) in counts {
            assert_eq!(count, 1, "records with id {id}");
        }
    }

    /// No secret stands in any of these files.
    pub fn expect_no_secret(&self, files: &[PathBuf]) {
        for file in files {
            // A file of the store may go away meanwhile.
            let bytes = fs::read(file).unwrap_or_default();
            for secret in &self.seen().secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "a key's secret stands in {}", file.display());
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_ids(records: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(record["id"].as_str().expect("a record has an id")).or_default() += 1;
    }
    counts
}
