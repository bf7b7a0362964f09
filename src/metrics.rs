//! Every metric: its name, labels and meaning, in one table (INTERFACES.md 7).
//!
//! Counters and histograms are a fold over the audit's records, on the recorder's thread: what has
//! a record is counted once, and no worker thread resolves a label. Gauges are read when scraped.

mod gate;
pub mod serve;
mod upstreams;

use std::time::Duration;

use ahash::{AHashMap, AHashSet};
use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::model::denial::Denial;
use crate::model::id::ClientId;
use crate::model::record::{Outcome, RequestRecord};

pub use self::gate::GateSeries;
pub use self::upstreams::UpstreamSeries;

/// The label of clients past `clients_max`.
pub const OTHER: &str = "_other";
/// The label of requests that reached no api.
const NO_API: &str = "_none";

/// All series of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    denials: IntCounterVec,
    failures: IntCounterVec,
    shadow_refusals: IntCounterVec,
    loop_brakes: IntCounterVec,
    responses: IntCounterVec,
    tool_errors: IntCounterVec,
    gateway_seconds: HistogramVec,
    upstream_seconds: HistogramVec,
    in_flight: IntGaugeVec,
    limit_used: GaugeVec,
    quarantined: IntGaugeVec,
    pub gate: GateSeries,
    pub upstreams: UpstreamSeries,
}

/// What gauges show at the moment of a scrape.
#[derive(Debug, Default)]
pub struct Reading {
    /// By client label.
    pub in_flight: Vec<(String, u64)>,
    /// By client and limit: 0 at rest, 1 when the next call would be refused.
    pub limit_used: Vec<(String, String, f64)>,
    /// By client label: clients in quarantine.
    pub quarantined: Vec<(String, u64)>,
    /// By listener.
    pub connections: Vec<(String, u64)>,
    /// By upstream and state.
    pub upstream_endpoints: Vec<(String, &'static str, u64)>,
    /// By name: seconds until it ends, negative once it has.
    pub certificate_expiry: Vec<(String, i64)>,
    pub audit_records: u64,
    pub audit_queue_bytes: u64,
    /// How long records were in memory only: at the last sync, and the longest.
    pub audit_unsynced: [Duration; 2],
    /// The disk refuses records.
    pub audit_failing: bool,
    /// Requests that were served without a record.
    pub audit_unrecorded: u64,
    pub audit_disk_seconds_left: f64,
    /// Checkpoints that did not reach where they were sent.
    pub audit_checkpoints_failed: u64,
    pub revision: u64,
}

impl Metrics {
    pub fn new() -> prometheus::Result<Self> {
        let metrics = Self {
            registry: Registry::new(),
            requests: counter(
                "onegate_requests_total",
                "Requests that have a record.",
                &["client", "api", "surface", "decision"],
            )?,
            denials: counter(
                "onegate_denials_total",
                "Requests refused by the gate, by the code of the denial.",
                &["client", "denial"],
            )?,
            failures: counter(
                "onegate_failures_total",
                "Allowed requests that failed, by the code of the failure.",
                &["api", "failure"],
            )?,
            shadow_refusals: counter(
                "onegate_shadow_refusals_total",
                "Allowed requests that a shadow limit would have refused.",
                &["client", "limit"],
            )?,
            loop_brakes: counter(
                "onegate_loop_brake_total",
                "Times that the loop brake came on, by what it does: on or shadow.",
                &["client", "mode"],
            )?,
            responses: counter(
                "onegate_responses_total",
                "Answers by class of their status; 'none' when the caller left before any.",
                &["api", "status_class"],
            )?,
            tool_errors: counter(
                "onegate_tool_errors_total",
                "Tools' calls over MCP that were answered as failures.",
                &["client"],
            )?,
            gateway_seconds: histogram(
                "onegate_gateway_duration_seconds",
                "Time of a request in the gate, without the time of the upstream.",
                &GATEWAY_BUCKETS,
            )?,
            upstream_seconds: histogram(
                "onegate_upstream_duration_seconds",
                "Time of a request from the first attempt to connect to its last byte.",
                &UPSTREAM_BUCKETS,
            )?,
            in_flight: gauge("onegate_requests_in_flight", "Being forwarded.", &["client"])?,
            limit_used: GaugeVec::new(
                Opts::new(
                    "onegate_limit_used_ratio",
                    "How much of a limit is used: 1 when the next call would be refused.",
                ),
                &["client", "limit"],
            )?,
            quarantined: gauge("onegate_quarantined", "Clients in quarantine.", &["client"])?,
            gate: GateSeries::new()?,
            upstreams: UpstreamSeries::new()?,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 12] = [
            Box::new(self.requests.clone()),
            Box::new(self.denials.clone()),
            Box::new(self.failures.clone()),
            Box::new(self.shadow_refusals.clone()),
            Box::new(self.loop_brakes.clone()),
            Box::new(self.responses.clone()),
            Box::new(self.tool_errors.clone()),
            Box::new(self.gateway_seconds.clone()),
            Box::new(self.upstream_seconds.clone()),
            Box::new(self.in_flight.clone()),
            Box::new(self.limit_used.clone()),
            Box::new(self.quarantined.clone()),
        ];
        let more = self.gate.collectors().into_iter().chain(self.upstreams.collectors());
        for collector in all.into_iter().chain(more) {
            self.registry.register(collector)?;
        }
        let process = prometheus::process_collector::ProcessCollector::for_self();
        self.registry.register(Box::new(process))
    }

    /// Requests that were refused because they could not be recorded, and so have no record to be
    /// counted by.
    pub fn unrecorded(&self) -> IntCounter {
        let labels = [ClientId::ANONYMOUS, Denial::AuditUnavailable.code()];
        self.denials.with_label_values(&labels)
    }

    /// Begins a fold: the part of the metrics that lives on the recorder's thread.
    pub fn fold(&self, clients_max: usize) -> Fold {
        Fold {
            requests: self.requests.clone(),
            denials: self.denials.clone(),
            failures: self.failures.clone(),
            shadow_refusals: self.shadow_refusals.clone(),
            loop_brakes: self.loop_brakes.clone(),
            responses: self.responses.clone(),
            tool_errors: self.tool_errors.clone(),
            gateway_seconds: self.gateway_seconds.clone(),
            upstream_seconds: self.upstream_seconds.clone(),
            clients_max,
            clients: AHashSet::new(),
            apis: AHashMap::new(),
            request_series: AHashMap::new(),
        }
    }

    /// The text of a scrape.
    pub fn render(&self, reading: &Reading) -> prometheus::Result<Vec<u8>> {
        self.in_flight.reset();
        for (client, count) in &reading.in_flight {
            self.in_flight.with_label_values(&[client]).set(signed(*count));
        }
        self.limit_used.reset();
        for (client, limit, used) in &reading.limit_used {
            self.limit_used.with_label_values(&[client, limit]).set(*used);
        }
        self.quarantined.reset();
        for (client, count) in &reading.quarantined {
            self.quarantined.with_label_values(&[client]).set(signed(*count));
        }
        self.gate.set(reading);
        self.upstreams.set(reading);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Counts records. Every series is resolved once and kept.
#[derive(Debug)]
pub struct Fold {
    requests: IntCounterVec,
    denials: IntCounterVec,
    failures: IntCounterVec,
    shadow_refusals: IntCounterVec,
    loop_brakes: IntCounterVec,
    responses: IntCounterVec,
    tool_errors: IntCounterVec,
    gateway_seconds: HistogramVec,
    upstream_seconds: HistogramVec,
    clients_max: usize,
    /// Clients with series of their own; the first ones to call.
    clients: AHashSet<ClientId>,
    apis: AHashMap<String, ApiSeries>,
    request_series: AHashMap<RequestLabels, IntCounter>,
}

#[derive(Debug)]
struct ApiSeries {
    gateway_seconds: Histogram,
    upstream_seconds: Histogram,
    /// By class of status: none, 1xx, ..., 5xx.
    responses: [IntCounter; 6],
}

#[derive(Debug, Eq, Hash, PartialEq)]
struct RequestLabels {
    client: String,
    api: String,
    surface: &'static str,
    decision: &'static str,
}

impl Fold {
    pub fn count(&mut self, record: &RequestRecord) {
        let client = self.client_label(record.caller.client());
        let api = record.api.as_ref().map_or(NO_API, |api| api.as_str());
        self.count_request(client.clone(), api, record);
        match record.outcome {
            Outcome::Allowed => {}
            Outcome::Denied(denial) => {
                self.denials.with_label_values(&[client.as_str(), denial.code()]).inc();
            }
            Outcome::Failed(failure) => {
                self.failures.with_label_values(&[api, failure.code()]).inc();
            }
        }
        if let Some(shadow) = &record.shadow_limit {
            let limit = format!("{}/{}", shadow.0, shadow.1);
            self.shadow_refusals.with_label_values(&[client.as_str(), &limit]).inc();
        }
        if let Some(mode) = record.braked {
            self.loop_brakes.with_label_values(&[client.as_str(), mode.as_str()]).inc();
        }
        if record.mcp.as_ref().and_then(|mcp| mcp.is_error) == Some(true) {
            self.tool_errors.with_label_values(&[client.as_str()]).inc();
        }
        let series = self.api_series(api);
        let class = usize::from(record.status / 100).min(5);
        if let Some(responses) = series.responses.get(class) {
            responses.inc();
        }
        let upstream_us = record.upstream_us.unwrap_or(0);
        let gateway_us = record.duration_us.saturating_sub(upstream_us);
        series.gateway_seconds.observe(seconds(gateway_us));
        if let Some(upstream_us) = record.upstream_us {
            series.upstream_seconds.observe(seconds(upstream_us));
        }
    }

    fn count_request(&mut self, client: String, api: &str, record: &RequestRecord) {
        let labels = RequestLabels {
            client,
            api: api.to_owned(),
            surface: record.surface.as_str(),
            decision: record.outcome.decision(),
        };
        if let Some(series) = self.request_series.get(&labels) {
            return series.inc();
        }
        let RequestLabels { client, api, surface, decision } = &labels;
        let series = self.requests.with_label_values(&[client, api, *surface, *decision]);
        series.inc();
        self.request_series.insert(labels, series);
    }

    /// A client of the inventory under its id, until the budget is spent.
    fn client_label(&mut self, client: Option<&ClientId>) -> String {
        let Some(client) = client else { return ClientId::ANONYMOUS.to_owned() };
        if !self.clients.contains(client) {
            if self.clients.len() >= self.clients_max {
                return OTHER.to_owned();
            }
            self.clients.insert(client.clone());
        }
        client.to_string()
    }

    fn api_series(&mut self, api: &str) -> &ApiSeries {
        let classes = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
        self.apis.entry(api.to_owned()).or_insert_with(|| ApiSeries {
            gateway_seconds: self.gateway_seconds.with_label_values(&[api]),
            upstream_seconds: self.upstream_seconds.with_label_values(&[api]),
            responses: classes.map(|class| self.responses.with_label_values(&[api, class])),
        })
    }
}

const GATEWAY_BUCKETS: [f64; 10] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0];
const UPSTREAM_BUCKETS: [f64; 12] =
    [0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

fn counter(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauge(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn histogram(name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<HistogramVec> {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &["api"])
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::{bare, full, message};
    use crate::model::record::{McpDetail, Surface};

    #[test]
    fn a_tools_failure_is_its_clients() {
        let metrics = Metrics::new().expect("series");
        let mut fold = metrics.fold(1);
        let of = |is_error, record| {
            let mcp = Some(Box::new(McpDetail { is_error, ..message() }));
            RequestRecord { surface: Surface::Mcp, mcp, ..record }
        };
        for (is_error, times) in [(Some(true), 2), (Some(false), 3), (None, 5)] {
            (0..times).for_each(|n| fold.count(&of(is_error, full(n))));
        }
        fold.count(&of(Some(true), bare(9)));
        fold.count(&full(10));
        let text = metrics.render(&Reading::default()).expect("text");
        let text = String::from_utf8(text).expect("UTF-8");
        let check = |line: &str| assert!(text.contains(&format!("\n{line}\n")), "{line}\n{text}");
        check(r#"onegate_tool_errors_total{client="mobile-app"} 2"#);
        check(r#"onegate_tool_errors_total{client="_anonymous"} 1"#);
        let requests =
            r#"onegate_requests_total{api="payments",client="mobile-app",decision="allowed","#;
        check(&format!(r#"{requests}surface="mcp"}} 10"#));
        check(&format!(r#"{requests}surface="rest"}} 1"#));
    }
}
