//! One reader of the journal whose events leave as objects: gathers, fixes, uploads, moves the cursor.
//!
//! The range of an object is durable before its upload begins ([`Fixed`]). After a crash the same
//! range is read again and gets the same key, under which it is there already or not: so every event
//! is in exactly one object. If the key has changed, because events are written differently now, the
//! old key is asked for first.
//!
//! It tries for ever and holds one object in memory, whatever the backlog. Another bucket takes effect
//! at once, also in the middle of a wait; an object that may have been uploaded to the old place goes
//! to the new one under the same rules. Only where nobody answers it takes as long as if an upload
//! were under way, since it might be.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use event::{Timestamp, View};
use sink::bucket::{Bucket, Draft, Object, Put};
use sink::{DeliverError, chain};
use store::{Journal, ReadError, Record, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, WAIT_MAX, WAIT_MAX_UNREACHED};
use crate::corridor::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, DRAIN_MAX};
use crate::fixed::Fixed;
use crate::gap;
use crate::health::{Condition, Pulse};
use crate::metrics::Metrics;
use crate::orders::{Orders, changed, superseded, superseded_at_length};

/// How long a destination may ask to be left alone.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// While an object waits for more events, the journal is looked at this often.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// The way from the journal to one bucket.
pub(crate) struct Hauler {
    pub(crate) name: Arc<str>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) orders: watch::Receiver<Orders>,
    pub(crate) metrics: Metrics,
    pub(crate) pulse: Arc<Pulse>,
    /// The last record that is there for good.
    pub(crate) seq: u64,
    /// The object that may be on its way.
    pub(crate) fixed: Option<Fixed>,
}

/// The hauler has come to its end; nothing went wrong.
struct End;

/// What gathering led to.
enum Gathered {
    Object(Object),
    /// Records without a line for this destination, up to this one.
    Passed(u64),
    /// Other orders: begin again.
    Again,
}

/// How an upload ended.
enum Shipped {
    There,
    /// Another bucket has been ordered.
    Superseded,
}

impl Hauler {
    /// Delivers until `stop`, and then what is there at that moment, if there is time. Ends by itself
    /// when the orders say up to where. `abort` ends it at once.
    pub(crate) async fn run(mut self, stop: CancellationToken, abort: CancellationToken) {
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN_MAX).await;
        };
        tokio::select! {
            Err(End) = self.haul(&stop) => {}
            () = deadline => {}
            () = abort.cancelled() => {}
        }
        let lag = self.journal.last_seq().saturating_sub(self.seq);
        if lag > 0 && stop.is_cancelled() {
            let sink = &*self.name;
            tracing::warn!(
                sink,
                lag,
                "sink stopped before it had everything; it goes on at the next start"
            );
        }
    }

    async fn haul(&mut self, stop: &CancellationToken) -> Result<std::convert::Infallible, End> {
        loop {
            let orders = self.orders.borrow_and_update().clone();
            let object = match self.fixed.clone() {
                Some(fixed) => match self.restore(&orders, &fixed).await? {
                    Some(object) => object,
                    None => continue,
                },
                None => match self.gather(&orders, stop).await? {
                    Gathered::Object(object) => object,
                    Gathered::Passed(seq) => {
                        self.arrived(seq);
                        continue;
                    }
                    Gathered::Again => continue,
                },
            };
            match self.ship(&orders, &object).await? {
                Shipped::There => self.confirm(&orders.bucket, &object),
                Shipped::Superseded => {}
            }
        }
    }

    /// Fills an object until it is full, old enough, or the last one.
    async fn gather(&mut self, orders: &Orders, stop: &CancellationToken) -> Result<Gathered, End> {
        let bucket = &orders.bucket;
        let mut draft = bucket.draft(&self.name);
        let mut born = None;
        loop {
            let at = draft.last().unwrap_or(self.seq);
            // Whoever stops takes what is there at that moment.
            let goal = if stop.is_cancelled() { Some(self.journal.last_seq()) } else { None };
            let goal = goal.into_iter().chain(orders.until).min();
            let is_last = goal.is_some_and(|goal| at >= goal);
            let records = if is_last { Vec::new() } else { self.read(at).await? };
            if records.is_empty() {
                let Some(last) = draft.last() else {
                    if is_last {
                        return Err(End);
                    }
                    self.await_records(orders, stop).await?;
                    if orders.version != self.orders.borrow().version
                        || orders.until != self.orders.borrow().until
                    {
                        return Ok(Gathered::Again);
                    }
                    continue;
                };
                let age = bucket.limits().seal_age;
                let deadline =
                    *born.get_or_insert_with(|| Instant::now() + left(age, &draft, bucket.now()));
                if is_last || Instant::now() >= deadline {
                    return Ok(draft
                        .seal(self.journal.epoch())
                        .map_or(Gathered::Passed(last), Gathered::Object));
                }
                let look = Instant::now() + LOOK_PERIOD;
                tokio::select! {
                    () = tokio::time::sleep_until(deadline.min(look)) => {}
                    () = changed(&self.orders, orders.version, orders.until) => return Ok(Gathered::Again),
                    () = stop.cancelled() => {}
                }
                continue;
            }
            let records = up_to(records, goal);
            let (filled, is_full) = self.fill(draft, records).await?;
            draft = filled;
            if is_full {
                let last = draft.last().unwrap_or(self.seq);
                return Ok(draft
                    .seal(self.journal.epoch())
                    .map_or(Gathered::Passed(last), Gathered::Object));
            }
        }
    }

    async fn await_records(&self, orders: &Orders, stop: &CancellationToken) -> Result<(), End> {
        tokio::select! {
            last = self.journal.wait_past(self.seq) => drop(last.map_err(|_closed| End)?),
            () = changed(&self.orders, orders.version, orders.until) => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    /// The object of a fixed range, made again; `None` if it turns out to be there, or there are other
    /// orders.
    async fn restore(&mut self, orders: &Orders, fixed: &Fixed) -> Result<Option<Object>, End> {
        let mut draft = orders.bucket.draft_of_range(&self.name);
        loop {
            let at = draft.last().unwrap_or(self.seq);
            let records = if at >= fixed.last { Vec::new() } else { self.read(at).await? };
            if records.is_empty() {
                break;
            }
            draft = self.fill(draft, up_to(records, Some(fixed.last))).await?.0;
        }
        let last = draft.last().unwrap_or(fixed.last);
        let object = draft.seal(fixed.epoch);
        if object.as_ref().is_some_and(|object| object.key == fixed.key) {
            return Ok(object);
        }
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            match orders.bucket.holds(&fixed.key).await {
                Ok(true) => {
                    self.arrived(last);
                    return Ok(None);
                }
                Ok(false) => break,
                Err(error) => {
                    if self.pause(orders, &mut backoff, began, &error).await {
                        return Ok(None);
                    }
                }
            }
        }
        let Some(object) = object else {
            self.arrived(last);
            return Ok(None);
        };
        self.fix(Fixed::of(&object, fixed.epoch)).await?;
        Ok(Some(object))
    }

    /// Gets an object there, however long it takes.
    async fn ship(&mut self, orders: &Orders, object: &Object) -> Result<Shipped, End> {
        if self.fixed.as_ref().is_none_or(|fixed| fixed.key != object.key) {
            self.fix(Fixed::of(object, self.journal.epoch())).await?;
        }
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let put = tokio::select! {
                put = orders.bucket.put(object) => put,
                () = superseded_at_length(&self.orders, orders.version) => return Ok(Shipped::Superseded),
            };
            match put {
                Ok(put) => {
                    if put == Put::AlreadyThere {
                        tracing::info!(
                            sink = &*self.name,
                            key = object.key,
                            "object was there already"
                        );
                    }
                    if backoff.attempts() > 0 {
                        tracing::info!(sink = &*self.name, "sink takes events again");
                    }
                    return Ok(Shipped::There);
                }
                Err(DeliverError::Closed) => return Err(End),
                Err(error) => {
                    if self.pause(orders, &mut backoff, began, &error).await {
                        return Ok(Shipped::Superseded);
                    }
                }
            }
        }
    }

    fn confirm(&mut self, bucket: &Bucket, object: &Object) {
        self.metrics.delivered(&self.name, usize::try_from(object.lines).unwrap_or(usize::MAX));
        self.metrics.uploaded(&self.name, object.bytes());
        self.arrived(object.last);
        self.pulse.succeeded(bucket.now());
    }

    /// The cursor moves. It need not be durable: what is fixed still is, and is found to be there.
    fn arrived(&mut self, seq: u64) {
        self.seq = seq.max(self.seq);
        self.fixed = None;
        self.journal.advance(&self.name, self.seq, "");
        self.pulse.set_seq(self.seq);
        self.pulse.set_condition(Condition::Delivering);
    }

    async fn fix(&mut self, fixed: Fixed) -> Result<(), End> {
        let state = fixed.to_string();
        self.fixed = Some(fixed);
        let mut backoff = Backoff::default();
        loop {
            match self.journal.advance_durably(&self.name, self.seq, &state).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Closed) => return Err(End),
                Err(error) => self.rest(&mut backoff, &error).await,
            }
        }
    }

    /// The next records; none if there are none now. A damaged one is a gap of its own.
    async fn read(&self, after: u64) -> Result<Vec<Result<Record, u64>>, End> {
        let mut backoff = Backoff::default();
        loop {
            match self.journal.read(after, BATCH_ROWS_MAX, BATCH_BYTES_MAX).await {
                Ok(records) => return Ok(records.into_iter().map(Ok).collect()),
                Err(ReadError::Damaged { number, .. }) => return Ok(vec![Err(number)]),
                Err(ReadError::Closed) => return Err(End),
                Err(error) => self.rest(&mut backoff, &error).await,
            }
        }
    }

    /// Encodes and compresses where it holds up nobody else. Whether the object is full.
    async fn fill(
        &self,
        mut draft: Draft,
        records: Vec<Result<Record, u64>>,
    ) -> Result<(Draft, bool), End> {
        let (name, metrics) = (Arc::clone(&self.name), self.metrics.clone());
        let filled = tokio::task::spawn_blocking(move || {
            let is_full =
                records.into_iter().any(|record| !take(&mut draft, &record, &name, &metrics));
            (draft, is_full)
        });
        filled.await.map_err(|_gone| End)
    }

    /// Waits before the next attempt; whether another bucket has been ordered meanwhile.
    async fn pause(
        &self,
        orders: &Orders,
        backoff: &mut Backoff,
        began: Instant,
        error: &DeliverError,
    ) -> bool {
        let wait = match error {
            DeliverError::Silent { is_unreached: true, .. } => {
                backoff.met_silence(WAIT_MAX_UNREACHED)
            }
            DeliverError::Silent { .. } => backoff.met_silence(WAIT_MAX),
            DeliverError::Retry { after, .. } => {
                backoff.failed().max(after.unwrap_or_default().min(RETRY_AFTER_MAX))
            }
            _ => backoff.failed(),
        };
        let reason = self.failed(wait, backoff, error);
        let is_silence = matches!(error, DeliverError::Silent { .. });
        self.publish(orders, || {
            if is_silence {
                self.pulse.fell_silent(reason, began + orders.bucket.silence_time());
            } else {
                let attempts = backoff.answers();
                self.pulse.set_condition(Condition::Failing { reason, attempts });
            }
        });
        tokio::select! {
            () = tokio::time::sleep(wait) => false,
            () = superseded(&self.orders, orders.version), if !is_silence => true,
            () = superseded_at_length(&self.orders, orders.version), if is_silence => true,
        }
    }

    /// Waits before the journal is asked again.
    async fn rest(&self, backoff: &mut Backoff, error: &(dyn Error + Sync)) {
        let wait = backoff.failed();
        let reason = self.failed(wait, backoff, error);
        let attempts = backoff.answers();
        self.pulse.set_condition(Condition::Failing { reason, attempts });
        tokio::time::sleep(wait).await;
    }

    /// Tells the operator; why it failed.
    fn failed(&self, wait: Duration, backoff: &Backoff, error: &(dyn Error + Sync)) -> String {
        let (sink, attempts, reason) = (&*self.name, backoff.attempts(), chain(error));
        self.metrics.failed(sink);
        tracing::warn!(sink, attempts, wait_ms = wait.as_millis(), reason, "delivery failed");
        reason
    }

    /// Lets everybody know, unless another bucket has been ordered: then it is no news any more.
    fn publish(&self, orders: &Orders, tell: impl FnOnce()) {
        // Held while telling, so that an order comes before it or after it.
        let now = self.orders.borrow();
        if now.version == orders.version {
            tell();
        }
    }
}

/// How long an object may still wait for events, measured from its first one.
fn left(age: Duration, draft: &Draft, now: Timestamp) -> Duration {
    let since = draft.since().map_or(0, |since| now.as_micros().saturating_sub(since.as_micros()));
    age.saturating_sub(Duration::from_micros(u64::try_from(since).unwrap_or(0)))
}

fn up_to(mut records: Vec<Result<Record, u64>>, last: Option<u64>) -> Vec<Result<Record, u64>> {
    if let Some(last) = last {
        records.retain(|record| match record {
            Ok(record) => record.seq <= last,
            Err(seq) => *seq <= last,
        });
    }
    records
}

/// Whether there was room for it.
fn take(draft: &mut Draft, record: &Result<Record, u64>, sink: &str, metrics: &Metrics) -> bool {
    let (seq, time, reason) = match record {
        Ok(Record { seq, time, bytes }) => {
            let time = Timestamp::from_micros(*time);
            match &View::of(bytes) {
                Ok(event) => return draft.push(*seq, time, event),
                Err(error) => (*seq, time, chain(error)),
            }
        }
        Err(seq) => {
            let time = draft.since().unwrap_or_default();
            (*seq, time, format!("journal record {seq} is damaged on disk"))
        }
    };
    tracing::warn!(sink, seq, reason, "record cannot be read; a gap line takes its place");
    metrics.unreadable(sink);
    draft.push(seq, time, &View::from(&gap::event(seq, &reason, time)))
}
