//! Uploads the journal to one bucket: builds an object, persists its range, uploads it, advances the
//! cursor.
//!
//! The range of an object is durable before its upload begins ([`UploadIntent`]). After a crash the
//! same range is read again and gets the same key, so every event is in exactly one object. If the key
//! differs, because an upgrade encodes events differently, the uploader first checks whether the old key
//! exists in the bucket.
//!
//! It retries forever and holds one object in memory, however many records wait. A change of the
//! bucket takes effect at once, even during a wait. An object that may have been uploaded to
//! the old bucket is uploaded to the new one under the same rules. Only if the old bucket does not
//! respond, the change waits as long as a running upload could take, because one may still be running.
//!
//! A signal of high severity does not wait until an object is full or old, and a deletion waits briefly
//! ([`URGENT_PERIOD`], [`DELETION_AGE`]). Heartbeats and reads of Kubernetes' own controllers wait longer
//! than other events ([`IDLE_AGE`]), so that an idle cluster creates few objects.

use std::time::Duration;

use event::{EventRef, InternalEvent, Severity, Timestamp};
use objectstore::{Bucket, Object, ObjectBuilder, Put};
use sink::DeliverError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, WAIT_MAX, WAIT_MAX_UNREACHED};
use crate::reader::{Content, Decoder, Entry, JournalReader, Stopped, drained};
use crate::upload_intent::UploadIntent;
use crate::upload_target::{
    UploadTarget, target_changed, target_changed_after_grace, target_or_end_changed,
};
use sink::DeliveryHealth;

/// The longest delay that a destination may ask for (`Retry-After`).
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// Time between two reads of the journal while an object waits for more events.
const POLL_PERIOD: Duration = Duration::from_millis(500);
/// The lowest severity of a signal that seals the current object.
const URGENT: Severity = Severity::High;
/// Minimum time between two objects that are sealed for urgent signals. Without it, a signal that is
/// updated with each event could create an object per event.
pub const URGENT_PERIOD: Duration = Duration::from_secs(2);
/// Maximum time that a deletion waits for more events.
pub const DELETION_AGE: Duration = Duration::from_secs(3);
/// Minimum age at which an object is sealed if it has only events of an idle cluster: at most 12 objects
/// per hour.
pub const IDLE_AGE: Duration = Duration::from_mins(5);

/// Uploads the journal to one bucket.
pub(crate) struct Uploader {
    reader: JournalReader,
    target: watch::Receiver<UploadTarget>,
    /// The persisted intent of the current upload. Its object may be in the bucket already.
    intent: Option<UploadIntent>,
    /// The time before which no signal seals an object.
    next_urgent: Instant,
}

/// The result of building an object.
enum Gathered {
    Object(Object),
    /// No object: the records up to this one have no line for this destination.
    Skipped(u64),
    /// The target or its last record has changed: start again.
    TargetChanged,
}

/// The result of an upload.
enum Uploaded {
    /// The object is in the bucket.
    Done,
    /// The bucket has changed.
    TargetChanged,
}

/// How urgent the delivery of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// A heartbeat, or a routine read by Kubernetes' own components.
    Idle,
    /// Any other event.
    Usual,
    /// A deletion.
    Deletion,
    /// A signal of high severity.
    Signal,
}

/// The result of adding records to an object.
#[derive(Default)]
struct Filled {
    is_full: bool,
    /// The times of the object's first records, by urgency.
    since: Since,
}

/// Commit times of the first records of an object, by urgency.
#[derive(Clone, Copy, Default)]
struct Since {
    usual: Option<Timestamp>,
    deletion: Option<Timestamp>,
    /// Whether the object has a signal of high severity.
    is_urgent: bool,
}

impl Since {
    fn take(&mut self, urgency: Urgency, time: Timestamp) {
        if urgency >= Urgency::Usual {
            self.usual.get_or_insert(time);
        }
        if urgency == Urgency::Deletion {
            self.deletion.get_or_insert(time);
        }
        self.is_urgent |= urgency == Urgency::Signal;
    }
}

/// The latest times to seal an object, by urgency. They are computed once and are on the monotonic
/// clock, so that a later change of the wall clock does not move them.
#[derive(Default)]
struct Deadlines {
    idle: Option<Instant>,
    usual: Option<Instant>,
    deletion: Option<Instant>,
}

impl Deadlines {
    /// The earliest deadline. `oldest` is the commit time of the first record.
    fn next(
        &mut self,
        seal_age: Duration,
        since: &Since,
        oldest: Option<Timestamp>,
        now: Timestamp,
    ) -> Instant {
        let at = |age, since| Instant::now() + left(age, since, now);
        let idle = *self.idle.get_or_insert_with(|| at(seal_age.max(IDLE_AGE), oldest));
        if since.usual.is_some() {
            self.usual.get_or_insert_with(|| at(seal_age, since.usual));
        }
        if since.deletion.is_some() {
            let age = seal_age.min(DELETION_AGE);
            self.deletion.get_or_insert_with(|| at(age, since.deletion));
        }
        [self.usual, self.deletion].into_iter().flatten().fold(idle, Instant::min)
    }
}

impl Uploader {
    pub(crate) fn new(
        reader: JournalReader,
        target: watch::Receiver<UploadTarget>,
        intent: Option<UploadIntent>,
    ) -> Self {
        Self { reader, target, intent, next_urgent: Instant::now() }
    }

    /// Delivers until the last record of the target, if it has one. After `stop` it delivers what the
    /// journal holds, for at most `DRAIN_MAX`, and returns. After `abort` it returns at once.
    pub(crate) async fn run(mut self, stop: CancellationToken, abort: CancellationToken) {
        tokio::select! {
            Err(Stopped) = self.run_loop(&stop) => {}
            () = drained(&stop) => {}
            () = abort.cancelled() => {}
        }
        if stop.is_cancelled() {
            self.reader.report_lag();
        }
    }

    async fn run_loop(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<std::convert::Infallible, Stopped> {
        loop {
            let target = self.target.borrow_and_update().clone();
            let object = match self.intent.clone() {
                Some(intent) => match self.restore(&target, &intent).await? {
                    Some(object) => object,
                    None => continue,
                },
                None => match self.gather(&target, stop).await? {
                    Gathered::Object(object) => object,
                    Gathered::Skipped(seq) => {
                        self.advance(seq);
                        continue;
                    }
                    Gathered::TargetChanged => continue,
                },
            };
            match self.upload(&target, &object).await? {
                Uploaded::Done => self.confirm(&target.bucket, &object),
                Uploaded::TargetChanged => {}
            }
        }
    }

    /// Builds the next object, and seals it when it is full, old enough or urgent, or when no more
    /// records are to be delivered.
    async fn gather(
        &mut self,
        target: &UploadTarget,
        stop: &CancellationToken,
    ) -> Result<Gathered, Stopped> {
        let mut builder = target.bucket.object_builder(self.reader.name());
        let (mut since, mut deadlines) = (Since::default(), Deadlines::default());
        loop {
            let at = builder.last().unwrap_or(self.reader.seq());
            // At shutdown, deliver up to the journal's current end.
            let now = stop.is_cancelled().then(|| self.reader.journal().last_seq());
            let goal = now.into_iter().chain(target.until).min();
            let is_last = goal.is_some_and(|goal| at >= goal);
            let entries = if is_last { Vec::new() } else { self.reader.next(at).await? };
            if !entries.is_empty() {
                let (filled, outcome) = self.fill(builder, since, up_to(entries, goal)).await?;
                (builder, since) = (filled, outcome.since);
                if outcome.is_full || since.is_urgent && Instant::now() >= self.next_urgent {
                    return Ok(self.seal(builder, since.is_urgent));
                }
                continue;
            }
            if builder.last().is_none() {
                if is_last {
                    return Err(Stopped);
                }
                if self.await_records(target, stop).await? {
                    return Ok(Gathered::TargetChanged);
                }
                continue;
            }
            let age = target.bucket.limits().seal_age;
            let old_at = deadlines.next(age, &since, builder.since(), target.bucket.now());
            let deadline = if since.is_urgent { old_at.min(self.next_urgent) } else { old_at };
            if is_last || Instant::now() >= deadline {
                return Ok(self.seal(builder, since.is_urgent));
            }
            let next_poll = Instant::now() + POLL_PERIOD;
            tokio::select! {
                () = tokio::time::sleep_until(deadline.min(next_poll)) => {}
                () = self.target_or_end_changed(target) => return Ok(Gathered::TargetChanged),
                () = stop.cancelled() => {}
            }
        }
    }

    fn seal(&mut self, builder: ObjectBuilder, is_urgent: bool) -> Gathered {
        if is_urgent {
            self.next_urgent = Instant::now() + URGENT_PERIOD;
        }
        let last = builder.last().unwrap_or(self.reader.seq());
        let object = builder.seal(self.reader.journal().epoch());
        object.map_or(Gathered::Skipped(last), Gathered::Object)
    }

    /// Waits for new records, shutdown, or a change of the target. Returns whether the target changed.
    async fn await_records(
        &self,
        target: &UploadTarget,
        stop: &CancellationToken,
    ) -> Result<bool, Stopped> {
        tokio::select! {
            waited = self.reader.wait_past(self.reader.seq()) => waited?,
            () = self.target_or_end_changed(target) => {}
            () = stop.cancelled() => {}
        }
        let now = self.target.borrow();
        Ok(target.version != now.version || target.until != now.until)
    }

    async fn target_or_end_changed(&self, target: &UploadTarget) {
        target_or_end_changed(&self.target, target.version, target.until).await;
    }

    /// Builds the object of a persisted range again. `None` if the bucket has it already, if the range
    /// has no line for this destination, or if the target has changed.
    async fn restore(
        &mut self,
        target: &UploadTarget,
        intent: &UploadIntent,
    ) -> Result<Option<Object>, Stopped> {
        let mut builder = target.bucket.range_builder(self.reader.name());
        loop {
            let at = builder.last().unwrap_or(self.reader.seq());
            let records = if at >= intent.last { Vec::new() } else { self.reader.next(at).await? };
            if records.is_empty() {
                break;
            }
            let records = up_to(records, Some(intent.last));
            builder = self.fill(builder, Since::default(), records).await?.0;
        }
        let last = builder.last().unwrap_or(intent.last);
        let object = builder.seal(intent.epoch);
        if object.as_ref().is_some_and(|object| object.key == intent.key) {
            return Ok(object);
        }
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            match target.bucket.exists(&intent.key).await {
                Ok(true) => {
                    self.advance(last);
                    return Ok(None);
                }
                Ok(false) => break,
                Err(error) => {
                    if self.pause(target, &mut backoff, began, &error).await {
                        return Ok(None);
                    }
                }
            }
        }
        let Some(object) = object else {
            self.advance(last);
            return Ok(None);
        };
        self.persist_intent(UploadIntent::new(&object, intent.epoch)).await?;
        Ok(Some(object))
    }

    /// Persists the intent and uploads the object. Retries until the bucket has it, or the target
    /// changes.
    async fn upload(
        &mut self,
        target: &UploadTarget,
        object: &Object,
    ) -> Result<Uploaded, Stopped> {
        if self.intent.as_ref().is_none_or(|intent| intent.key != object.key) {
            self.persist_intent(UploadIntent::new(object, self.reader.journal().epoch())).await?;
        }
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let put = tokio::select! {
                put = target.bucket.put(object) => put,
                () = target_changed_after_grace(&self.target, target.version) => return Ok(Uploaded::TargetChanged),
            };
            match put {
                Ok(put) => {
                    if put == Put::AlreadyExists {
                        tracing::info!(
                            sink = self.reader.name(),
                            key = object.key,
                            "object existed already"
                        );
                    }
                    if backoff.attempts() > 0 {
                        tracing::info!(sink = self.reader.name(), "sink accepts events again");
                    }
                    return Ok(Uploaded::Done);
                }
                Err(DeliverError::Closed) => return Err(Stopped),
                Err(error) => {
                    if self.pause(target, &mut backoff, began, &error).await {
                        return Ok(Uploaded::TargetChanged);
                    }
                }
            }
        }
    }

    fn confirm(&mut self, bucket: &Bucket, object: &Object) {
        self.reader
            .metrics()
            .delivered(self.reader.name(), usize::try_from(object.lines).unwrap_or(usize::MAX));
        self.reader.metrics().uploaded(self.reader.name(), object.bytes());
        self.advance(object.last);
        self.reader.status().succeeded(bucket.now());
    }

    /// Advances the cursor. This need not be durable: after a crash the persisted range is read again,
    /// and the bucket has its object already.
    fn advance(&mut self, seq: u64) {
        self.intent = None;
        self.reader.advance(seq.max(self.reader.seq()), "");
        self.reader.status().set_condition(DeliveryHealth::Delivering);
    }

    async fn persist_intent(&mut self, intent: UploadIntent) -> Result<(), Stopped> {
        let state = intent.to_string();
        self.intent = Some(intent);
        self.reader.persist(self.reader.seq(), &state).await
    }

    /// Adds records to an object on a blocking thread, because encoding and compression need much CPU.
    async fn fill(
        &self,
        mut builder: ObjectBuilder,
        since: Since,
        entries: Vec<Entry>,
    ) -> Result<(ObjectBuilder, Filled), Stopped> {
        let decoder = self.reader.decoder().clone();
        let filled = tokio::task::spawn_blocking(move || {
            let mut filled = Filled { is_full: false, since };
            for entry in entries {
                let Some((urgency, time)) = take(&mut builder, &entry, &decoder) else {
                    filled.is_full = true;
                    break;
                };
                filled.since.take(urgency, time);
            }
            (builder, filled)
        });
        filled.await.map_err(|_gone| Stopped)
    }

    /// Reports a failed attempt and waits before the next one. Returns whether the bucket has changed.
    async fn pause(
        &self,
        target: &UploadTarget,
        backoff: &mut Backoff,
        began: Instant,
        error: &DeliverError,
    ) -> bool {
        let wait = match error {
            DeliverError::NoResponse { is_connect_error: true, .. } => {
                backoff.no_response(WAIT_MAX_UNREACHED)
            }
            DeliverError::NoResponse { .. } => backoff.no_response(WAIT_MAX),
            DeliverError::Retry { after, .. } => {
                backoff.failed().max(after.unwrap_or_default().min(RETRY_AFTER_MAX))
            }
            _ => backoff.failed(),
        };
        let reason = self.reader.failed(wait, backoff, error);
        let is_no_response = matches!(error, DeliverError::NoResponse { .. });
        self.publish(target, || {
            if is_no_response {
                self.reader.status().no_response(reason, began + target.bucket.no_response_delay());
            } else {
                let attempts = backoff.answered();
                self.reader.status().set_condition(DeliveryHealth::Failing { reason, attempts });
            }
        });
        tokio::select! {
            () = tokio::time::sleep(wait) => false,
            () = target_changed(&self.target, target.version), if !is_no_response => true,
            () = target_changed_after_grace(&self.target, target.version), if is_no_response => true,
        }
    }

    /// Publishes the result of an attempt, unless the bucket has changed.
    fn publish(&self, target: &UploadTarget, publish: impl FnOnce()) {
        // The borrow is a read lock: the target cannot change between the check and `publish`.
        let now = self.target.borrow();
        if now.version == target.version {
            publish();
        }
    }
}

/// How much of `age` remains for something that began at `since`; all of it if that is unknown.
fn left(age: Duration, since: Option<Timestamp>, now: Timestamp) -> Duration {
    let since = since.map_or(0, |since| now.as_micros().saturating_sub(since.as_micros()));
    age.saturating_sub(Duration::from_micros(u64::try_from(since).unwrap_or(0)))
}

/// The entries up to `last`, or all of them.
fn up_to(mut entries: Vec<Entry>, last: Option<u64>) -> Vec<Entry> {
    if let Some(last) = last {
        entries.retain_mut(|entry| entry.end_at(last));
    }
    entries
}

/// Adds a record. Returns its urgency and commit time, or `None` if the object is full.
fn take(
    builder: &mut ObjectBuilder,
    entry: &Entry,
    decoder: &Decoder,
) -> Option<(Urgency, Timestamp)> {
    let time = entry.time().or_else(|| builder.since()).unwrap_or_default();
    let (fits, urgency) = match decoder.decode(entry, time) {
        Content::Event(event) => {
            let urgency = urgency(&event);
            (builder.push(entry.seq, time, event), urgency)
        }
        Content::Signal(signal) => {
            let is_urgent = signal.severity >= URGENT;
            let urgency = if is_urgent { Urgency::Signal } else { Urgency::Usual };
            (builder.push_signal(entry.seq, time, signal), urgency)
        }
        Content::Gap(event) => {
            (builder.push(entry.seq, time, EventRef::from(&*event)), Urgency::Usual)
        }
    };
    fits.then_some((urgency, time))
}

fn urgency(event: &EventRef<'_>) -> Urgency {
    if event.is_deletion() {
        Urgency::Deletion
    } else if event.internal() == Some(InternalEvent::Heartbeat) || event.is_routine_read() {
        Urgency::Idle
    } else {
        Urgency::Usual
    }
}
