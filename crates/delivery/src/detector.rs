//! The detector: a reader of the journal that turns events into signals.
//!
//! The engine is pure; this task feeds it in the order of the journal and commits the changes it
//! returns. One transaction writes the objects of the changed signals, a journal record for each
//! change, and the position of the last processed record. From time to time the same transaction
//! saves the engine's state. After a crash the engine continues from its saved state; changes for
//! records up to the saved position are committed already and are skipped. So no signal is lost or
//! written twice, and the journal keeps every record that the engine may have to read again.
//!
//! Deliberately absent: signals as API objects ([`SignalWriter`]), and notifications, which are
//! sent by a reader of signals, not of the journal.

mod costs;
mod pending;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use detect::engine::{EngineStatistics, RuleStatistics, SuppressionStatistics};
use detect::{Engine, Input, RuleSet, SignalChange, Suppression};
use event::annotations::{SOURCE, SOURCE_CLUSTER};
use event::record::write_signal;
use event::signal::{ChangeKind, Signal, Target};
use event::term::RecordFields;
use event::{EventRef, Timestamp};
use store::{ReadError, StoreError, Transaction};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Delivery;
use crate::backoff::Backoff;
use crate::health::SinkStatus;
use crate::notification::Clock;
use crate::reader::{
    BATCH_ROWS_MAX, Content, Entry, JournalReader, Stopped, drain_deadline, is_lost_cursor,
};
use costs::Costs;
pub use costs::SAMPLE_PERIOD;
use pending::Pending;
use sink::DeliveryHealth;

/// Name of the detector's cursor in the journal.
pub const DETECTOR: &str = "detector";
/// Number of records after which the engine's state is saved.
pub const CHECKPOINT_RECORDS: u64 = 16_384;
/// Time after which the engine's state is saved if there are new records.
pub const CHECKPOINT_PERIOD: Duration = Duration::from_mins(1);
/// [`CHECKPOINT_PERIOD`] while the store is at least half full, so that the journal can be trimmed
/// sooner.
pub const CHECKPOINT_PERIOD_MIN: Duration = Duration::from_secs(1);
/// The longest delay of published statistics.
pub const STATUS_PERIOD: Duration = Duration::from_secs(5);
/// The maximum number of signal changes in a transaction.
pub const CHANGES_MAX: usize = 256;
/// Delay before the next read once the detector has read everything. Shorter than that of sinks,
/// because signals are urgent.
pub const DETECT_GATHER_TIME: Duration = Duration::from_millis(2);
/// Interval at which the detector advances the engine's clock while nothing is recorded, so that
/// signals end, and missing events are detected, without a new event.
pub const TIMER_PERIOD: Duration = Duration::from_secs(5);
/// Lag of the engine's clock behind the current time in this case, in microseconds. An event gets
/// its stage timestamp shortly before it is committed.
const COMMIT_DELAY_MAX: i64 = 2_000_000;
/// The source of events that this server created.
pub const LOCAL_SOURCE: &str = "local";
/// The shortest time between two writes of an updated signal, unless its severity rises: a mass
/// deletion updates its signal thousands of times per second.
pub const UPDATE_PERIOD: Duration = Duration::from_secs(1);

/// The configuration of the engine. Sent again when a rule or a suppression changes.
#[derive(Clone)]
pub struct DetectorRules {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Suppressions, which prevent signals.
    pub suppressions: Arc<[Suppression]>,
}

/// The result of writing the object of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The object was created.
    Created,
    /// The object existed.
    Updated,
}

/// Writes signals as objects of the API, inside the detector's transaction.
pub trait SignalWriter: Send + Sync {
    /// Creates or updates the object of `signal`. Returns `None` if the stored object already has
    /// the change, because it was committed before a crash.
    fn write(
        &self,
        transaction: &mut dyn Transaction,
        signal: &Signal,
        time: Timestamp,
    ) -> Option<Written>;
}

/// Adds information from the served objects to a signal.
#[async_trait]
pub trait Enricher: Send {
    /// Called once, before the first record is read.
    async fn start(&mut self);

    /// Called before a signal is written. `unlisted` contains objects of its new events that the
    /// signal does not list.
    async fn enrich(&mut self, signal: &mut Signal, unlisted: &[Target]);
}

/// The published state of the detector.
#[derive(Clone, Debug, Default)]
pub struct DetectorStatus {
    /// Sequence number of the last record that was read.
    pub seq: u64,
    /// Statistics of the engine.
    pub engine: EngineStatistics,
    /// Statistics of each rule.
    pub rules: Vec<RuleStatistics>,
    /// Statistics of each suppression.
    pub suppressions: Vec<SuppressionStatistics>,
    /// Average time in nanoseconds to match a rule against one event, by the id of the rule.
    pub costs: BTreeMap<String, u64>,
}

impl DetectorStatus {
    fn new(engine: &Engine, costs: &Costs, seq: u64) -> Self {
        Self {
            seq,
            costs: costs.by_rule(engine.rules()),
            engine: engine.engine_statistics(),
            rules: engine.statistics(),
            suppressions: engine.suppression_statistics(),
        }
    }
}

/// The parts of a detector.
pub struct DetectorParts {
    /// Writes the objects of signals.
    pub writer: Arc<dyn SignalWriter>,
    /// Adds information from the objects of the store.
    pub enricher: Box<dyn Enricher>,
    /// The current rules.
    pub rules: watch::Receiver<DetectorRules>,
    /// The engine's limits and allowed lateness.
    pub settings: detect::Settings,
    /// Name of the cluster of this server's own events; empty if unknown. Events of other sources
    /// contain the name of their cluster.
    pub cluster: String,
    /// The current time.
    pub clock: Clock,
}

/// The reader of the journal that detects signals.
pub struct Detector {
    parts: DetectorParts,
    reader: JournalReader,
    engine: Engine,
    costs: Costs,
    pending: Pending,
    status: watch::Sender<DetectorStatus>,
    /// Sequence number of the last record that the engine has processed.
    position: u64,
    /// Changes for records up to this one were committed before the start.
    committed: u64,
    /// Sequence number of the last record in the saved state of the engine.
    checkpoint_seq: u64,
    checkpoint_at: Instant,
    published_at: Instant,
    /// Whether records were read since the statistics were published.
    has_changed: bool,
    /// The commit time of the last record.
    time: Timestamp,
}

impl Delivery {
    /// The detector. It continues where the last run saved the engine's state, or starts with the
    /// oldest record. The caller runs it.
    pub async fn detector(&mut self, parts: DetectorParts) -> Result<Detector, DetectorError> {
        let first = self.journal.first_seq().saturating_sub(1);
        let cursor = self.journal.register(DETECTOR, first).await?;
        let saved = self.journal.checkpoint(DETECTOR).await?;
        let status = Arc::new(SinkStatus::new(DETECTOR));
        self.detector = Some(Arc::clone(&status));
        let (journal, metrics) = (Arc::clone(&self.journal), self.metrics.clone());
        let reader = JournalReader::new(DETECTOR, journal, metrics, status, cursor);
        let detector = Detector::new(parts, reader, saved);
        self.metrics.follow_detector(detector.status());
        Ok(detector)
    }
}

impl Detector {
    fn new(parts: DetectorParts, reader: JournalReader, saved: Option<Vec<Bytes>>) -> Self {
        let DetectorRules { rules, suppressions } = parts.rules.borrow().clone();
        let mut engine = match saved {
            Some(chunks) => restore(&rules, &parts.settings, &chunks),
            None => Engine::new(rules, parts.settings.clone()),
        };
        engine.set_suppressions(suppressions);
        let (position, costs) = (reader.seq(), Costs::default());
        Self {
            pending: Pending::default(),
            status: watch::Sender::new(DetectorStatus::new(&engine, &costs, position)),
            costs,
            engine,
            position,
            committed: reader.state().parse().unwrap_or(position),
            checkpoint_seq: position,
            checkpoint_at: Instant::now(),
            published_at: Instant::now(),
            has_changed: false,
            time: Timestamp::default(),
            parts,
            reader,
        }
    }

    /// The published state.
    pub fn status(&self) -> watch::Receiver<DetectorStatus> {
        self.status.subscribe()
    }

    /// Detects until `stop`, then processes the remaining records and saves the engine's state.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            Ok(()) | Err(Stopped) = self.detect(&stop) => {}
            () = drain_deadline(&stop) => {}
        }
    }

    async fn detect(&mut self, stop: &CancellationToken) -> Result<(), Stopped> {
        self.parts.enricher.start().await;
        loop {
            if self.parts.rules.has_changed().unwrap_or(false) {
                self.change_rules().await?;
            }
            let is_idle = !self.read_batch().await? && self.advance_time().await?;
            self.write_due(false).await?;
            if self.has_changed && self.published_at.elapsed() >= STATUS_PERIOD {
                self.publish();
            }
            if self.checkpoint_is_due() {
                self.save_checkpoint().await?;
            }
            if !is_idle {
                continue;
            }
            if !stop.is_cancelled() {
                self.wait(stop).await?;
            } else if self.reader.journal().last_seq() <= self.position {
                return self.save_checkpoint().await;
            }
        }
    }

    /// Waits for a record, an update that is due, a change of the rules, or shutdown.
    async fn wait(&mut self, stop: &CancellationToken) -> Result<(), Stopped> {
        let due = self.pending.next_due();
        let follows_rules = self.parts.rules.has_changed().is_ok();
        tokio::select! {
            waited = self.reader.wait_past(self.position) => {
                waited?;
                // Under load commits follow each other closely, so several are read at once.
                tokio::time::sleep(DETECT_GATHER_TIME).await;
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            () = tokio::time::sleep_until(self.published_at + STATUS_PERIOD), if self.has_changed => {}
            () = tokio::time::sleep(TIMER_PERIOD) => {}
            // The loop handles the change. After the sender is dropped, rules do not change any
            // more.
            Ok(()) = self.parts.rules.changed(), if follows_rules => self.parts.rules.mark_changed(),
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    /// Reads and processes a batch. Returns whether at least one more full batch is available.
    async fn read_batch(&mut self) -> Result<bool, Stopped> {
        let entries = self.reader.next(self.position).await?;
        for entry in &entries {
            self.process(entry);
        }
        if entries.is_empty() {
            return Ok(false);
        }
        self.reader.status().set_seq(self.position);
        self.status.send_modify(|status| status.seq = self.position);
        self.has_changed = true;
        let unread = self.reader.journal().last_seq().saturating_sub(self.position);
        Ok(unread >= BATCH_ROWS_MAX as u64)
    }

    fn process(&mut self, entry: &Entry) {
        self.position = entry.seq;
        self.time = entry.time().unwrap_or(self.time);
        // The engine created the signals itself.
        if entry.is_signal() {
            return;
        }
        let is_sample = self.costs.count();
        if !is_sample && self.process_unmatched(entry) {
            return;
        }
        let gap;
        let event = match self.reader.decoder().decode(entry, self.time) {
            Content::Event(event) => event,
            Content::Gap(event) => {
                gap = event;
                EventRef::from(&*gap)
            }
            Content::Signal(_) | Content::Raw(_) => return,
        };
        let source = event.annotation(SOURCE).unwrap_or(LOCAL_SOURCE);
        let cluster = event.annotation(SOURCE_CLUSTER).unwrap_or(&self.parts.cluster);
        let input = Input { source, cluster, arrival: self.time, event: &event };
        if is_sample {
            self.costs.sample(self.engine.rules(), &event, cluster);
        }
        let mut changes = Vec::new();
        self.engine.process(&input, &mut changes);
        if self.position > self.committed {
            self.add_changes(changes);
        }
    }

    /// Processes an event that no rule can match from a few of its fields, which is the common
    /// case. Returns false if the whole event is needed.
    fn process_unmatched(&mut self, entry: &Entry) -> bool {
        let fields = entry.record().and_then(|record| RecordFields::parse(&record.bytes));
        let Some(fields) = fields else { return false };
        let mut changes = Vec::new();
        let is_processed = self.engine.process_unmatched(&fields, self.time, &mut changes);
        if self.position > self.committed {
            self.add_changes(changes);
        }
        is_processed
    }

    /// Advances the engine's clock while nothing is recorded. The next event would raise the same
    /// signals later. So the clock advances only to a time before which no further event can be
    /// recorded: all pending commits have finished and have been read. Returns false if there are
    /// records to read first.
    async fn advance_time(&mut self) -> Result<bool, Stopped> {
        let now = (self.parts.clock)().as_micros().saturating_sub(COMMIT_DELAY_MAX);
        let time = Timestamp::from_micros(now);
        if time <= self.time || self.position < self.committed || !self.engine.is_due(time) {
            return Ok(true);
        }
        match self.reader.journal().submit(Box::new(|_| {})).await {
            Ok(_) => {}
            Err(StoreError::Closed) => return Err(Stopped),
            // The store cannot write at present; the write is retried later.
            Err(_) => return Ok(true),
        }
        if self.reader.journal().last_seq() > self.position {
            return Ok(false);
        }
        self.time = time;
        let mut changes = Vec::new();
        self.engine.advance(time, &mut changes);
        self.add_changes(changes);
        Ok(true)
    }

    fn add_changes(&mut self, changes: Vec<SignalChange>) {
        let now = Instant::now();
        for change in changes {
            self.pending.add(change, self.position, now);
        }
    }

    async fn write_due(&mut self, all: bool) -> Result<(), Stopped> {
        loop {
            let changes = self.pending.take_due(Instant::now(), all, CHANGES_MAX);
            if changes.is_empty() {
                return Ok(());
            }
            let mut enriched = Vec::with_capacity(changes.len());
            for change in changes {
                let mut signal = Arc::unwrap_or_clone(change.signal);
                self.parts.enricher.enrich(&mut signal, &change.unlisted).await;
                enriched.push((change.kind, signal));
            }
            self.commit(enriched, None).await?;
        }
    }

    fn checkpoint_is_due(&self) -> bool {
        let unsaved = self.position.saturating_sub(self.checkpoint_seq);
        if unsaved == 0 {
            return false;
        }
        // The journal retains the records after the checkpoint, so checkpoints are frequent if it
        // is nearly full.
        let has_space = self.reader.journal().health().condition == store::Condition::Healthy;
        let period = if has_space { CHECKPOINT_PERIOD } else { CHECKPOINT_PERIOD_MIN };
        unsaved >= CHECKPOINT_RECORDS || self.checkpoint_at.elapsed() >= period
    }

    fn publish(&mut self) {
        (self.published_at, self.has_changed) = (Instant::now(), false);
        let status = DetectorStatus::new(&self.engine, &self.costs, self.position);
        self.status.send_replace(status);
    }

    async fn save_checkpoint(&mut self) -> Result<(), Stopped> {
        self.publish();
        // Pending changes would be lost, because the records that caused them are not read again.
        self.write_due(true).await?;
        let chunks = self.engine.checkpoint();
        self.commit(Vec::new(), Some(chunks)).await
    }

    /// Replaces the rules of the engine. Its state is saved immediately, so that a restart does not
    /// evaluate records from before the change with the new rules.
    async fn change_rules(&mut self) -> Result<(), Stopped> {
        let DetectorRules { rules, suppressions } = self.parts.rules.borrow_and_update().clone();
        self.engine.set_rules(rules);
        self.costs = Costs::default();
        self.engine.set_suppressions(suppressions);
        self.save_checkpoint().await
    }

    /// Writes signals and the position in one transaction. Retries until it succeeds.
    async fn commit(
        &mut self,
        changes: Vec<(ChangeKind, Signal)>,
        checkpoint: Option<Vec<Bytes>>,
    ) -> Result<(), Stopped> {
        let written_seq = self.pending.written_up_to(self.position).max(self.committed);
        let cursor_seq = if checkpoint.is_some() { self.position } else { self.checkpoint_seq };
        let changes = Arc::new(changes);
        let mut backoff = Backoff::default();
        loop {
            let (writer, changes) = (Arc::clone(&self.parts.writer), Arc::clone(&changes));
            let (chunks, time) = (checkpoint.clone(), self.time);
            let commit = self.reader.journal().submit(Box::new(move |transaction| {
                for (kind, signal) in &*changes {
                    let Some(written) = writer.write(transaction, signal, time) else { continue };
                    // After a crash the engine may open a signal again that was already written.
                    let kind = match (written, kind) {
                        (Written::Updated, ChangeKind::Opened) => ChangeKind::Updated,
                        (_, kind) => *kind,
                    };
                    transaction.append(write_signal(kind, time, signal));
                }
                match chunks {
                    Some(chunks) => transaction.save_checkpoint(DETECTOR, cursor_seq, chunks),
                    None => transaction.advance(DETECTOR, cursor_seq, &written_seq.to_string()),
                }
            }));
            match commit.await {
                Ok(_committed) => break,
                Err(StoreError::Closed) => return Err(Stopped),
                Err(error) if is_lost_cursor(&error) => {
                    self.reader.report_lost_cursor(&error);
                    return Err(Stopped);
                }
                Err(error) => self.reader.back_off(&mut backoff, &error, None).await,
            }
        }
        self.reader.status().set_condition(DeliveryHealth::Delivering);
        if checkpoint.is_some() {
            (self.checkpoint_seq, self.checkpoint_at) = (cursor_seq, Instant::now());
        }
        Ok(())
    }
}

/// An engine with the saved state, or a new one if the state cannot be read.
fn restore(rules: &Arc<RuleSet>, settings: &detect::Settings, chunks: &[Bytes]) -> Engine {
    Engine::restore(Arc::clone(rules), settings.clone(), chunks).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot read the detector's saved state; starting without it");
        Engine::new(Arc::clone(rules), settings.clone())
    })
}

/// Why the detector cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// Its cursor cannot be read.
    #[error("cannot read the detector's cursor")]
    Cursor(#[from] StoreError),
    /// Its saved state cannot be read.
    #[error("cannot read the detector's saved state")]
    Checkpoint(#[from] ReadError),
}
