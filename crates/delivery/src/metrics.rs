//! Metrics of the readers.

mod reference;

use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use store::Journal;
use store::event_index::EventIndex;
use tokio::sync::watch;

use crate::detector::{DETECTOR, DetectorStatus};
use crate::health::SinkStatus;

pub use reference::register_each;

/// The label with the name of a reader.
type Labels = [(&'static str, String); 1];

/// Counters by sink.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    delivered: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    unreadable: Family<Labels, Counter>,
    objects: Family<Labels, Counter>,
    object_bytes: Family<Labels, Counter>,
    index: Arc<OnceLock<IndexerState>>,
    detector: DetectorStatusCell,
}

/// The status of the detector, if there is one.
type DetectorStatusCell = Arc<OnceLock<watch::Receiver<DetectorStatus>>>;

/// The indexer and its index, if there is one.
type IndexerState = (Arc<SinkStatus>, Arc<EventIndex>);

impl Metrics {
    pub(crate) fn register(registry: &mut Registry, journal: Arc<dyn Journal>) -> Self {
        let metrics = Self::default();
        let (index, detector) = (Arc::clone(&metrics.index), Arc::clone(&metrics.detector));
        metrics.register_with(registry, Box::new(JournalCollector { journal, index, detector }));
        metrics
    }

    /// Registers everything, with `journal` for the metrics of the journal.
    fn register_with(&self, registry: &mut Registry, journal: Box<dyn Collector>) {
        let signals = SignalCollector { status: Arc::clone(&self.detector) };
        registry
            .sub_registry_with_prefix("keepwatch_detector")
            .register_collector(Box::new(signals));
        let registry = registry.sub_registry_with_prefix("keepwatch_delivery");
        registry.register("delivered", "Events delivered to a sink", self.delivered.clone());
        registry.register("errors", "Failed attempts to deliver", self.errors.clone());
        registry.register(
            "unreadable",
            "Damaged records; a gap event is delivered instead",
            self.unreadable.clone(),
        );
        registry.register("objects", "Objects uploaded to a bucket", self.objects.clone());
        registry.register(
            "object_bytes",
            "Compressed bytes of the objects uploaded to a bucket",
            self.object_bytes.clone(),
        );
        registry.register_collector(journal);
    }

    /// The index of events has no cursor in the journal.
    pub(crate) fn follow_index(&self, status: Arc<SinkStatus>, index: Arc<EventIndex>) {
        self.index.get_or_init(|| (status, index));
    }

    /// The detector keeps its own counters, and saves them with its state.
    pub(crate) fn follow_detector(&self, status: watch::Receiver<DetectorStatus>) {
        self.detector.get_or_init(|| status);
    }

    /// Exports a zero for the failures of a reader, so that the first one is visible as an
    /// increase.
    pub(crate) fn init(&self, reader: &str) {
        for family in [&self.errors, &self.unreadable] {
            drop(family.get_or_create(&labels(reader)));
        }
    }

    pub(crate) fn delivered(&self, sink: &str, events: usize) {
        self.delivered.get_or_create(&labels(sink)).inc_by(events as u64);
    }

    pub(crate) fn uploaded(&self, sink: &str, bytes: usize) {
        self.objects.get_or_create(&labels(sink)).inc();
        self.object_bytes.get_or_create(&labels(sink)).inc_by(bytes as u64);
    }

    /// Removes the metrics of a reader.
    pub(crate) fn remove_reader(&self, sink: &str) {
        let labels = labels(sink);
        for family in
            [&self.delivered, &self.errors, &self.unreadable, &self.objects, &self.object_bytes]
        {
            family.remove(&labels);
        }
    }

    pub(crate) fn failed(&self, sink: &str) {
        self.errors.get_or_create(&labels(sink)).inc();
    }

    pub(crate) fn unreadable(&self, sink: &str) {
        self.unreadable.get_or_create(&labels(sink)).inc();
    }
}

fn labels(sink: &str) -> Labels {
    [("sink", sink.to_owned())]
}

/// Reads the journal at each scrape, so that the value is right even for a reader that has stopped.
struct JournalCollector {
    journal: Arc<dyn Journal>,
    index: Arc<OnceLock<IndexerState>>,
    detector: DetectorStatusCell,
}

impl std::fmt::Debug for JournalCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lag")
    }
}

impl Collector for JournalCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let last = self.journal.last_seq();
        let readers = self.journal.readers().into_iter().map(|reader| (reader.name, reader.lag));
        let index = self.index.get().map(|(status, _)| status.health(last));
        // The detector's cursor is at its saved state, which is behind what it has read.
        let read = self.detector.get().map(|status| last.saturating_sub(status.borrow().seq));
        let detector = read.map(|lag| (DETECTOR.to_owned(), lag));
        let others = index.map(|health| (health.sink, health.lag)).into_iter().chain(detector);
        let health = self.journal.health();
        let values = JournalValues {
            lag: readers.chain(others).collect(),
            used_bytes: health.used_bytes,
            limit_bytes: health.limit_bytes,
            index_bytes: self.index.get().map_or(0, |(_, index)| index.bytes()),
        };
        values.encode(encoder)
    }
}

/// The values of the journal's metrics at one scrape.
#[derive(Debug)]
struct JournalValues {
    /// Events that each reader has not processed yet.
    lag: Vec<(String, u64)>,
    used_bytes: u64,
    limit_bytes: u64,
    index_bytes: u64,
}

impl Collector for JournalValues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let sizes = [
            ("journal_used_bytes", "Used bytes of the store", self.used_bytes),
            ("journal_limit_bytes", "Used bytes at which requests are rejected", self.limit_bytes),
            (
                "event_index_bytes",
                "Bytes of the index of events, which do not count toward the limit of the store",
                self.index_bytes,
            ),
        ];
        for (name, help, bytes) in sizes {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            let encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(encoder)?;
        }
        let lag: Family<Labels, Gauge> = Family::default();
        for (name, records) in &self.lag {
            lag.get_or_create(&labels(name)).set(i64::try_from(*records).unwrap_or(i64::MAX));
        }
        let help = "Events in the journal that a reader has not processed yet";
        let encoder = encoder.encode_descriptor("lag_events", help, None, lag.metric_type())?;
        lag.encode(encoder)
    }
}

/// Reads the status of the detector at each scrape.
#[derive(Debug)]
struct SignalCollector {
    status: DetectorStatusCell,
}

impl Collector for SignalCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(status) = self.status.get() else { return Ok(()) };
        let status = status.borrow().clone();
        let raised: Family<Labels, Counter> = Family::default();
        let open: Family<Labels, Gauge> = Family::default();
        for rule in status.rules {
            let labels = [("rule", rule.rule)];
            raised.get_or_create(&labels).inc_by(rule.signals);
            open.get_or_create(&labels).set(i64::try_from(rule.open).unwrap_or(i64::MAX));
        }
        let suppressed: Family<Labels, Counter> = Family::default();
        for suppression in status.suppressions {
            suppressed
                .get_or_create(&[("suppression", suppression.suppression)])
                .inc_by(suppression.signals);
        }
        let families: [(&str, &str, &dyn EncodeMetric); 3] = [
            ("signals", "Signals that a rule opened", &raised),
            ("open_signals", "Open signals of a rule", &open),
            ("suppressed_signals", "Signals that a suppression hid", &suppressed),
        ];
        for (name, help, family) in families {
            family.encode(encoder.encode_descriptor(name, help, None, family.metric_type())?)?;
        }
        Ok(())
    }
}
