//! The audit as a test asks it: through `onegate audit query`, like any auditor.

use serde_json::Value;

use super::gate::Gate;
use super::http::Response;
use super::poll;

impl Gate {
    /// Records that match the filters now.
    pub fn records_now(&self, filters: &[&str]) -> Vec<Value> {
        self.json(&[&["audit", "query"], filters].concat())
    }

    /// Records of calls that have ended, once `enough` of them are written.
    pub fn records(&self, filters: &[&str], enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let fact = format!("records of {filters:?}");
        poll::until(&fact, || {
            let mut records = self.records_now(filters);
            records.retain(|record| record["entry"].is_null());
            Some(records).filter(|records| enough(records))
        })
    }

    /// The one record of a response.
    pub fn record_of(&self, response: &Response) -> Value {
        let mut records = self.records(&["--id", response.id()], |records| !records.is_empty());
        assert_eq!(records.len(), 1, "{records:?}");
        let record = records.remove(0);
        assert_eq!(record["id"], response.id());
        assert_eq!(record["status"], response.status, "{record}");
        record
    }

    /// The one record of an id.
    pub fn record_of_id(&self, id: &str) -> Value {
        let mut records = self.records(&["--id", id], |records| !records.is_empty());
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }

    /// The one record of a path that only one request had.
    pub fn record_of_path(&self, path: &str) -> Value {
        let mut records = self.records(&["--path", path], |records| !records.is_empty());
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }

    /// Waits until each response seen so far has its record.
    pub fn settle(&self) {
        self.records(&[], |records| self.witness.is_recorded(records));
    }
}
