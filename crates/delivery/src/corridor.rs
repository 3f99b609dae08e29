//! One reader of the journal: reads behind its cursor, makes lines, delivers, moves the cursor.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use event::{Timestamp, View};
use sink::{Batch, DeliverError, Draft, Sink, chain};
use store::{Journal, ReadError, Record, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, WAIT_MAX};
use crate::gap;
use crate::health::{Condition, Pulse};
use crate::metrics::Metrics;

/// Records in a batch.
pub const BATCH_ROWS_MAX: usize = 512;
/// Bytes of lines in a batch; the line that passes it is the last one in. So many bytes of records,
/// in which bodies are compressed, are read ahead.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long a sink that has everything lets more gather before it looks again, so that it is not
/// asked to write and flush for each request of a busy server. What comes after a silence goes at once.
pub const GATHER_TIME: Duration = Duration::from_millis(10);
/// How long a sink may take to get the rest when the server stops.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

/// The way from the journal to one sink.
pub struct Corridor {
    journal: Arc<dyn Journal>,
    sink: Box<dyn Sink>,
    metrics: Metrics,
    pulse: Arc<Pulse>,
    nudge: Arc<Notify>,
    seq: u64,
    state: String,
    /// When the last record was committed: the time of a record that cannot be read.
    time: Timestamp,
    /// Records that were read and found no room in a batch yet.
    ahead: VecDeque<Record>,
}

/// The corridor has come to its end; nothing went wrong.
struct End;

impl Corridor {
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        sink: Box<dyn Sink>,
        metrics: Metrics,
        pulse: Arc<Pulse>,
        nudge: Arc<Notify>,
    ) -> Self {
        Self {
            journal,
            sink,
            metrics,
            pulse,
            nudge,
            seq: 0,
            state: String::new(),
            time: Timestamp::default(),
            ahead: VecDeque::new(),
        }
    }

    /// Delivers until `stop`, and then what is there at that moment, if the sink takes it in time.
    pub async fn run(mut self, stop: CancellationToken) {
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN_MAX).await;
        };
        tokio::select! {
            End = self.follow(&stop) => {}
            () = deadline => {}
        }
        let lag = self.lag();
        if lag > 0 {
            let sink = self.sink.name();
            tracing::warn!(
                sink,
                lag,
                "sink stopped before it had everything; it goes on at the next start"
            );
        }
    }

    async fn follow(&mut self, stop: &CancellationToken) -> End {
        match self.deliver_all(stop).await {
            Ok(()) | Err(End) => End,
        }
    }

    async fn deliver_all(&mut self, stop: &CancellationToken) -> Result<(), End> {
        self.begin().await?;
        loop {
            let mut batch = self.next_batch().await?;
            if batch.is_empty() {
                if stop.is_cancelled() {
                    return self.keep(true).await;
                }
                tokio::select! {
                    last = self.journal.wait_past(self.seq) => drop(last.map_err(|_closed| End)?),
                    () = self.nudge.notified() => self.deliver(&mut batch).await?,
                    () = stop.cancelled() => {}
                }
            }
            while !batch.is_empty() {
                self.deliver(&mut batch).await?;
            }
            if self.ahead.is_empty() && self.lag() < BATCH_ROWS_MAX as u64 {
                tokio::select! {
                    () = tokio::time::sleep(GATHER_TIME) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// Records that are not delivered yet.
    fn lag(&self) -> u64 {
        self.journal.last_seq().saturating_sub(self.seq)
    }

    /// Finds the cursor, and lets the sink find its place.
    async fn begin(&mut self) -> Result<(), End> {
        let mut backoff = Backoff::default();
        let cursor = loop {
            match self.journal.register(self.sink.name(), 0).await {
                Ok(cursor) => break cursor,
                Err(StoreError::Closed) => return Err(End),
                Err(error) => self.wait(&mut backoff, &error, None).await,
            }
        };
        self.seq = cursor.seq;
        self.state = cursor.state;
        self.pulse.set_seq(self.seq);
        let mut backoff = Backoff::default();
        while let Err(error) = self.sink.resume(&self.state).await {
            self.after_failure(error, &mut backoff).await?;
        }
        self.pulse.set_condition(Condition::Delivering);
        Ok(())
    }

    /// The next lines; none if there is nothing to deliver now.
    async fn next_batch(&mut self) -> Result<Batch, End> {
        let mut backoff = Backoff::default();
        while self.ahead.is_empty() {
            match self.journal.read(self.seq, BATCH_ROWS_MAX, BATCH_BYTES_MAX).await {
                Ok(records) if records.is_empty() => return Ok(Batch::default()),
                Ok(records) => self.ahead = records.into(),
                Err(ReadError::Damaged { what, number }) => {
                    let mut draft = Draft::default();
                    self.push_gap(&mut draft, number, &format!("{what} is damaged on disk"));
                    return Ok(draft.finish());
                }
                Err(ReadError::Closed) => return Err(End),
                Err(error) => self.wait(&mut backoff, &error, None).await,
            }
        }
        let mut draft = Draft::default();
        while draft.bytes() < BATCH_BYTES_MAX
            && let Some(record) = self.ahead.pop_front()
        {
            self.push(&mut draft, &record);
        }
        Ok(draft.finish())
    }

    fn push(&mut self, draft: &mut Draft, record: &Record) {
        self.time = Timestamp::from_micros(record.time);
        match &View::of(&record.bytes) {
            Ok(event) => draft.push(record.seq, |lines| self.sink.encoding().write(event, lines)),
            Err(error) => self.push_gap(draft, record.seq, &chain(error)),
        }
    }

    /// A loss that cannot be avoided is on record itself.
    fn push_gap(&mut self, draft: &mut Draft, seq: u64, reason: &str) {
        let sink = self.sink.name();
        tracing::warn!(sink, seq, reason, "record cannot be read; a gap line takes its place");
        self.metrics.unreadable(sink);
        let event = gap::event(seq, reason, self.time);
        draft.push(seq, |lines| self.sink.encoding().write(&View::from(&event), lines));
    }

    /// Delivers the batch or its beginning, however long it takes, and moves the cursor.
    async fn deliver(&mut self, batch: &mut Batch) -> Result<(), End> {
        let mut backoff = Backoff::default();
        let delivered = loop {
            match self.sink.deliver(batch).await {
                Ok(delivered) => break delivered,
                Err(error) => self.after_failure(error, &mut backoff).await?,
            }
        };
        if backoff.attempts() > 0 {
            self.pulse.set_condition(Condition::Delivering);
            tracing::info!(sink = self.sink.name(), "sink takes events again");
        }
        self.metrics.delivered(self.sink.name(), delivered.records);
        self.seq = batch.seq_after(delivered.records).unwrap_or(self.seq);
        self.state = delivered.state;
        batch.advance(delivered.records);
        self.keep(delivered.settle).await?;
        self.pulse.set_seq(self.seq);
        Ok(())
    }

    /// Moves the cursor; `durable` waits until the disk has it.
    async fn keep(&self, durable: bool) -> Result<(), End> {
        if !durable {
            self.journal.advance(self.sink.name(), self.seq, &self.state);
            return Ok(());
        }
        let mut backoff = Backoff::default();
        loop {
            let kept = self.journal.advance_durably(self.sink.name(), self.seq, &self.state).await;
            match kept {
                Ok(()) => return Ok(()),
                Err(StoreError::Closed) => return Err(End),
                Err(error) => self.wait(&mut backoff, &error, None).await,
            }
        }
    }

    async fn after_failure(&self, error: DeliverError, backoff: &mut Backoff) -> Result<(), End> {
        let after = match &error {
            DeliverError::Closed => {
                self.pulse.set_condition(Condition::Closed);
                tracing::warn!(
                    sink = self.sink.name(),
                    "the reader of this sink went away; sink stopped"
                );
                return Err(End);
            }
            DeliverError::Misconfigured { .. } => Some(WAIT_MAX),
            DeliverError::Retry { after, .. } => *after,
            _ => None,
        };
        self.wait(backoff, &error, after).await;
        Ok(())
    }

    async fn wait(
        &self,
        backoff: &mut Backoff,
        error: &(dyn Error + Sync),
        after: Option<Duration>,
    ) {
        let wait = backoff.failed().max(after.unwrap_or_default().min(WAIT_MAX));
        let (sink, attempts, reason) = (self.sink.name(), backoff.attempts(), chain(error));
        self.metrics.failed(sink);
        tracing::warn!(sink, attempts, wait_ms = wait.as_millis(), reason, "delivery failed");
        self.pulse.set_condition(Condition::Failing { reason, attempts });
        tokio::time::sleep(wait).await;
    }
}
