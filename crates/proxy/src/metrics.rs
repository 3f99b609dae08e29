//! Metrics of forwarded requests, beside those that the API server has about them.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Why a request got no response of the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    reason: &'static str,
}

/// Metrics of an upstream.
#[derive(Clone, Default)]
pub struct UpstreamMetrics {
    responses: Counter<u64, AtomicU64>,
    failures: Family<Labels, Counter>,
}

/// All reasons of failures.
const REASONS: [&str; 3] = [NOT_SENT, NO_RESPONSE, IDENTITY];
pub(crate) const NOT_SENT: &str = "not-sent";
pub(crate) const NO_RESPONSE: &str = "no-response";
pub(crate) const IDENTITY: &str = "identity";

impl UpstreamMetrics {
    /// Registers all metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "keepwatch_upstream_responses",
            "Responses of the API server behind the proxy",
            metrics.responses.clone(),
        );
        for reason in REASONS {
            drop(metrics.failures.get_or_create(&Labels { reason }));
        }
        registry.register(
            "keepwatch_upstream_failures",
            "Requests without a response of the API server behind the proxy, by reason",
            metrics.failures.clone(),
        );
        metrics
    }

    pub(crate) fn responded(&self) {
        self.responses.inc();
    }

    pub(crate) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Labels { reason }).inc();
    }
}
