//! Delivers the journal to one sink: encodes lines, delivers them, advances the cursor.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use event::{EventRef, Timestamp};
use sink::LineLimiter;
use sink::{Batch, BatchBuilder, DeliverError, Sink};
use store::{Cursor, Journal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, WAIT_MAX};
use crate::health::SinkStatus;
use crate::metrics::Metrics;
use crate::reader::{
    BATCH_BYTES_MAX, BATCH_ROWS_MAX, Content, Entry, JournalReader, Stopped, drain_deadline,
};
use sink::DeliveryHealth;

/// Delay before the next read after a sink has delivered all records, so that a busy server does
/// not cause a write and a flush for each request. The first record after an idle period is
/// delivered immediately.
pub const GATHER_TIME: Duration = Duration::from_millis(10);

/// Maximum length of a line on standard output and in files, in bytes with the newline. Below the
/// default limits of common log shippers; Fluent Bit's is the smallest (32 KiB).
pub const LINE_BYTES_MAX: usize = 32_000;

/// Delivers the journal to one sink.
pub struct SinkTask {
    reader: JournalReader,
    sink: Box<dyn Sink>,
    limiter: LineLimiter,
    wake: Arc<Notify>,
    /// Commit time of the last record, which is the time of a gap event.
    time: Timestamp,
    /// Records that were read and did not fit in the batch.
    read_ahead: VecDeque<Entry>,
}

impl SinkTask {
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        sink: Box<dyn Sink>,
        line_bytes: usize,
        metrics: Metrics,
        status: Arc<SinkStatus>,
        wake: Arc<Notify>,
    ) -> Self {
        let cursor = Cursor { seq: 0, state: String::new() };
        let reader = JournalReader::new(sink.name(), journal, metrics, status, cursor);
        let limiter = LineLimiter::by_bytes(sink.encoding().clone(), line_bytes);
        Self {
            reader,
            sink,
            limiter,
            wake,
            time: Timestamp::default(),
            read_ahead: VecDeque::new(),
        }
    }

    /// Delivers until `stop`, and then the remaining records of the journal within
    /// [`DRAIN_MAX`](crate::DRAIN_MAX).
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            Ok(()) | Err(Stopped) = self.run_loop(&stop) => {}
            () = drain_deadline(&stop) => {}
        }
        self.reader.report_lag();
    }

    async fn run_loop(&mut self, stop: &CancellationToken) -> Result<(), Stopped> {
        self.start().await?;
        loop {
            let mut batch = self.next_batch().await?;
            if batch.is_empty() {
                if stop.is_cancelled() {
                    return self.reader.flush().await;
                }
                tokio::select! {
                    waited = self.reader.wait_past(self.reader.seq()) => waited?,
                    () = self.wake.notified() => self.deliver(&mut batch).await?,
                    () = stop.cancelled() => {}
                }
            }
            while !batch.is_empty() {
                self.deliver(&mut batch).await?;
            }
            if self.read_ahead.is_empty() && self.reader.lag() < BATCH_ROWS_MAX as u64 {
                tokio::select! {
                    () = tokio::time::sleep(GATHER_TIME) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// Loads the cursor, and lets the sink resume from its state.
    async fn start(&mut self) -> Result<(), Stopped> {
        self.reader.register(0).await?;
        let mut backoff = Backoff::default();
        while let Err(error) = self.sink.resume(self.reader.state()).await {
            self.handle_failure(error, &mut backoff).await?;
        }
        self.reader.status().set_condition(DeliveryHealth::Delivering);
        Ok(())
    }

    /// The next lines; an empty batch if there is nothing to deliver.
    async fn next_batch(&mut self) -> Result<Batch, Stopped> {
        if self.read_ahead.is_empty() {
            self.read_ahead = self.reader.next(self.reader.seq()).await?.into();
        }
        let mut builder = BatchBuilder::default();
        while builder.bytes() < BATCH_BYTES_MAX
            && let Some(entry) = self.read_ahead.pop_front()
        {
            self.push(&mut builder, &entry);
        }
        Ok(builder.finish())
    }

    fn push(&mut self, builder: &mut BatchBuilder, entry: &Entry) {
        self.time = entry.time().unwrap_or(self.time);
        let content = self.reader.decoder().decode(entry, self.time);
        let (limiter, seq) = (&self.limiter, entry.seq);
        builder.push(seq, |lines| match content {
            Content::Event(event) => limiter.write(&event.with_seq(seq), lines),
            Content::Signal(signal) => limiter.write_signal(&signal.with_seq(seq), lines),
            Content::Raw(item) => lines.extend_from_slice(item),
            Content::Gap(event) => limiter.write(&EventRef::from(&*event).with_seq(seq), lines),
        });
    }

    /// Delivers the batch or its beginning, retrying until it succeeds, and advances the cursor.
    async fn deliver(&mut self, batch: &mut Batch) -> Result<(), Stopped> {
        let mut backoff = Backoff::default();
        let delivered = loop {
            match self.sink.deliver(batch).await {
                Ok(delivered) => break delivered,
                Err(error) => self.handle_failure(error, &mut backoff).await?,
            }
        };
        if backoff.attempts() > 0 {
            self.reader.status().set_condition(DeliveryHealth::Delivering);
            tracing::info!(sink = self.sink.name(), "sink accepts events again");
        }
        self.reader.metrics().delivered(self.sink.name(), delivered.records);
        let seq = batch.seq_after(delivered.records).unwrap_or(self.reader.seq());
        batch.advance(delivered.records);
        if delivered.sync_cursor {
            self.reader.persist(seq, &delivered.state).await
        } else {
            self.reader.advance(seq, &delivered.state);
            Ok(())
        }
    }

    async fn handle_failure(
        &self,
        error: DeliverError,
        backoff: &mut Backoff,
    ) -> Result<(), Stopped> {
        let after = match &error {
            DeliverError::Closed => {
                self.reader.status().set_condition(DeliveryHealth::Closed);
                tracing::warn!(
                    sink = self.sink.name(),
                    "the other end of this sink was closed; sink stopped"
                );
                return Err(Stopped);
            }
            DeliverError::Misconfigured { .. } => Some(WAIT_MAX),
            DeliverError::Retry { after, .. } => *after,
            _ => None,
        };
        self.reader.back_off(backoff, &error, after).await;
        Ok(())
    }
}
