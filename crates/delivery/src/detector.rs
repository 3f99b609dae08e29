//! The detector: a reader of the journal that turns events into signals.
//!
//! The engine is pure; this task feeds it, in the order of the journal, and commits what it says.
//! One transaction writes the objects of the signals that changed, a journal record for each change,
//! and the position up to which this is done. Now and then the same transaction saves the engine's
//! state. After a kill the engine starts from its saved state and reads on from there; what it says
//! about records up to the saved position is committed already and is passed over. So no signal is
//! lost or written twice, and the journal keeps every record that the engine may have to read again.
//!
//! Deliberately absent: what a signal looks like as an API object ([`SignalWriter`]), and how people
//! are notified: that is a reader of signals, not of the journal.

mod costs;
mod pending;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use detect::engine::{EngineStatistics, RuleStatistics, SuppressionStatistics};
use detect::{Engine, Input, RuleSet, SignalChange, Suppression};
use event::record::write_signal;
use event::signal::{ChangeKind, Signal, SignalSpec};
use event::term::RecordFields;
use event::{Timestamp, View};
use store::{ReadError, StoreError, Transaction};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Delivery;
use crate::backoff::Backoff;
use crate::health::SinkStatus;
use crate::notification::Clock;
use crate::reader::{BATCH_ROWS_MAX, Content, Entry, JournalReader, Stopped, drained};
use costs::Costs;
pub use costs::SAMPLE_PERIOD;
use pending::Pending;
use sink::DeliveryHealth;

/// Names the detector's cursor in the journal.
pub const DETECTOR: &str = "detector";
/// The engine's state is saved when so many records have been read since the last time …
pub const CHECKPOINT_RECORDS: u64 = 16_384;
/// … or so much time has passed and there are new records.
pub const CHECKPOINT_PERIOD: Duration = Duration::from_mins(1);
/// The same in a journal of which half is used.
pub const CHECKPOINT_PERIOD_MIN: Duration = Duration::from_secs(1);
/// How long statistics may lag behind the records that were read.
pub const STATUS_PERIOD: Duration = Duration::from_secs(5);
/// Signal changes in one transaction. A batch with more is committed in several.
pub const CHANGES_MAX: usize = 256;
/// How long records gather once the detector had read everything. Shorter than for sinks: people
/// wait for signals.
pub const DETECT_GATHER_TIME: Duration = Duration::from_millis(2);
/// While nothing is recorded, the detector looks at the time of day this often: signals end and silence
/// is found although no event comes.
pub const TIMER_PERIOD: Duration = Duration::from_secs(5);
/// The engine's clock stays so many microseconds behind the time of day then: an event gets its stage
/// timestamp a little before the store is asked to commit it.
const HANDOVER_TIME_MAX: i64 = 2_000_000;
/// The source of events that this server made.
pub const LOCAL_SOURCE: &str = "local";
/// An updated signal is written again at most this often, unless its severity rises: a mass deletion
/// updates its signal thousands of times a second.
pub const UPDATE_PERIOD: Duration = Duration::from_secs(1);

/// What the engine works with. Sent again whenever people change a rule or a suppression.
#[derive(Clone)]
pub struct DetectorRules {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// What is not to raise a signal.
    pub suppressions: Arc<[Suppression]>,
}

/// What became of the object of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was not there before.
    Created,
    /// It was there.
    Updated,
}

/// Writes signals as objects of the API, inside the detector's transaction.
pub trait SignalWriter: Send + Sync {
    /// Creates or updates the object of `signal`, and says which. `None` if what is stored already
    /// says as much: the change was committed before a crash.
    fn write(
        &self,
        transaction: &mut dyn Transaction,
        signal: &Signal,
        time: Timestamp,
    ) -> Option<Written>;
}

/// Adds to a signal what only a server that holds the objects knows.
#[async_trait]
pub trait Enricher: Send {
    /// Called once, before the first record is read.
    async fn start(&mut self);

    /// Called before an opened or updated signal is written.
    async fn enrich(&mut self, spec: &mut SignalSpec);
}

/// What is known of the detector from outside.
#[derive(Clone, Debug, Default)]
pub struct DetectorStatus {
    /// The last record that was read.
    pub seq: u64,
    /// What happened in the engine.
    pub engine: EngineStatistics,
    /// What each rule found.
    pub rules: Vec<RuleStatistics>,
    /// What each suppression hid.
    pub suppressions: Vec<SuppressionStatistics>,
    /// Nanoseconds that trying a rule on one event takes on average, by the id of the rule.
    pub costs: BTreeMap<String, u64>,
}

impl DetectorStatus {
    fn of(engine: &Engine, costs: &Costs, seq: u64) -> Self {
        Self {
            seq,
            costs: costs.by_rule(engine.rules()),
            engine: engine.engine_statistics(),
            rules: engine.statistics(),
            suppressions: engine.suppression_statistics(),
        }
    }
}

/// What a detector works with.
pub struct DetectorParts {
    /// Makes objects of signals.
    pub writer: Arc<dyn SignalWriter>,
    /// Adds what the objects of the store tell.
    pub enricher: Box<dyn Enricher>,
    /// The rules, and how they change.
    pub rules: watch::Receiver<DetectorRules>,
    /// The engine's bounds and lateness.
    pub settings: detect::Settings,
    /// The cluster that this server's own events are of; empty when unknown.
    pub cluster: String,
    /// The time of day.
    pub clock: Clock,
}

/// The reader of the journal that detects.
pub struct Detector {
    parts: DetectorParts,
    reader: JournalReader,
    engine: Engine,
    costs: Costs,
    pending: Pending,
    status: watch::Sender<DetectorStatus>,
    /// The last record that the engine has seen.
    position: u64,
    /// Changes up to this record were committed before the start.
    committed: u64,
    /// The record after which the saved state of the engine was taken.
    checkpoint: u64,
    checkpoint_at: Instant,
    published_at: Instant,
    /// Whether records were read since the statistics were published.
    has_news: bool,
    /// The commit time of the last record.
    time: Timestamp,
}

impl Delivery {
    /// The detector: it goes on where the last run saved the engine's state, or begins with the
    /// oldest record. To be run by the caller.
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
            status: watch::Sender::new(DetectorStatus::of(&engine, &costs, position)),
            costs,
            engine,
            position,
            committed: reader.state().parse().unwrap_or(position),
            checkpoint: position,
            checkpoint_at: Instant::now(),
            published_at: Instant::now(),
            has_news: false,
            time: Timestamp::default(),
            parts,
            reader,
        }
    }

    /// How it fares.
    pub fn status(&self) -> watch::Receiver<DetectorStatus> {
        self.status.subscribe()
    }

    /// Detects until `stop`, then reads what is there and saves the engine's state.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            Ok(()) | Err(Stopped) = self.detect(&stop) => {}
            () = drained(&stop) => {}
        }
    }

    async fn detect(&mut self, stop: &CancellationToken) -> Result<(), Stopped> {
        self.parts.enricher.start().await;
        loop {
            if self.parts.rules.has_changed().unwrap_or(false) {
                self.change_rules().await?;
            }
            let is_idle = !self.read_batch().await? && self.pass_time().await?;
            self.write_due(false).await?;
            if self.has_news && self.published_at.elapsed() >= STATUS_PERIOD {
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

    /// Until there is a record, an update is due, the rules have changed, or the server stops.
    async fn wait(&mut self, stop: &CancellationToken) -> Result<(), Stopped> {
        let due = self.pending.next_due();
        let follows_rules = self.parts.rules.has_changed().is_ok();
        tokio::select! {
            waited = self.reader.wait_past(self.position) => {
                waited?;
                // Commits follow each other closely under load: one look for several of them.
                tokio::time::sleep(DETECT_GATHER_TIME).await;
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            () = tokio::time::sleep_until(self.published_at + STATUS_PERIOD), if self.has_news => {}
            () = tokio::time::sleep(TIMER_PERIOD) => {}
            // Left for the loop to take up. Once the sender is gone, rules cannot change any more.
            Ok(()) = self.parts.rules.changed(), if follows_rules => self.parts.rules.mark_changed(),
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    /// Whether there are so many more that they are not worth waiting for others.
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
        self.has_news = true;
        let left = self.reader.journal().last_seq().saturating_sub(self.position);
        Ok(left >= BATCH_ROWS_MAX as u64)
    }

    fn process(&mut self, entry: &Entry) {
        self.position = entry.seq;
        self.time = entry.time().unwrap_or(self.time);
        // The engine knows its own signals.
        if entry.is_signal() {
            return;
        }
        let is_sample = self.costs.count();
        if !is_sample && self.pass_over(entry) {
            return;
        }
        let gap;
        let event = match self.reader.decoder().decode(entry, self.time) {
            Content::Event(event) => event,
            Content::Gap(event) => {
                gap = event;
                View::from(&*gap)
            }
            Content::Signal(_) => return,
        };
        let (source, cluster) = (LOCAL_SOURCE, self.parts.cluster.as_str());
        let input = Input { source, cluster, arrival: self.time, event: &event };
        if is_sample {
            self.costs.sample(self.engine.rules(), &event, cluster);
        }
        let mut changes = Vec::new();
        self.engine.process(&input, &mut changes);
        if self.position > self.committed {
            self.take(changes);
        }
    }

    /// Takes a record in with an event that no rule could match, as nearly all are: few of its fields are
    /// looked at. False if it has to be looked at as a whole.
    fn pass_over(&mut self, entry: &Entry) -> bool {
        let fields = entry.record().and_then(|record| RecordFields::of(&record.bytes));
        let Some(fields) = fields else { return false };
        let mut changes = Vec::new();
        let is_passed = self.engine.process_unmatched(&fields, self.time, &mut changes);
        if self.position > self.committed {
            self.take(changes);
        }
        is_passed
    }

    /// Time goes on although nothing is recorded. It must lead to the same signals as the next event
    /// would, only earlier. So it goes on only as far as no event can come any more that happened
    /// before: all that the store was asked to commit is committed, however long the disk takes, and read.
    /// False if there are records to be read first.
    async fn pass_time(&mut self) -> Result<bool, Stopped> {
        let now = (self.parts.clock)().as_micros().saturating_sub(HANDOVER_TIME_MAX);
        let time = Timestamp::from_micros(now);
        if time <= self.time || self.position < self.committed || !self.engine.is_due(time) {
            return Ok(true);
        }
        match self.reader.journal().submit(Box::new(|_| {})).await {
            Ok(_) => {}
            Err(StoreError::Closed) => return Err(Stopped),
            // Nothing can be written now; it is tried again later.
            Err(_) => return Ok(true),
        }
        if self.reader.journal().last_seq() > self.position {
            return Ok(false);
        }
        self.time = time;
        let mut changes = Vec::new();
        self.engine.advance(time, &mut changes);
        self.take(changes);
        Ok(true)
    }

    fn take(&mut self, changes: Vec<SignalChange>) {
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
                if change.kind != ChangeKind::Closed {
                    self.parts.enricher.enrich(&mut signal.spec).await;
                }
                enriched.push((change.kind, signal));
            }
            self.commit(enriched, None).await?;
        }
    }

    fn checkpoint_is_due(&self) -> bool {
        let read = self.position.saturating_sub(self.checkpoint);
        if read == 0 {
            return false;
        }
        // What is read again after a crash is held: in a journal that fills up, as little as may be.
        let has_room = self.reader.journal().health().condition == store::Condition::Well;
        let period = if has_room { CHECKPOINT_PERIOD } else { CHECKPOINT_PERIOD_MIN };
        read >= CHECKPOINT_RECORDS || self.checkpoint_at.elapsed() >= period
    }

    fn publish(&mut self) {
        (self.published_at, self.has_news) = (Instant::now(), false);
        let status = DetectorStatus::of(&self.engine, &self.costs, self.position);
        self.status.send_replace(status);
    }

    async fn save_checkpoint(&mut self) -> Result<(), Stopped> {
        self.publish();
        // Changes that wait would be lost with the records that led to them.
        self.write_due(true).await?;
        let chunks = self.engine.checkpoint();
        self.commit(Vec::new(), Some(chunks)).await
    }

    /// The engine goes on with other rules. Its state is saved at once, so that records before the
    /// change are not read again with the rules after it.
    async fn change_rules(&mut self) -> Result<(), Stopped> {
        let DetectorRules { rules, suppressions } = self.parts.rules.borrow_and_update().clone();
        self.engine.set_rules(rules);
        self.costs = Costs::default();
        self.engine.set_suppressions(suppressions);
        self.save_checkpoint().await
    }

    /// Writes signals and the position in one transaction, however long it takes.
    async fn commit(
        &mut self,
        changes: Vec<(ChangeKind, Signal)>,
        checkpoint: Option<Vec<Bytes>>,
    ) -> Result<(), Stopped> {
        let settled = self.pending.settled(self.position).max(self.committed);
        let kept_after = if checkpoint.is_some() { self.position } else { self.checkpoint };
        let changes = Arc::new(changes);
        let mut backoff = Backoff::default();
        loop {
            let (writer, changes) = (Arc::clone(&self.parts.writer), Arc::clone(&changes));
            let (chunks, time) = (checkpoint.clone(), self.time);
            let written = self.reader.journal().submit(Box::new(move |transaction| {
                for (kind, signal) in &*changes {
                    let Some(written) = writer.write(transaction, signal, time) else { continue };
                    // After a crash the engine may open a signal again that was written already.
                    let kind = match (written, kind) {
                        (Written::Updated, ChangeKind::Opened) => ChangeKind::Updated,
                        (_, kind) => *kind,
                    };
                    transaction.record(write_signal(kind, time, signal));
                }
                match chunks {
                    Some(chunks) => transaction.save_checkpoint(DETECTOR, kept_after, chunks),
                    None => transaction.advance(DETECTOR, kept_after, &settled.to_string()),
                }
            }));
            match written.await {
                Ok(_committed) => break,
                Err(StoreError::Closed) => return Err(Stopped),
                Err(error) => self.reader.back_off(&mut backoff, &error, None).await,
            }
        }
        self.reader.status().set_condition(DeliveryHealth::Delivering);
        if checkpoint.is_some() {
            (self.checkpoint, self.checkpoint_at) = (kept_after, Instant::now());
        }
        Ok(())
    }
}

/// An engine with the saved state, or a new one when that state cannot be read.
fn restore(rules: &Arc<RuleSet>, settings: &detect::Settings, chunks: &[Bytes]) -> Engine {
    Engine::restore(Arc::clone(rules), settings.clone(), chunks).unwrap_or_else(|error| {
        tracing::error!(%error, "the detector's saved state cannot be read; it starts without it");
        Engine::new(Arc::clone(rules), settings.clone())
    })
}

/// Why a detector was not opened.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// Its cursor was not found.
    #[error("cannot find the detector's place in the journal")]
    Cursor(#[from] StoreError),
    /// Its saved state was not read.
    #[error("cannot read the detector's saved state")]
    Checkpoint(#[from] ReadError),
}
