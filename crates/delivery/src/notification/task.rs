//! The task of one notifier: follows the signals, sends what is wanted, remembers what was taken.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use sink::notifier::{Event, Notification, NotifyError, Summary, Told, notification_id};
use store::{Change, ChangeKind, ListOptions, Object, ReadError, Storage};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decide::{self, Step};
use super::health::{Metrics, Monitor};
use super::queue::Queue;
use super::records::{self, Record};
use super::{Clock, RETRY_AFTER_MAX, SIGNALS_PREFIX, Target};
use crate::backoff::{Backoff, WAIT_MAX, WAIT_MAX_UNREACHED};

/// Signals of one page of a list: their bodies are large.
const PAGE_ROWS: usize = 50;
/// Signals that are looked at before anything else is done.
const LOOKS_MAX: usize = 64;
/// The longest wait before a notification that was refused is tried again.
const REFUSED_WAIT_MAX: Duration = Duration::from_mins(10);
/// After so many refusals in a row everything waits: the destination takes nothing.
const REFUSALS_IN_A_ROW_MAX: u32 = 3;
/// Wait before records that could not be written are written again.
const SAVE_WAIT: Duration = Duration::from_secs(5);

/// What a task works with.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) clock: Clock,
    pub(super) target: watch::Receiver<Target>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) metrics: Metrics,
}

/// One notifier at work.
pub(super) struct Task {
    parts: Parts,
    queue: Queue,
    /// Signals whose records are not written yet.
    unsaved: BTreeSet<String>,
    /// The records, or the cursor, are to be written at this time.
    save_at: Option<Instant>,
    /// Every signal up to this revision was looked at before the list that is read; a new notifier
    /// knows none.
    looked: Option<u64>,
    /// The revision up to which signals are known.
    seen: u64,
    /// Failures of the destination.
    backoff: Backoff,
    paused_until: Instant,
    refusals_in_a_row: u32,
    /// The last refusal of a single notification.
    refusal: Option<String>,
}

impl Task {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            queue: Queue::default(),
            unsaved: BTreeSet::new(),
            save_at: None,
            looked: None,
            seen: 0,
            backoff: Backoff::default(),
            paused_until: Instant::now(),
            refusals_in_a_row: 0,
            refusal: None,
        }
    }

    /// Runs until it is stopped; forgets everything if it is removed.
    pub(super) async fn run(mut self, stop: CancellationToken, removed: CancellationToken) {
        tokio::select! {
            () = self.follow() => {}
            () = stop.cancelled() => {}
            () = removed.cancelled() => {}
        }
        if removed.is_cancelled() {
            records::forget(&*self.parts.storage, &self.parts.uid).await;
        }
    }

    /// Works until the store is closed.
    async fn follow(&mut self) {
        let mut backoff = Backoff::default();
        let mut is_restored = false;
        loop {
            let done = if is_restored {
                self.round().await
            } else {
                let restored = self.restore().await;
                is_restored = restored.is_ok();
                restored
            };
            match done {
                Ok(()) => backoff = Backoff::default(),
                Err(ReadError::Closed) => return,
                // The list starts anew, with everything that is there.
                Err(ReadError::Compacted { .. }) => {}
                Err(error) => {
                    let notifier = self.parts.name.as_str();
                    tracing::warn!(notifier, %error, "signals cannot be read");
                    tokio::time::sleep(backoff.failed()).await;
                }
            }
        }
    }

    async fn restore(&mut self) -> Result<(), ReadError> {
        let records = records::read(&*self.parts.storage, &self.parts.uid).await?;
        self.looked = records.cursor;
        self.queue = Queue::of(records.signals);
        Ok(())
    }

    /// Reads all signals and follows them, until there is another target.
    async fn round(&mut self) -> Result<(), ReadError> {
        if self.seen > 0 {
            self.looked = Some(self.queue.cursor(self.seen));
        }
        self.retarget();
        let revision = self.list().await?;
        let mut watch = self.parts.storage.watch(SIGNALS_PREFIX, revision)?;
        self.seen = revision;
        self.save().await;
        loop {
            self.look().await?;
            let (pending, refused) = self.queue.waiting();
            self.parts.monitor.waits(pending, refused);
            self.parts.metrics.waits(&self.parts.name, pending);
            let wake = self.wake();
            tokio::select! {
                biased;
                // Without a sender there is no server any more.
                news = self.parts.target.changed() => {
                    return news.map_err(|_gone| ReadError::Closed);
                }
                found = watch.next() => {
                    let found = found?;
                    let now = self.now().as_micros();
                    for change in &found {
                        self.take(change, now);
                    }
                    self.seen = watch.seen();
                }
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)),
                    if wake.is_some() => self.act().await?,
            }
        }
    }

    /// Another target is another destination, perhaps: what failed is tried at once.
    fn retarget(&mut self) {
        self.parts.monitor.begin();
        self.backoff = Backoff::default();
        self.refusals_in_a_row = 0;
        self.refusal = None;
        self.queue.forgive();
        self.paused_until = Instant::now();
        if let Err(reason) = &self.parts.target.borrow_and_update().notifier {
            self.parts.monitor.failed(reason.clone(), true);
        }
    }

    /// Queues every signal that may have something to send; the revision of the list.
    async fn list(&mut self) -> Result<u64, ReadError> {
        let mut options = ListOptions { limit: PAGE_ROWS, ..ListOptions::default() };
        let mut gone: BTreeSet<String> = self.queue.names().cloned().collect();
        loop {
            let page = self.parts.storage.list(SIGNALS_PREFIX, options.clone()).await?;
            let looked = *self.looked.get_or_insert(page.revision);
            for object in &page.items {
                let name = name_of(object);
                gone.remove(name);
                let is_known = self.queue.get(name).is_some_and(|entry| entry.record.is_some());
                if is_known || !is_past(object, looked) {
                    self.queue.changed(name, object.revision, 0);
                }
            }
            options.at = Some(page.revision);
            options.start_after = page.next;
            if options.start_after.is_none() {
                for name in &gone {
                    self.forget(name);
                }
                return Ok(page.revision);
            }
        }
    }

    fn take(&mut self, change: &Change, now: i64) {
        let name = name_of(&change.object);
        if change.kind == ChangeKind::Deleted {
            self.forget(name);
            return;
        }
        // A person who works on what has ended makes no news of it.
        let is_closed = |object: &Object| Summary::of(&object.body).is_ok_and(|one| one.is_closed);
        let is_unknown = self.queue.get(name).is_none();
        if is_unknown && change.previous.as_deref().is_some_and(is_closed) {
            return;
        }
        self.queue.changed(name, change.revision, now);
    }

    /// A signal is gone.
    fn forget(&mut self, name: &str) {
        let Some(entry) = self.queue.remove(name) else { return };
        if entry.record.is_some() {
            self.unsaved.insert(name.to_owned());
            self.save_at.get_or_insert(Instant::now() + SAVE_WAIT);
        }
    }

    /// Looks at the signals whose time has come.
    async fn look(&mut self) -> Result<(), ReadError> {
        for _ in 0..LOOKS_MAX {
            let Some(name) = self.queue.pop_due(self.now().as_micros()) else { return Ok(()) };
            let Some((_, step)) = self.examine(&name).await? else { continue };
            self.settle(&name, step);
        }
        Ok(())
    }

    /// The newest state of a signal, and what is to be done. None if it is gone or cannot be read.
    async fn examine(&mut self, name: &str) -> Result<Option<(Arc<Object>, Step)>, ReadError> {
        let found = self.parts.storage.get(&format!("{SIGNALS_PREFIX}{name}")).await?;
        let Some(object) = found else {
            self.forget(name);
            return Ok(None);
        };
        let summary = match Summary::of(&object.body) {
            Ok(summary) => summary,
            Err(error) => {
                let notifier = self.parts.name.as_str();
                tracing::warn!(notifier, signal = name, %error, "signal is not sent");
                self.queue.remove(name);
                return Ok(None);
            }
        };
        let record = self.queue.get(name).and_then(|entry| entry.record.as_ref());
        let target = self.parts.target.borrow();
        let resend = target.notifier.as_ref().ok().and_then(|one| one.resend_interval());
        let step = decide::next(&summary, record, &target, resend, self.now());
        Ok(Some((object, step)))
    }

    fn settle(&mut self, name: &str, step: Step) {
        match step {
            Step::Send(_) => self.queue.make_ready(name),
            Step::Wait(until) => self.queue.look_at(name, until.as_micros()),
            Step::Rest => {
                self.queue.idle(name);
                if self.queue.get(name).is_some_and(|entry| entry.record.is_none()) {
                    self.queue.remove(name);
                }
            }
            Step::End => {
                self.queue.idle(name);
                if let Some(record) =
                    self.queue.get_mut(name).and_then(|entry| entry.record.as_mut())
                {
                    record.is_closed = true;
                    self.unsaved.insert(name.to_owned());
                    self.save_at.get_or_insert(Instant::now() + SAVE_WAIT);
                }
            }
        }
    }

    /// When something is to be done.
    fn wake(&self) -> Option<Instant> {
        let due = self.queue.next_due().map(|due| {
            let wait = u64::try_from(due.saturating_sub(self.now().as_micros())).unwrap_or(0);
            Instant::now() + Duration::from_micros(wait)
        });
        let can_send = self.parts.target.borrow().notifier.is_ok();
        let ready = self.queue.next_ready().filter(|_| can_send).map(|_| self.paused_until);
        [due, ready, self.save_at].into_iter().flatten().min()
    }

    /// Writes what is to be written, and sends one notification if one may be sent.
    async fn act(&mut self) -> Result<(), ReadError> {
        let now = Instant::now();
        if self.save_at.is_some_and(|at| at <= now) {
            self.save().await;
        }
        let notifier = self.parts.target.borrow().notifier.clone();
        let (Ok(notifier), Some(name)) = (notifier, self.queue.next_ready()) else { return Ok(()) };
        if self.paused_until > now {
            return Ok(());
        }
        let Some((object, step)) = self.examine(&name).await? else { return Ok(()) };
        let Step::Send(event) = step else {
            self.settle(&name, step);
            return Ok(());
        };
        let Some(notification) = self.notification(&name, &object, event) else { return Ok(()) };
        let mut target = self.parts.target.clone();
        let began = Instant::now();
        let sent = tokio::select! {
            sent = notifier.send(&notification) => sent,
            // It is sent to where it is to go now; the loop hears of it, too.
            _ = target.changed() => return Ok(()),
        };
        match sent {
            Ok(()) => self.succeeded(&name, object.revision, &notification).await,
            Err(error) => self.failed(&name, &error, began + notifier.no_response_delay()),
        }
        Ok(())
    }

    fn notification(&mut self, name: &str, object: &Object, event: Event) -> Option<Notification> {
        let record = self.queue.get(name).and_then(|entry| entry.record.as_ref());
        let told = record.map(|record| Told {
            severity: record.severity,
            user: record.user.clone(),
            opened_at: record.opened_at,
        });
        let id = notification_id(&self.parts.uid, name, event, object.revision);
        match Notification::of(id, event, &object.body, told, self.now()) {
            Ok(notification) => Some(notification),
            Err(error) => {
                let notifier = self.parts.name.as_str();
                tracing::warn!(notifier, signal = name, %error, "signal is not sent");
                self.queue.remove(name);
                None
            }
        }
    }

    async fn succeeded(&mut self, name: &str, revision: u64, sent: &Notification) {
        let notifier = self.parts.name.as_str();
        if self.backoff.attempts() > 0 {
            tracing::info!(notifier, "notifier takes signals again");
        }
        self.backoff = Backoff::default();
        self.refusals_in_a_row = 0;
        self.queue.set_refused(name, false);
        if self.queue.waiting().1 == 0 {
            self.refusal = None;
        }
        let spec = &sent.signal.spec;
        let told = sent.told.clone().unwrap_or_else(|| Told {
            severity: spec.severity,
            user: spec.actor.username.clone(),
            opened_at: sent.sent_at,
        });
        let Some(entry) = self.queue.get_mut(name) else { return };
        let known = entry.record.as_ref().map_or(0, |record| record.revision);
        let is_news = sent.event != Event::Updated || revision > known;
        entry.record = Some(Record {
            revision,
            severity: spec.severity.max(told.severity),
            count: spec.count,
            user: told.user,
            opened_at: told.opened_at,
            sent_at: sent.sent_at,
            is_closed: sent.event == Event::Closed,
        });
        self.queue.look_at(name, sent.sent_at.as_micros());
        self.parts.metrics.sent(&self.parts.name, sent.sent_at);
        self.parts.monitor.succeeded(is_news.then_some(sent.sent_at), self.refusal.clone());
        self.unsaved.insert(name.to_owned());
        self.save().await;
    }

    fn failed(&mut self, name: &str, error: &NotifyError, silence_until: Instant) {
        self.parts.metrics.failed(&self.parts.name);
        let wait = match error {
            NotifyError::NoResponse { is_connect_error: true } => {
                self.backoff.failed_within(WAIT_MAX_UNREACHED)
            }
            NotifyError::Retry { after, .. } => {
                self.backoff.failed().max(after.unwrap_or_default().min(RETRY_AFTER_MAX))
            }
            NotifyError::Refused { .. } => self.refused(name),
            _ => self.backoff.failed_within(WAIT_MAX),
        };
        self.paused_until = Instant::now() + wait;
        let (notifier, wait_ms) = (self.parts.name.as_str(), wait.as_millis());
        tracing::warn!(notifier, signal = name, wait_ms, reason = %error, "notification failed");
        match error {
            NotifyError::NoResponse { .. } => self.parts.monitor.fell_silent(silence_until),
            error => {
                let is_misconfigured = matches!(error, NotifyError::Misconfigured { .. });
                self.parts.monitor.failed(error.to_string(), is_misconfigured);
                if matches!(error, NotifyError::Refused { .. }) {
                    self.refusal = Some(error.to_string());
                }
            }
        }
    }

    /// One notification is refused: it waits by itself. How long everything waits.
    fn refused(&mut self, name: &str) -> Duration {
        let now = self.now().as_micros();
        if let Some(entry) = self.queue.get_mut(name) {
            let wait = entry.refusals.failed_within(REFUSED_WAIT_MAX);
            let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
            self.queue.set_refused(name, true);
            self.queue.look_at(name, now.saturating_add(wait));
        }
        self.refusals_in_a_row = self.refusals_in_a_row.saturating_add(1);
        if self.refusals_in_a_row < REFUSALS_IN_A_ROW_MAX {
            return Duration::ZERO;
        }
        self.backoff.failed()
    }

    /// Writes what was told since the last time. It is kept in memory until that works, and signals
    /// are sent meanwhile: people need them most when the disk is full.
    async fn save(&mut self) {
        let names = self.unsaved.iter();
        let record = |name: &String| self.queue.get(name).and_then(|entry| entry.record.clone());
        let changes = names.map(|name| (name.clone(), record(name))).collect();
        let cursor = self.queue.cursor(self.seen);
        let written = records::write(&*self.parts.storage, &self.parts.uid, changes, cursor).await;
        match written {
            Ok(()) => {
                self.unsaved.clear();
                self.save_at = None;
                self.parts.monitor.moved(cursor);
            }
            Err(error) => {
                let notifier = self.parts.name.as_str();
                tracing::warn!(notifier, %error, "what a notifier was told cannot be stored yet");
                self.save_at = Some(Instant::now() + SAVE_WAIT);
            }
        }
    }

    fn now(&self) -> Timestamp {
        (self.parts.clock)()
    }
}

fn name_of(object: &Object) -> &str {
    object.key.strip_prefix(SIGNALS_PREFIX).unwrap_or_default()
}

/// Whether a signal of which nothing was told has ended before this notifier could know of it, or
/// since, and a person has seen to it.
fn is_past(object: &Object, looked: u64) -> bool {
    Summary::of(&object.body)
        .is_ok_and(|one| one.is_closed && (object.revision <= looked || one.is_triaged))
}
