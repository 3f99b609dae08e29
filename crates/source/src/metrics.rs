//! Metrics of the sources, read from their states at each scrape.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::listener::{Refusals, Webhook};
use crate::status::{SourceSnapshot, SourceStatus};

/// The label with the name of a source, of which there are as many as are configured.
type Labels = [(&'static str, String); 1];

/// Registers the metrics of these sources.
pub fn register(registry: &mut Registry, sources: Vec<Arc<SourceStatus>>) {
    let registry = registry.sub_registry_with_prefix("keepwatch_source");
    registry.register_collector(Box::new(SourceMetrics(sources)));
}

/// Registers the counts of the senders that a listener refused.
pub fn register_refusals(registry: &mut Registry, refusals: &Refusals) {
    let (name, help) = match refusals.webhook() {
        Webhook::Audit => (
            "refused_senders",
            "Connections and requests to the audit webhook that were refused before their source was known",
        ),
        Webhook::Admission => (
            "refused_admission_senders",
            "Connections and requests to the admission webhook that were refused before their source was known",
        ),
    };
    let registry = registry.sub_registry_with_prefix("keepwatch_source");
    registry.register(name, help, refusals.counts());
}

/// Registers every metric of this crate with one time series each, for the reference page.
pub fn register_each(registry: &mut Registry) {
    for webhook in [Webhook::Audit, Webhook::Admission] {
        register_refusals(registry, &Refusals::new(webhook));
    }
    register(registry, vec![Arc::new(SourceStatus::new("", "", ""))]);
}

struct SourceMetrics(Vec<Arc<SourceStatus>>);

impl fmt::Debug for SourceMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceMetrics")
    }
}

/// A count: its name, help text and value.
type Count = (&'static str, &'static str, fn(&SourceSnapshot) -> u64);

/// A value that rises and falls: its name, help text and value.
type Value = (&'static str, &'static str, fn(&SourceSnapshot) -> i64);

const COUNTS: [Count; 7] = [
    ("received_events", "Events that a source sent, with duplicates", |source| source.received),
    ("recorded_events", "Events of a source that were recorded", |source| source.recorded),
    ("duplicate_events", "Events of a source that were recorded before", |source| {
        source.duplicates
    }),
    (
        "quarantined_events",
        "Texts of a source that are not events; their beginning is recorded",
        |source| source.quarantined,
    ),
    (
        "rejected_requests",
        "Requests of a source that were rejected, and failed attempts to record lines of a log",
        |source| source.rejected,
    ),
    ("read_objects", "Objects of a bucket that were read to their end", |source| {
        source.objects.objects
    }),
    (
        "other_records",
        "Records of other logs in the objects of a bucket, which are not recorded",
        |source| source.objects.other,
    ),
];

const VALUES: [Value; 3] = [
    (
        "waiting_objects",
        "Objects of the last listing of a bucket that are not read yet",
        |source| i64::try_from(source.objects.waiting).unwrap_or(i64::MAX),
    ),
    (
        "last_event_timestamp_seconds",
        "Stage timestamp of the newest event of a source; 0 before the first",
        |source| source.last_event.map_or(0, |time| time.as_micros() / 1_000_000),
    ),
    (
        "lag_seconds",
        "Time between the newest event of the last request of a source and its commit",
        |source| source.lag.map_or(0, |lag| i64::try_from(lag.as_secs()).unwrap_or(i64::MAX)),
    ),
];

impl Collector for SourceMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sources: Vec<SourceSnapshot> = self.0.iter().map(|source| source.snapshot()).collect();
        for (name, help, value) in COUNTS {
            let family: Family<Labels, Counter> = Family::default();
            for source in &sources {
                family.get_or_create(&labels(source)).inc_by(value(source));
            }
            let encoder = encoder.encode_descriptor(name, help, None, family.metric_type())?;
            family.encode(encoder)?;
        }
        for (name, help, value) in VALUES {
            let family: Family<Labels, Gauge> = Family::default();
            for source in &sources {
                family.get_or_create(&labels(source)).set(value(source));
            }
            let encoder = encoder.encode_descriptor(name, help, None, family.metric_type())?;
            family.encode(encoder)?;
        }
        Ok(())
    }
}

fn labels(source: &SourceSnapshot) -> Labels {
    [("source", source.name.clone())]
}
