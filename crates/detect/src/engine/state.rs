//! The state of the engine, and the order in which hits and timers are processed.
//!
//! A hit waits until no earlier one can arrive; timers use event time. Both are processed in one
//! order, which depends on times and identities and not on the order of arrival. Therefore a replay
//! gives the same signals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event::{SignalState, Timestamp};

use super::clock::{Admitted, Clock, Timed};
use super::codec::saved_struct;
use super::digest::Digest;
use super::hit::{Hit, Identity};
use super::identities::Identities;
use super::impersonations::Impersonations;
use super::plan::{Plan, PlannedBody};
use super::requests::{Bounds, Requests};
use super::settings::{Settings, UNORDERED_LATENESS, UPDATE_DELAY};
use super::table::Table;
use super::{ChangeKind, Match, SignalChange};

/// The state of the engine, which a checkpoint contains.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) identities: Identities,
    pub(crate) requests: Requests,
    pub(crate) impersonations: Impersonations,
    pub(crate) waiting: Waiting,
    /// The state of each rule, by index.
    pub(crate) tables: Vec<Table>,
    /// Approximate size of all windows, in bytes.
    pub(crate) windows_len: usize,
    pub(crate) timers: BTreeSet<Timer>,
    pub(crate) counters: Counters,
    /// Numbers of suppressed signals and events, by suppression.
    pub(crate) suppressed: BTreeMap<Arc<str>, (u64, u64)>,
}

/// Totals since the engine was created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) events: u64,
    pub(crate) hits: u64,
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
    pub(crate) clamped: u64,
    pub(crate) released_early: u64,
}

saved_struct!(Counters { events, hits, duplicates, late, clamped, released_early });

/// Waiting hits in the order in which they count: by release time, event time, cluster and
/// identity.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    hits: BTreeMap<(i64, i64, Arc<str>, Identity), Hit>,
    bytes: usize,
}

impl Waiting {
    pub(crate) fn insert(&mut self, hit: Hit) {
        let key = (hit.release(), hit.time, Arc::clone(&hit.cluster), hit.identity.clone());
        self.bytes += hit.len();
        if let Some(replaced) = self.hits.insert(key, hit) {
            self.bytes -= replaced.len();
        }
    }

    fn next_release(&self) -> Option<i64> {
        self.hits.first_key_value().map(|((release, ..), _)| *release)
    }

    fn pop(&mut self) -> Option<Hit> {
        let (_, hit) = self.hits.pop_first()?;
        self.bytes -= hit.len();
        Some(hit)
    }

    pub(crate) fn hits(&self) -> impl ExactSizeIterator<Item = &Hit> {
        self.hits.values()
    }
}

/// An action that is due when the clock passes a time. At equal times, timers precede hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) at: i64,
    pub(crate) kind: TimerKind,
    pub(crate) rule: u32,
    pub(crate) key: Digest,
}

/// The action of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// Remove a window if it is empty.
    Expire,
    /// Raise an absence signal if the group had no event.
    Absence,
    /// Send a delayed update of a signal.
    Update,
    /// Close a signal if it had no event.
    Close,
}

/// The context of an action: everything but the state.
pub(crate) struct StepContext<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) settings: &'a Settings,
    pub(crate) changes: &'a mut Vec<SignalChange>,
    /// Collects matches, if the caller wants them.
    pub(crate) matches: Option<&'a mut Vec<Match>>,
}

impl State {
    /// Adds an event, whose time the clock decides.
    pub(crate) fn arrive(&mut self, context: &mut StepContext<'_>, timed: Timed) {
        let before = self.clock.now();
        let admitted = self.clock.admit(context.settings.jump_max(), timed);
        self.admit(context, admitted, before);
    }

    /// Ends the input: counts all waiting events, raises absences up to the last event, because no
    /// late event can follow, and sends all delayed updates.
    pub(crate) fn finish(&mut self, context: &mut StepContext<'_>) {
        let before = self.clock.now();
        let admitted = self.clock.finish(context.settings.jump_max());
        self.admit(context, admitted, before);
        self.act(context, None);
        self.raise_absences(context);
        let is_update = |timer: &&Timer| timer.kind == TimerKind::Update;
        let waiting: Vec<Timer> = self.timers.iter().filter(is_update).copied().collect();
        for timer in waiting {
            self.timers.remove(&timer);
            self.update(context, timer);
        }
    }

    /// Raises the signals of groups without an event for the time span before now, in the order in
    /// which they were due.
    fn raise_absences(&mut self, context: &mut StepContext<'_>) {
        let Some(now) = self.clock.now() else { return };
        let mut due = Vec::new();
        for (rule, (planned, table)) in (0..).zip(context.plan.rules.iter().zip(&self.tables)) {
            let PlannedBody::Absence(timespan, _) = &planned.body else { continue };
            let silent = table.absences.iter().filter(|(_, absence)| !absence.is_raised);
            let timers = silent.map(|(key, absence)| {
                let at = absence.last.saturating_add(*timespan);
                Timer { at, kind: TimerKind::Absence, rule, key: *key }
            });
            due.extend(timers.filter(|timer| timer.at <= now));
        }
        due.sort_unstable();
        for timer in due {
            // No late event can follow.
            self.raise_absence(context, Timer { at: i64::MAX, ..timer });
        }
    }

    /// Queues events. `before` is the time of the clock before they advanced it.
    fn admit(
        &mut self,
        context: &mut StepContext<'_>,
        admitted: Vec<Admitted>,
        before: Option<i64>,
    ) {
        for Admitted { time, arrival, clamped, timed } in admitted {
            self.counters.clamped += u64::from(clamped);
            if let Some(mut skewed) = timed.skewed.filter(|_| clamped) {
                skewed.time = time;
                self.wait(context, *skewed, arrival, before);
            }
            if let Some(mut hit) = timed.hit {
                hit.time = time;
                self.wait(context, *hit, arrival, before);
            }
        }
        // All events are queued first, because the last one sets the clock.
        if let Some(now) = self.clock.now() {
            self.act(context, Some(now));
        }
    }

    /// Queues a hit, unless it is a duplicate.
    fn wait(
        &mut self,
        context: &mut StepContext<'_>,
        mut hit: Hit,
        arrival: i64,
        before: Option<i64>,
    ) {
        let limits = &context.settings.limits;
        if !self.identities.insert(arrival, hit.identity.digest, limits.identities) {
            self.counters.duplicates += 1;
            return;
        }
        self.counters.hits += 1;
        let now = before.map_or(arrival, |before| before.max(arrival));
        // Events of a source without a lateness bound always have a small delay.
        let tolerance = if hit.lateness == 0 { UNORDERED_LATENESS } else { 0 };
        if hit.release().saturating_add(tolerance) < now {
            // The state that it changes is retained as long as for an event in time.
            hit.lateness = now.saturating_sub(hit.time);
            self.counters.late += 1;
        }
        self.waiting.insert(hit);
        while self.waiting.hits.len() > limits.waiting_events
            || self.waiting.bytes > limits.waiting_bytes
        {
            let Some(hit) = self.waiting.pop() else { return };
            self.counters.released_early += 1;
            self.report_pressure(context, "(events that wait to be counted in order)", &hit);
            self.release(context, hit);
        }
    }

    /// Counts a hit, except for rules for which another source reported the request.
    fn release(&mut self, context: &mut StepContext<'_>, mut hit: Hit) {
        if hit.request != Digest::default() {
            let source = Digest::of([hit.source.as_bytes()]);
            let (plan, settings) = (context.plan, context.settings);
            let (lateness_max, requests_max) =
                (settings.lateness_max(), settings.limits.identities);
            let bounds = Bounds { lateness_max, requests_max };
            let mut is_new = |rule: u32| {
                let fingerprint = plan.rule(rule).map(|rule| rule.fingerprint).unwrap_or_default();
                self.requests.insert(source, (hit.time, hit.request, fingerprint), bounds)
            };
            let known: Vec<u32> =
                hit.matched.iter().copied().filter(|rule| !is_new(*rule)).collect();
            if !known.is_empty() {
                hit.matched.retain(|rule| !known.contains(rule));
                hit.parts.retain(|part| !known.contains(&part.rule));
                if hit.matched.is_empty() {
                    self.counters.duplicates += 1;
                    return;
                }
            }
        }
        let joined = self.join_impersonation(context, &mut hit);
        if hit.parts.is_empty() {
            self.counters.duplicates += 1;
            return;
        }
        self.count(context, &hit, &joined);
    }

    /// Whether a timer or a waiting event is due by `now`.
    pub(crate) fn is_due(&self, now: i64) -> bool {
        let timer = self.timers.first().map(|timer| timer.at);
        [timer, self.waiting.next_release()].into_iter().flatten().any(|at| at <= now)
    }

    /// Processes all timers and hits that are due by `now`; with `None`, all hits.
    pub(crate) fn act(&mut self, context: &mut StepContext<'_>, now: Option<i64>) {
        let until =
            now.map_or(i64::MAX, |now| self.clock.now().map_or(now, |clock| clock.max(now)));
        loop {
            let hit = self.waiting.next_release().filter(|release| *release <= until);
            // At the end of the input the clock does not advance beyond the last hit.
            let timers_until = if now.is_some() { Some(until) } else { hit };
            let timer = self.timers.first().copied().filter(|timer| {
                timers_until.is_some_and(|until| timer.at <= until)
                    && hit.is_none_or(|release| timer.at <= release)
            });
            if let Some(timer) = timer {
                self.timers.remove(&timer);
                self.fire(context, timer);
            } else if hit.is_some() {
                if let Some(hit) = self.waiting.pop() {
                    self.release(context, hit);
                }
            } else {
                return;
            }
        }
    }

    fn fire(&mut self, context: &mut StepContext<'_>, timer: Timer) {
        match timer.kind {
            TimerKind::Expire => self.remove_expired_window(context.plan, timer),
            TimerKind::Absence => self.raise_absence(context, timer),
            TimerKind::Update => self.update(context, timer),
            TimerKind::Close => self.close(context, timer),
        }
    }

    /// Removes an empty window. Its timer was set when the window was created.
    fn remove_expired_window(&mut self, plan: &Plan, timer: Timer) {
        let Some(PlannedBody::Window(spec, _)) = plan.rule(timer.rule).map(|rule| &rule.body)
        else {
            return;
        };
        let Some(table) = self.tables.get_mut(timer.rule as usize) else { return };
        let Some(window) = table.windows.get(&timer.key) else { return };
        let due = table.window_end(&timer.key, window, spec);
        if due > timer.at {
            self.timers.insert(Timer { at: due, ..timer });
        } else if let Some(window) = table.windows.remove(&timer.key) {
            table.late.remove(&timer.key);
            let uncovered = table.uncovered.remove(&timer.key);
            let freed = window.len() + uncovered.map_or(0, |events| events.len());
            self.windows_len = self.windows_len.saturating_sub(freed);
        }
    }

    /// Sends a delayed update.
    fn update(&mut self, context: &mut StepContext<'_>, timer: Timer) {
        let open_signals =
            self.tables.get_mut(timer.rule as usize).map(|table| &mut table.open_signals);
        let Some(open_signal) =
            open_signals.and_then(|open_signals| open_signals.get_mut(&timer.key))
        else {
            return;
        };
        if open_signal.flush_at == Some(timer.at) {
            context.report_update(timer.rule, open_signal, timer.at);
        }
    }

    fn close(&mut self, context: &mut StepContext<'_>, timer: Timer) {
        let Some(rule) = context.plan.rule(timer.rule) else { return };
        let Some(table) = self.tables.get_mut(timer.rule as usize) else { return };
        let Some(open_signal) = table.open_signals.get(&timer.key) else { return };
        let due = open_signal.due(rule).saturating_add(open_signal.lateness);
        if due > timer.at {
            self.timers.insert(Timer { at: due, ..timer });
        } else if let Some(mut open_signal) = table.open_signals.remove(&timer.key) {
            let at = open_signal.due(rule);
            context.report(timer.rule, &mut open_signal, ChangeKind::Closed, at);
        }
    }
}

impl StepContext<'_> {
    /// Reports a change of a signal, unless the signal is suppressed.
    pub(crate) fn report(
        &mut self,
        rule: u32,
        open_signal: &mut super::open_signal::OpenSignal,
        kind: ChangeKind,
        at: i64,
    ) {
        let unlisted = open_signal.targets.take_unlisted();
        let Some(planned) = self.plan.rule(rule).filter(|_| open_signal.suppressed_by.is_none())
        else {
            return;
        };
        let state = match kind {
            ChangeKind::Opened => SignalState::Open,
            ChangeKind::Updated => SignalState::Updated,
            ChangeKind::Closed => SignalState::Closed,
        };
        self.changes.push(SignalChange {
            kind,
            signal: Arc::new(self.plan.to_signal(planned, open_signal, state)),
            rule: self.plan.public_index(rule),
            at: Timestamp::from_micros(at),
            unlisted,
        });
    }

    /// Sends an update now.
    pub(crate) fn report_update(
        &mut self,
        rule: u32,
        open_signal: &mut super::open_signal::OpenSignal,
        at: i64,
    ) {
        open_signal.is_updated = true;
        open_signal.reported = open_signal.count;
        open_signal.flush_at = None;
        self.report(rule, open_signal, ChangeKind::Updated, at);
    }
}

impl State {
    /// Sends an update now, or delays it.
    pub(crate) fn report_soon(
        context: &mut StepContext<'_>,
        timers: &mut BTreeSet<Timer>,
        (rule, key): (u32, Digest),
        open_signal: &mut super::open_signal::OpenSignal,
        (now, rises): (i64, bool),
    ) {
        if rises || open_signal.needs_immediate_update() {
            context.report_update(rule, open_signal, now);
        } else if open_signal.flush_at.is_none() {
            let at = now.saturating_add(UPDATE_DELAY);
            open_signal.flush_at = Some(at);
            timers.insert(Timer { at, kind: TimerKind::Update, rule, key });
        }
    }
}
