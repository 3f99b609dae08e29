//! Uploads the journal to one bucket: builds an object, persists its range, uploads it, advances
//! the cursor.
//!
//! The range of an object is durable before its upload begins ([`UploadIntent`]). After a crash the
//! same range is read again and gets the same key, so every event is in exactly one object. If the
//! key differs, because an upgrade encodes events differently, the uploader first checks whether
//! the old key exists in the bucket.
//!
//! It retries forever and holds one object in memory, regardless of the backlog. A change of the
//! bucket takes effect immediately, also during a wait. An object that may have been uploaded to
//! the old bucket is uploaded to the new one under the same rules. Only if the old bucket does not
//! respond, the change waits for the maximum duration of an upload, because an upload may still be
//! running.
//!
//! A signal of high severity does not wait until an object is full or old, and a deletion waits
//! briefly ([`URGENT_PERIOD`], [`DELETION_AGE`]). Heartbeats and reads of Kubernetes' own
//! controllers wait longer than other events ([`IDLE_AGE`]), so that an idle cluster creates few
//! objects.

mod seal_deadline;

use std::time::Duration;

use event::{EventRef, InternalEvent, Severity, Timestamp};
use objectstore::{Bucket, Object, ObjectBuilder, PutOutcome};
use sink::DeliverError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, WAIT_MAX, WAIT_MAX_UNREACHED};
use crate::reader::{Content, Decoder, Entry, JournalReader, Stopped, drain_deadline};
use crate::upload_intent::UploadIntent;
use crate::upload_target::{
    UploadTarget, target_changed, target_changed_after_grace, target_or_end_changed,
};
use seal_deadline::{Deadlines, FirstTimes, Urgency};
use sink::DeliveryHealth;

/// Maximum `Retry-After` that is accepted from a destination.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// Time between two reads of the journal while an object waits for more events.
const POLL_PERIOD: Duration = Duration::from_millis(500);
/// The lowest severity of a signal that seals the current object.
const URGENT_SEVERITY: Severity = Severity::High;
/// Minimum time between two objects that are sealed for urgent signals. Without it, a signal that
/// is updated with each event could create an object per event.
pub const URGENT_PERIOD: Duration = Duration::from_secs(2);
/// Maximum time that a deletion waits for more events.
pub const DELETION_AGE: Duration = Duration::from_secs(3);
/// Minimum age at which an object is sealed if it has only events of an idle cluster: at most 12
/// objects per hour.
pub const IDLE_AGE: Duration = Duration::from_mins(5);

/// Uploads the journal to one bucket.
pub(crate) struct Uploader {
    reader: JournalReader,
    target: watch::Receiver<UploadTarget>,
    /// The persisted intent of the current upload. Its object may already be in the bucket.
    intent: Option<UploadIntent>,
    /// The time before which no signal seals an object.
    next_urgent: Instant,
}

/// The result of building an object.
enum BuildOutcome {
    Object(Object),
    /// No object: the records up to this one have no line for this destination.
    Skipped(u64),
    /// The target or its last record has changed: start again.
    TargetChanged,
}

/// The result of an upload.
enum UploadOutcome {
    /// The object is in the bucket.
    Done,
    /// The bucket has changed.
    TargetChanged,
}

/// The result of adding records to an object.
#[derive(Default)]
struct AppendOutcome {
    is_full: bool,
    /// The commit times of the first records of the object, by urgency.
    first_times: FirstTimes,
}

impl Uploader {
    pub(crate) fn new(
        reader: JournalReader,
        target: watch::Receiver<UploadTarget>,
        intent: Option<UploadIntent>,
    ) -> Self {
        Self { reader, target, intent, next_urgent: Instant::now() }
    }

    /// Delivers until the last record of the target, if it has one. After `stop` it delivers the
    /// remaining records of the journal, for at most `DRAIN_MAX`, and returns. After `abort` it
    /// returns immediately.
    pub(crate) async fn run(mut self, stop: CancellationToken, abort: CancellationToken) {
        tokio::select! {
            Err(Stopped) = self.run_loop(&stop) => {}
            () = drain_deadline(&stop) => {}
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
                Some(intent) => match self.rebuild_object(&target, &intent).await? {
                    Some(object) => object,
                    None => continue,
                },
                None => match self.build_object(&target, stop).await? {
                    BuildOutcome::Object(object) => object,
                    BuildOutcome::Skipped(seq) => {
                        self.advance(seq);
                        continue;
                    }
                    BuildOutcome::TargetChanged => continue,
                },
            };
            match self.upload(&target, &object).await? {
                UploadOutcome::Done => self.confirm(&target.bucket, &object),
                UploadOutcome::TargetChanged => {}
            }
        }
    }

    /// Builds the next object, and seals it when it is full, old enough or urgent, or when no more
    /// records must be delivered.
    async fn build_object(
        &mut self,
        target: &UploadTarget,
        stop: &CancellationToken,
    ) -> Result<BuildOutcome, Stopped> {
        let mut builder = target.bucket.object_builder(self.reader.name());
        let (mut first_times, mut deadlines) = (FirstTimes::default(), Deadlines::default());
        loop {
            let position = builder.last().unwrap_or(self.reader.seq());
            // At shutdown, deliver up to the journal's current end.
            let journal_end = stop.is_cancelled().then(|| self.reader.journal().last_seq());
            let end_seq = journal_end.into_iter().chain(target.end_seq).min();
            let is_last = end_seq.is_some_and(|end_seq| position >= end_seq);
            let entries = if is_last { Vec::new() } else { self.reader.next(position).await? };
            if !entries.is_empty() {
                let (appended, outcome) = self
                    .append_entries(builder, first_times, entries_up_to(entries, end_seq))
                    .await?;
                (builder, first_times) = (appended, outcome.first_times);
                if outcome.is_full || first_times.is_urgent && Instant::now() >= self.next_urgent {
                    return Ok(self.seal(builder, first_times.is_urgent));
                }
                continue;
            }
            if builder.last().is_none() {
                if is_last {
                    return Err(Stopped);
                }
                if self.await_records(target, stop).await? {
                    return Ok(BuildOutcome::TargetChanged);
                }
                continue;
            }
            let age = target.bucket.limits().seal_age;
            let age_deadline =
                deadlines.next(age, &first_times, builder.first_time(), target.bucket.now());
            let deadline = if first_times.is_urgent {
                age_deadline.min(self.next_urgent)
            } else {
                age_deadline
            };
            if is_last || Instant::now() >= deadline {
                return Ok(self.seal(builder, first_times.is_urgent));
            }
            let next_poll = Instant::now() + POLL_PERIOD;
            tokio::select! {
                () = tokio::time::sleep_until(deadline.min(next_poll)) => {}
                () = self.target_or_end_changed(target) => return Ok(BuildOutcome::TargetChanged),
                () = stop.cancelled() => {}
            }
        }
    }

    fn seal(&mut self, builder: ObjectBuilder, is_urgent: bool) -> BuildOutcome {
        if is_urgent {
            self.next_urgent = Instant::now() + URGENT_PERIOD;
        }
        let last = builder.last().unwrap_or(self.reader.seq());
        let object = builder.seal(self.reader.journal().epoch());
        object.map_or(BuildOutcome::Skipped(last), BuildOutcome::Object)
    }

    /// Waits for new records, shutdown, or a change of the target. Returns whether the target
    /// changed.
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
        let current = self.target.borrow();
        Ok(target.version != current.version || target.end_seq != current.end_seq)
    }

    async fn target_or_end_changed(&self, target: &UploadTarget) {
        target_or_end_changed(&self.target, target.version, target.end_seq).await;
    }

    /// Builds the object of a persisted range again. `None` if the bucket already has it, if the
    /// range has no line for this destination, or if the target has changed.
    async fn rebuild_object(
        &mut self,
        target: &UploadTarget,
        intent: &UploadIntent,
    ) -> Result<Option<Object>, Stopped> {
        let mut builder = target.bucket.range_builder(self.reader.name());
        loop {
            let position = builder.last().unwrap_or(self.reader.seq());
            let records = if position >= intent.last {
                Vec::new()
            } else {
                self.reader.next(position).await?
            };
            if records.is_empty() {
                break;
            }
            let records = entries_up_to(records, Some(intent.last));
            builder = self.append_entries(builder, FirstTimes::default(), records).await?.0;
        }
        let last = builder.last().unwrap_or(intent.last);
        let object = builder.seal(intent.epoch);
        if object.as_ref().is_some_and(|object| object.key == intent.key) {
            return Ok(object);
        }
        let mut backoff = Backoff::default();
        loop {
            let start = Instant::now();
            match target.bucket.exists(&intent.key).await {
                Ok(true) => {
                    self.advance(last);
                    return Ok(None);
                }
                Ok(false) => break,
                Err(error) => {
                    if self.wait_to_retry(target, &mut backoff, start, &error).await {
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
    ) -> Result<UploadOutcome, Stopped> {
        if self.intent.as_ref().is_none_or(|intent| intent.key != object.key) {
            self.persist_intent(UploadIntent::new(object, self.reader.journal().epoch())).await?;
        }
        let mut backoff = Backoff::default();
        loop {
            let start = Instant::now();
            let put = tokio::select! {
                put = target.bucket.put(object) => put,
                () = target_changed_after_grace(&self.target, target.version) => return Ok(UploadOutcome::TargetChanged),
            };
            match put {
                Ok(put) => {
                    if put == PutOutcome::AlreadyExists {
                        tracing::info!(
                            sink = self.reader.name(),
                            key = object.key,
                            "object existed already"
                        );
                    }
                    if backoff.attempts() > 0 {
                        tracing::info!(sink = self.reader.name(), "sink accepts events again");
                    }
                    return Ok(UploadOutcome::Done);
                }
                Err(DeliverError::Closed) => return Err(Stopped),
                Err(error) => {
                    if self.wait_to_retry(target, &mut backoff, start, &error).await {
                        return Ok(UploadOutcome::TargetChanged);
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

    /// Advances the cursor. This need not be durable: after a crash the persisted range is read
    /// again, and the bucket already has its object.
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

    /// Adds records to an object on a blocking thread, because encoding and compression need much
    /// CPU.
    async fn append_entries(
        &self,
        mut builder: ObjectBuilder,
        first_times: FirstTimes,
        entries: Vec<Entry>,
    ) -> Result<(ObjectBuilder, AppendOutcome), Stopped> {
        let decoder = self.reader.decoder().clone();
        let appended = tokio::task::spawn_blocking(move || {
            let mut appended = AppendOutcome { is_full: false, first_times };
            for entry in entries {
                let Some((urgency, time)) = append_entry(&mut builder, &entry, &decoder) else {
                    appended.is_full = true;
                    break;
                };
                appended.first_times.add(urgency, time);
            }
            (builder, appended)
        });
        appended.await.map_err(|_gone| Stopped)
    }

    /// Reports a failed attempt and waits before the next one. Returns whether the bucket has
    /// changed.
    async fn wait_to_retry(
        &self,
        target: &UploadTarget,
        backoff: &mut Backoff,
        start: Instant,
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
        self.publish_if_current(target, || {
            if is_no_response {
                self.reader.status().no_response(reason, start + target.bucket.no_response_delay());
            } else {
                let attempts = backoff.failures_with_response();
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
    fn publish_if_current(&self, target: &UploadTarget, publish: impl FnOnce()) {
        // The borrow is a read lock: the target cannot change between the check and `publish`.
        let current = self.target.borrow();
        if current.version == target.version {
            publish();
        }
    }
}

/// The entries up to `last`, or all of them.
fn entries_up_to(mut entries: Vec<Entry>, last: Option<u64>) -> Vec<Entry> {
    if let Some(last) = last {
        entries.retain_mut(|entry| entry.truncate_after(last));
    }
    entries
}

/// Adds a record. Returns its urgency and commit time, or `None` if the object is full.
fn append_entry(
    builder: &mut ObjectBuilder,
    entry: &Entry,
    decoder: &Decoder,
) -> Option<(Urgency, Timestamp)> {
    let time = entry.time().or_else(|| builder.first_time()).unwrap_or_default();
    let (fits, urgency) = match decoder.decode(entry, time) {
        Content::Event(event) => {
            let urgency = urgency(&event);
            (builder.push(entry.seq, time, event), urgency)
        }
        Content::Signal(signal) => {
            let is_urgent = signal.severity >= URGENT_SEVERITY;
            let urgency = if is_urgent { Urgency::Signal } else { Urgency::Normal };
            (builder.push_signal(entry.seq, time, signal), urgency)
        }
        // This type occurs only in the journal of a forwarder, which has no uploader.
        Content::Raw(_) => (true, Urgency::Normal),
        Content::Gap(event) => {
            (builder.push(entry.seq, time, EventRef::from(&*event)), Urgency::Normal)
        }
    };
    fits.then_some((urgency, time))
}

fn urgency(event: &EventRef<'_>) -> Urgency {
    if event.is_deletion() {
        Urgency::Deletion
    } else if matches!(event.internal(), Some(InternalEvent::Heartbeat | InternalEvent::Receipt))
        || event.is_routine_read()
    {
        Urgency::Idle
    } else {
        Urgency::Normal
    }
}
