//! The task of one notifier: watches the signals, sends notifications, records what was accepted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use sink::notifier::{Event, LastSent, Notification, NotifyError, Summary, notification_id};
use store::{Change, ChangeKind, ListOptions, Object, ReadError, Storage};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decide::{self, Action};
use super::health::{HealthMonitor, Metrics};
use super::queue::Queue;
use super::records::{self, NotificationRecord};
use super::{Clock, RETRY_AFTER_MAX, SIGNALS_PREFIX, Target};
use crate::backoff::{Backoff, WAIT_MAX, WAIT_MAX_UNREACHED};

/// Maximum number of signals in a page of a list. Small, because their bodies are large.
const PAGE_ROWS: usize = 50;
/// Maximum number of signals that are evaluated in one step.
const EXAMINED_MAX: usize = 64;
/// The longest delay before a refused notification is sent again.
const REFUSED_WAIT_MAX: Duration = Duration::from_mins(10);
/// Number of consecutive refusals after which all notifications wait: the destination refuses
/// everything.
const CONSECUTIVE_REFUSALS_MAX: u32 = 3;
/// Delay before records that could not be written are written again.
const SAVE_WAIT: Duration = Duration::from_secs(5);

/// The configuration of a task, the store and its outputs.
pub(super) struct Context {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) clock: Clock,
    pub(super) target: watch::Receiver<Target>,
    pub(super) monitor: Arc<HealthMonitor>,
    pub(super) metrics: Metrics,
}

/// Runs one notifier.
pub(super) struct Task {
    context: Context,
    queue: Queue,
    /// Signals whose records are not written yet.
    unsaved: BTreeSet<String>,
    /// The time at which the records and the cursor are written.
    save_at: Option<Instant>,
    /// The revision up to which every signal was handled before the current list; `None` for a new
    /// notifier.
    handled_revision: Option<u64>,
    /// The revision up to which signals are in the queue.
    queued_revision: u64,
    /// Consecutive failures of the destination.
    backoff: Backoff,
    paused_until: Instant,
    consecutive_refusals: u32,
    /// The last refusal of a single notification.
    refusal: Option<String>,
}

impl Task {
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            queue: Queue::default(),
            unsaved: BTreeSet::new(),
            save_at: None,
            handled_revision: None,
            queued_revision: 0,
            backoff: Backoff::default(),
            paused_until: Instant::now(),
            consecutive_refusals: 0,
            refusal: None,
        }
    }

    /// Runs until it is stopped. Deletes all records if the notifier is removed.
    pub(super) async fn run(mut self, stop: CancellationToken, removed: CancellationToken) {
        tokio::select! {
            () = self.run_loop() => {}
            () = stop.cancelled() => {}
            () = removed.cancelled() => {}
        }
        if removed.is_cancelled() {
            records::delete(&*self.context.storage, &self.context.uid).await;
        }
    }

    /// Runs until the store is closed.
    async fn run_loop(&mut self) {
        let mut backoff = Backoff::default();
        let mut is_restored = false;
        loop {
            let done = if is_restored {
                self.list_and_watch().await
            } else {
                let restored = self.restore().await;
                is_restored = restored.is_ok();
                restored
            };
            match done {
                Ok(()) => backoff = Backoff::default(),
                Err(ReadError::Closed) => return,
                // The loop reads the list again.
                Err(ReadError::Compacted { .. }) => {}
                Err(error) => {
                    let notifier = self.context.name.as_str();
                    tracing::warn!(notifier, %error, "cannot read signals");
                    tokio::time::sleep(backoff.failed()).await;
                }
            }
        }
    }

    async fn restore(&mut self) -> Result<(), ReadError> {
        let records = records::read(&*self.context.storage, &self.context.uid).await?;
        self.handled_revision = records.cursor;
        self.queue = Queue::from_records(records.signals);
        Ok(())
    }

    /// Lists and watches the signals until the target changes.
    async fn list_and_watch(&mut self) -> Result<(), ReadError> {
        if self.queued_revision > 0 {
            self.handled_revision = Some(self.queue.cursor(self.queued_revision));
        }
        self.retarget();
        let revision = self.list().await?;
        let mut watch = self.context.storage.watch(SIGNALS_PREFIX, revision).await?;
        self.queued_revision = revision;
        self.save().await;
        loop {
            self.examine_due().await?;
            let (pending, refused) = self.queue.pending_counts();
            self.context.monitor.set_pending(pending, refused);
            self.context.metrics.set_pending(&self.context.name, pending);
            let next = self.next_wakeup();
            tokio::select! {
                biased;
                // The sender is dropped when the server stops.
                changed = self.context.target.changed() => {
                    return changed.map_err(|_gone| ReadError::Closed);
                }
                changes = watch.next() => {
                    let changes = changes?;
                    let now = self.now().as_micros();
                    for change in &changes {
                        self.apply_change(change, now);
                    }
                    self.queued_revision = watch.progress();
                }
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)),
                    if next.is_some() => self.run_due().await?,
            }
        }
    }

    /// Resets failures: the target may be another destination, so all signals are scheduled
    /// immediately.
    fn retarget(&mut self) {
        self.context.monitor.reset();
        self.backoff = Backoff::default();
        self.consecutive_refusals = 0;
        self.refusal = None;
        self.queue.retry_refused();
        self.paused_until = Instant::now();
        if let Err(reason) = &self.context.target.borrow_and_update().notifier {
            self.context.monitor.failed(reason.clone(), true);
        }
    }

    /// Queues every signal that may have to be sent. Returns the revision of the list.
    async fn list(&mut self) -> Result<u64, ReadError> {
        let mut options = ListOptions { limit: PAGE_ROWS, ..ListOptions::default() };
        let mut deleted: BTreeSet<String> = self.queue.names().cloned().collect();
        loop {
            let page = self.context.storage.list(SIGNALS_PREFIX, options.clone()).await?;
            let handled_revision = *self.handled_revision.get_or_insert(page.revision);
            for object in &page.items {
                let name = signal_name(object);
                deleted.remove(name);
                let is_known = self.queue.get(name).is_some_and(|entry| entry.record.is_some());
                if is_known || !needs_no_notification(object, handled_revision) {
                    self.queue.update(name, object.revision, 0);
                }
            }
            options.at = Some(page.revision);
            options.start_after = page.next;
            if options.start_after.is_none() {
                for name in &deleted {
                    self.forget(name);
                }
                return Ok(page.revision);
            }
        }
    }

    fn apply_change(&mut self, change: &Change, now: i64) {
        let name = signal_name(&change.object);
        if change.kind == ChangeKind::Deleted {
            self.forget(name);
            return;
        }
        // A change of a closed signal, for example its triage, is not sent.
        let is_closed =
            |object: &Object| Summary::parse(&object.body).is_ok_and(|summary| summary.is_closed);
        let is_unknown = self.queue.get(name).is_none();
        if is_unknown && change.previous.as_deref().is_some_and(is_closed) {
            return;
        }
        self.queue.update(name, change.revision, now);
    }

    /// Removes a deleted signal.
    fn forget(&mut self, name: &str) {
        let Some(entry) = self.queue.remove(name) else { return };
        if entry.record.is_some() {
            self.unsaved.insert(name.to_owned());
            self.save_at.get_or_insert(Instant::now() + SAVE_WAIT);
        }
    }

    /// Evaluates the signals that are due.
    async fn examine_due(&mut self) -> Result<(), ReadError> {
        for _ in 0..EXAMINED_MAX {
            let Some(name) = self.queue.pop_due(self.now().as_micros()) else { return Ok(()) };
            let Some((_, action)) = self.examine(&name).await? else { continue };
            self.apply(&name, action);
        }
        Ok(())
    }

    /// The current object of a signal, and the decision about it. `None` if it was deleted or
    /// cannot be read.
    async fn examine(&mut self, name: &str) -> Result<Option<(Arc<Object>, Action)>, ReadError> {
        let stored = self.context.storage.get(&format!("{SIGNALS_PREFIX}{name}")).await?;
        let Some(object) = stored else {
            self.forget(name);
            return Ok(None);
        };
        let summary = match Summary::parse(&object.body) {
            Ok(summary) => summary,
            Err(error) => {
                let notifier = self.context.name.as_str();
                tracing::warn!(notifier, signal = name, %error, "cannot read a signal; it is not sent");
                self.queue.remove(name);
                return Ok(None);
            }
        };
        let record = self.queue.get(name).and_then(|entry| entry.record.as_ref());
        let target = self.context.target.borrow();
        let resend = target.notifier.as_ref().ok().and_then(|notifier| notifier.resend_interval());
        let action = decide::decide(&summary, record, &target, resend, self.now());
        Ok(Some((object, action)))
    }

    fn apply(&mut self, name: &str, action: Action) {
        match action {
            Action::Send(_) => self.queue.make_ready(name),
            Action::Wait(until) => self.queue.examine_at(name, until.as_micros()),
            Action::Idle => {
                self.queue.set_idle(name);
                if self.queue.get(name).is_some_and(|entry| entry.record.is_none()) {
                    self.queue.remove(name);
                }
            }
            Action::MarkClosed => {
                self.queue.set_idle(name);
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

    /// The time of the next step.
    fn next_wakeup(&self) -> Option<Instant> {
        let due = self.queue.next_due().map(|due| {
            let delay = u64::try_from(due.saturating_sub(self.now().as_micros())).unwrap_or(0);
            Instant::now() + Duration::from_micros(delay)
        });
        let can_send = self.context.target.borrow().notifier.is_ok();
        let ready = self.queue.next_ready().filter(|_| can_send).map(|_| self.paused_until);
        [due, ready, self.save_at].into_iter().flatten().min()
    }

    /// Writes records that are due, and sends one notification if one is ready.
    async fn run_due(&mut self) -> Result<(), ReadError> {
        let now = Instant::now();
        if self.save_at.is_some_and(|save_at| save_at <= now) {
            self.save().await;
        }
        let notifier = self.context.target.borrow().notifier.clone();
        let (Ok(notifier), Some(name)) = (notifier, self.queue.next_ready()) else { return Ok(()) };
        if self.paused_until > now {
            return Ok(());
        }
        let Some((object, action)) = self.examine(&name).await? else { return Ok(()) };
        let Action::Send(event) = action else {
            self.apply(&name, action);
            return Ok(());
        };
        let Some(notification) = self.notification(&name, &object, event) else { return Ok(()) };
        let mut target = self.context.target.clone();
        let start = Instant::now();
        let sent = tokio::select! {
            sent = notifier.send(&notification) => sent,
            // The notification is sent to the new target; the loop handles the change.
            _ = target.changed() => return Ok(()),
        };
        match sent {
            Ok(()) => self.succeeded(&name, object.revision, &notification).await,
            Err(error) => self.failed(&name, &error, start + notifier.no_response_delay()),
        }
        Ok(())
    }

    fn notification(&mut self, name: &str, object: &Object, event: Event) -> Option<Notification> {
        let record = self.queue.get(name).and_then(|entry| entry.record.as_ref());
        let last_sent = record.map(|record| LastSent {
            severity: record.severity,
            user: record.user.clone(),
            opened_at: record.opened_at,
        });
        let id = notification_id(&self.context.uid, name, event, object.revision);
        match Notification::new(id, event, &object.body, last_sent, self.now()) {
            Ok(notification) => Some(notification),
            Err(error) => {
                let notifier = self.context.name.as_str();
                tracing::warn!(notifier, signal = name, %error, "cannot read a signal; it is not sent");
                self.queue.remove(name);
                None
            }
        }
    }

    async fn succeeded(&mut self, name: &str, revision: u64, sent: &Notification) {
        let notifier = self.context.name.as_str();
        if self.backoff.attempts() > 0 {
            tracing::info!(notifier, "notifier accepts signals again");
        }
        self.backoff = Backoff::default();
        self.consecutive_refusals = 0;
        self.queue.set_refused(name, false);
        if self.queue.pending_counts().1 == 0 {
            self.refusal = None;
        }
        let spec = &sent.signal.spec;
        let last_sent = sent.last_sent.clone().unwrap_or_else(|| LastSent {
            severity: spec.severity,
            user: spec.actor.username.clone(),
            opened_at: sent.sent_at,
        });
        let Some(entry) = self.queue.get_mut(name) else { return };
        let recorded_revision = entry.record.as_ref().map_or(0, |record| record.revision);
        let is_new = sent.event != Event::Updated || revision > recorded_revision;
        entry.record = Some(NotificationRecord {
            revision,
            severity: spec.severity.max(last_sent.severity),
            count: spec.count,
            user: last_sent.user,
            opened_at: last_sent.opened_at,
            sent_at: sent.sent_at,
            is_closed: sent.event == Event::Closed,
        });
        self.queue.examine_at(name, sent.sent_at.as_micros());
        self.context.metrics.sent(&self.context.name, sent.sent_at);
        self.context.monitor.succeeded(is_new.then_some(sent.sent_at), self.refusal.clone());
        self.unsaved.insert(name.to_owned());
        self.save().await;
    }

    fn failed(&mut self, name: &str, error: &NotifyError, report_at: Instant) {
        self.context.metrics.failed(&self.context.name);
        let delay = match error {
            NotifyError::NoResponse { is_connect_error: true } => {
                self.backoff.failed_within(WAIT_MAX_UNREACHED)
            }
            NotifyError::Retry { after, .. } => {
                self.backoff.failed().max(after.unwrap_or_default().min(RETRY_AFTER_MAX))
            }
            NotifyError::Refused { .. } => self.refused(name),
            _ => self.backoff.failed_within(WAIT_MAX),
        };
        self.paused_until = Instant::now() + delay;
        let (notifier, wait_ms) = (self.context.name.as_str(), delay.as_millis());
        tracing::warn!(notifier, signal = name, wait_ms, reason = %error, "notification failed");
        match error {
            NotifyError::NoResponse { .. } => self.context.monitor.no_response(report_at),
            error => {
                let is_misconfigured = matches!(error, NotifyError::Misconfigured { .. });
                self.context.monitor.failed(error.to_string(), is_misconfigured);
                if matches!(error, NotifyError::Refused { .. }) {
                    self.refusal = Some(error.to_string());
                }
            }
        }
    }

    /// Delays one refused notification. Returns the delay of all others.
    fn refused(&mut self, name: &str) -> Duration {
        let now = self.now().as_micros();
        if let Some(entry) = self.queue.get_mut(name) {
            let delay = entry.refusals.failed_within(REFUSED_WAIT_MAX);
            let delay = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
            self.queue.set_refused(name, true);
            self.queue.examine_at(name, now.saturating_add(delay));
        }
        self.consecutive_refusals = self.consecutive_refusals.saturating_add(1);
        if self.consecutive_refusals < CONSECUTIVE_REFUSALS_MAX {
            return Duration::ZERO;
        }
        self.backoff.failed()
    }

    /// Writes the records of sent notifications. Until that succeeds they are in memory, and
    /// signals are still sent, because they are most important when the disk is full.
    async fn save(&mut self) {
        let names = self.unsaved.iter();
        let record = |name: &String| self.queue.get(name).and_then(|entry| entry.record.clone());
        let changes = names.map(|name| (name.clone(), record(name))).collect();
        let cursor = self.queue.cursor(self.queued_revision);
        let written =
            records::write(&*self.context.storage, &self.context.uid, changes, cursor).await;
        match written {
            Ok(()) => {
                self.unsaved.clear();
                self.save_at = None;
                self.context.monitor.set_cursor(cursor);
            }
            Err(error) => {
                let notifier = self.context.name.as_str();
                tracing::warn!(notifier, %error, "cannot write the records of a notifier; trying again");
                self.save_at = Some(Instant::now() + SAVE_WAIT);
            }
        }
    }

    fn now(&self) -> Timestamp {
        (self.context.clock)()
    }
}

fn signal_name(object: &Object) -> &str {
    object.key.strip_prefix(SIGNALS_PREFIX).unwrap_or_default()
}

/// Whether an unsent signal need not be sent: it was closed before this notifier existed, or it is
/// closed and triaged.
fn needs_no_notification(object: &Object, handled_revision: u64) -> bool {
    Summary::parse(&object.body).is_ok_and(|summary| {
        summary.is_closed && (object.revision <= handled_revision || summary.is_triaged)
    })
}
