//! Series about the gate itself, beside those of its calls.

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Reading, counter, gauge, signed};

/// How the gate is doing.
#[derive(Debug)]
pub struct GateSeries {
    connections: IntGaugeVec,
    certificate_expiry: IntGaugeVec,
    audit_records: IntCounter,
    audit_queue_bytes: IntGauge,
    audit_unsynced: Gauge,
    audit_unsynced_max: Gauge,
    audit_failing: IntGauge,
    audit_unrecorded: IntCounter,
    audit_disk_seconds_left: Gauge,
    audit_checkpoints_failed: IntCounter,
    revision: IntGauge,
    pub archive_failures: IntCounter,
    pub access_log_dropped: IntCounter,
    pub refused_before_request: IntCounterVec,
    pub reloads: IntCounterVec,
}

impl GateSeries {
    pub(super) fn new() -> prometheus::Result<Self> {
        Ok(Self {
            connections: gauge("onegate_connections", "Open connections.", &["listener"])?,
            certificate_expiry: gauge(
                "onegate_certificate_expiry_seconds",
                "Time until a certificate in use ends; negative once it has.",
                &["name"],
            )?,
            audit_records: IntCounter::new(
                "onegate_audit_records_total",
                "Records written to the audit.",
            )?,
            audit_queue_bytes: IntGauge::new(
                "onegate_audit_queue_bytes",
                "Memory of records that wait to be written, estimated.",
            )?,
            audit_unsynced: Gauge::new(
                "onegate_audit_unsynced_seconds",
                "How long the oldest record of the last sync was in memory only, at most.",
            )?,
            audit_unsynced_max: Gauge::new(
                "onegate_audit_unsynced_seconds_max",
                "The longest that a record was in memory only since the gate started.",
            )?,
            audit_failing: IntGauge::new(
                "onegate_audit_failing",
                "1 while the disk refuses records of the audit, else 0.",
            )?,
            audit_unrecorded: IntCounter::new(
                "onegate_audit_unrecorded_total",
                "Calls that were served without a record, because the disk refused it.",
            )?,
            audit_disk_seconds_left: Gauge::new(
                "onegate_audit_disk_seconds_left",
                "How long the room on the audit's disk lasts at the pace of the last minutes.",
            )?,
            audit_checkpoints_failed: IntCounter::new(
                "onegate_audit_checkpoints_failed_total",
                "Checkpoints that did not reach one of checkpoints_to.",
            )?,
            revision: IntGauge::new("onegate_snapshot_revision", "Revision of the inventory.")?,
            archive_failures: IntCounter::new(
                "onegate_audit_archive_failures_total",
                "Looks at finished files of the audit that could not seal or delete what was due.",
            )?,
            access_log_dropped: IntCounter::new(
                "onegate_access_log_dropped_total",
                "Lines of the access log that were dropped because it could not be written in time.",
            )?,
            refused_before_request: counter(
                "onegate_refused_before_request_total",
                "Connections that ended before they made a request that has a record.",
                &["reason"],
            )?,
            reloads: counter(
                "onegate_config_reloads_total",
                "Reloads of the config, by result: done or refused.",
                &["result"],
            )?,
        })
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 15] {
        [
            Box::new(self.connections.clone()),
            Box::new(self.certificate_expiry.clone()),
            Box::new(self.audit_records.clone()),
            Box::new(self.audit_queue_bytes.clone()),
            Box::new(self.audit_unsynced.clone()),
            Box::new(self.audit_unsynced_max.clone()),
            Box::new(self.audit_failing.clone()),
            Box::new(self.audit_unrecorded.clone()),
            Box::new(self.audit_disk_seconds_left.clone()),
            Box::new(self.audit_checkpoints_failed.clone()),
            Box::new(self.revision.clone()),
            Box::new(self.archive_failures.clone()),
            Box::new(self.access_log_dropped.clone()),
            Box::new(self.refused_before_request.clone()),
            Box::new(self.reloads.clone()),
        ]
    }

    /// Brings the gauges up to a reading.
    pub(super) fn set(&self, reading: &Reading) {
        for (listener, count) in &reading.connections {
            self.connections.with_label_values(&[listener]).set(signed(*count));
        }
        self.certificate_expiry.reset();
        for (name, seconds) in &reading.certificate_expiry {
            self.certificate_expiry.with_label_values(&[name]).set(*seconds);
        }
        // The recorder counts; this follows it.
        let behind = reading.audit_records.saturating_sub(self.audit_records.get());
        self.audit_records.inc_by(behind);
        self.audit_queue_bytes.set(signed(reading.audit_queue_bytes));
        let [last, longest] = reading.audit_unsynced.map(|time| time.as_secs_f64());
        self.audit_unsynced.set(last);
        self.audit_unsynced_max.set(longest);
        self.audit_failing.set(i64::from(reading.audit_failing));
        let behind = reading.audit_unrecorded.saturating_sub(self.audit_unrecorded.get());
        self.audit_unrecorded.inc_by(behind);
        self.audit_disk_seconds_left.set(reading.audit_disk_seconds_left);
        let failed = reading.audit_checkpoints_failed;
        self.audit_checkpoints_failed
            .inc_by(failed.saturating_sub(self.audit_checkpoints_failed.get()));
        self.revision.set(signed(reading.revision));
    }
}
