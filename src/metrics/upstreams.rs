//! Series about what stands behind the gate.

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGaugeVec};

use super::{Reading, counter, gauge, signed};

/// How the upstreams are doing.
#[derive(Debug)]
pub struct UpstreamSeries {
    endpoints: IntGaugeVec,
    pub retries: IntCounterVec,
}

impl UpstreamSeries {
    pub(super) fn new() -> prometheus::Result<Self> {
        Ok(Self {
            endpoints: gauge(
                "onegate_upstream_endpoints",
                "Addresses of an upstream's endpoints: healthy, unhealthy or ejected.",
                &["upstream", "state"],
            )?,
            retries: counter(
                "onegate_upstream_retries_total",
                "Attempts after the first, each at another endpoint where there is one.",
                &["upstream"],
            )?,
        })
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 2] {
        [Box::new(self.endpoints.clone()), Box::new(self.retries.clone())]
    }

    /// Brings the gauges up to a reading. Upstreams that are gone have no series.
    pub(super) fn set(&self, reading: &Reading) {
        self.endpoints.reset();
        for (upstream, state, count) in &reading.upstream_endpoints {
            self.endpoints.with_label_values(&[upstream, *state]).set(signed(*count));
        }
    }
}
