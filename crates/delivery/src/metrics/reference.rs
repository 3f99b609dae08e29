//! One time series of each metric, from which the reference page of the metrics is generated.
//!
//! A server never calls this: there, a time series appears with its first value.

use detect::engine::{RuleStatistics, SuppressionStatistics};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::{JournalValues, Metrics};
use crate::detector::DetectorStatus;
use crate::notification;

/// Registers every metric of this crate with one time series each, so that an exposition has the labels
/// of all of them.
pub fn register_each(registry: &mut Registry) {
    let metrics = Metrics::default();
    let journal = JournalValues {
        lag: vec![(String::new(), 0)],
        used_bytes: 0,
        limit_bytes: 0,
        index_bytes: 0,
    };
    metrics.register_with(registry, Box::new(journal));
    let (_, status) = watch::channel(DetectorStatus {
        rules: vec![RuleStatistics::default()],
        suppressions: vec![SuppressionStatistics::default()],
        ..DetectorStatus::default()
    });
    metrics.follow_detector(status);
    metrics.init("");
    metrics.delivered("", 0);
    metrics.uploaded("", 0);
    notification::register_each(registry);
}
