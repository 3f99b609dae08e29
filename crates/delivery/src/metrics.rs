//! What the readers count.

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

/// The sink a number belongs to.
type Labels = [(&'static str, String); 1];

/// Counters by sink.
#[derive(Clone)]
pub(crate) struct Metrics {
    delivered: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    unreadable: Family<Labels, Counter>,
    objects: Family<Labels, Counter>,
    object_bytes: Family<Labels, Counter>,
    index: Arc<OnceLock<Indexing>>,
    detector: Followed,
}

/// What the detector says of itself, once there is one.
type Followed = Arc<OnceLock<watch::Receiver<DetectorStatus>>>;

/// How the reader that fills the index of events fares, and the index.
type Indexing = (Arc<SinkStatus>, Arc<EventIndex>);

impl Metrics {
    pub(crate) fn register(registry: &mut Registry, journal: Arc<dyn Journal>) -> Self {
        let metrics = Self {
            delivered: Family::default(),
            errors: Family::default(),
            unreadable: Family::default(),
            objects: Family::default(),
            object_bytes: Family::default(),
            index: Arc::default(),
            detector: Arc::default(),
        };
        let signals = Signals { status: Arc::clone(&metrics.detector) };
        registry
            .sub_registry_with_prefix("keepwatch_detector")
            .register_collector(Box::new(signals));
        let registry = registry.sub_registry_with_prefix("keepwatch_delivery");
        registry.register("delivered", "Events that a sink has", metrics.delivered.clone());
        registry.register("errors", "Attempts at delivery that failed", metrics.errors.clone());
        registry.register(
            "unreadable",
            "Records that could not be read; a line says so in their place",
            metrics.unreadable.clone(),
        );
        registry.register("objects", "Objects that a bucket has", metrics.objects.clone());
        registry.register(
            "object_bytes",
            "Compressed bytes of objects that a bucket has",
            metrics.object_bytes.clone(),
        );
        let (index, detector) = (Arc::clone(&metrics.index), Arc::clone(&metrics.detector));
        registry.register_collector(Box::new(Lag { journal, index, detector }));
        metrics
    }

    /// The index of events has no cursor of its own in the journal.
    pub(crate) fn follow_index(&self, status: Arc<SinkStatus>, index: Arc<EventIndex>) {
        self.index.get_or_init(|| (status, index));
    }

    /// The detector counts by itself, and keeps its counts with its state.
    pub(crate) fn follow_detector(&self, status: watch::Receiver<DetectorStatus>) {
        self.detector.get_or_init(|| status);
    }

    /// Failures of a reader are counted from zero on, so that the first one is seen as one more.
    pub(crate) fn begin(&self, reader: &str) {
        for family in [&self.errors, &self.unreadable] {
            drop(family.get_or_create(&of(reader)));
        }
    }

    pub(crate) fn delivered(&self, sink: &str, events: usize) {
        self.delivered.get_or_create(&of(sink)).inc_by(events as u64);
    }

    pub(crate) fn uploaded(&self, sink: &str, bytes: usize) {
        self.objects.get_or_create(&of(sink)).inc();
        self.object_bytes.get_or_create(&of(sink)).inc_by(bytes as u64);
    }

    /// Nothing more comes of a sink.
    pub(crate) fn forget(&self, sink: &str) {
        let of = of(sink);
        for family in
            [&self.delivered, &self.errors, &self.unreadable, &self.objects, &self.object_bytes]
        {
            family.remove(&of);
        }
    }

    pub(crate) fn failed(&self, sink: &str) {
        self.errors.get_or_create(&of(sink)).inc();
    }

    pub(crate) fn unreadable(&self, sink: &str) {
        self.unreadable.get_or_create(&of(sink)).inc();
    }
}

fn of(sink: &str) -> Labels {
    [("sink", sink.to_owned())]
}

/// Asks the journal at each scrape, so that the number is right even for a sink that has stopped.
struct Lag {
    journal: Arc<dyn Journal>,
    index: Arc<OnceLock<Indexing>>,
    detector: Followed,
}

impl std::fmt::Debug for Lag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lag")
    }
}

impl Collector for Lag {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let lag: Family<Labels, Gauge> = Family::default();
        let last = self.journal.last_seq();
        let readers = self.journal.readers().into_iter().map(|reader| (reader.name, reader.lag));
        let index = self.index.get().map(|(status, _)| status.health(last));
        // The cursor of the detector is behind what it has read, by as much as its saved state is.
        let read = self.detector.get().map(|status| last.saturating_sub(status.borrow().seq));
        let detector = read.map(|lag| (DETECTOR.to_owned(), lag));
        let others = index.map(|health| (health.sink, health.lag)).into_iter().chain(detector);
        for (name, records) in readers.chain(others) {
            let value = i64::try_from(records).unwrap_or(i64::MAX);
            lag.get_or_create(&of(&name)).set(value);
        }
        let health = self.journal.health();
        let sizes = [
            ("journal_used_bytes", "Bytes of the store in use", health.used_bytes),
            ("journal_limit_bytes", "Bytes at which requests are refused", health.limit_bytes),
            (
                "event_index_bytes",
                "Bytes of the index of events, which count for no limit",
                self.index.get().map_or(0, |(_, index)| index.bytes()),
            ),
        ];
        for (name, help, bytes) in sizes {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            let encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(encoder)?;
        }
        let help = "Events in the journal that a sink has not got yet";
        let metric_type = ConstGauge::new(0_i64).metric_type();
        let encoder = encoder.encode_descriptor("lag_events", help, None, metric_type)?;
        lag.encode(encoder)
    }
}

/// Asks the detector at each scrape.
#[derive(Debug)]
struct Signals {
    status: Followed,
}

impl Collector for Signals {
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
        for it in status.suppressions {
            suppressed.get_or_create(&[("suppression", it.suppression)]).inc_by(it.signals);
        }
        let families: [(&str, &str, &dyn EncodeMetric); 3] = [
            ("signals", "Signals that a rule has opened", &raised),
            ("open_signals", "Signals of a rule that are open", &open),
            (
                "suppressed_signals",
                "Signals that a suppression kept from being raised",
                &suppressed,
            ),
        ];
        for (name, help, family) in families {
            family.encode(encoder.encode_descriptor(name, help, None, family.metric_type())?)?;
        }
        Ok(())
    }
}
