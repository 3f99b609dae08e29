//! Counts an event for each of its rules, then raises signals.

use std::sync::Arc;

use event::Timestamp;

use super::ChangeKind;
use super::Match;
use super::digest::Digest;
use super::event_summary::{EventSummary, Packed};
use super::hit::{Group, Hit, Identity, Part};
use super::impersonations::{Joined, RuleGroup};
use super::memory::Known;
use super::open_signal::{Marks, OpenSignal, SignalEvent};
use super::plan::{PlannedBody, PlannedRule};
use super::settings::MARK_RETENTION;
use super::state::{State, StepContext, Timer, TimerKind};
use super::table::{AbsenceState, GroupKey, Table, group_key};
use super::window::{InsertedEvent, Spec, Window, WindowResult};

/// The result of counting an event for one rule.
struct Outcome<'a> {
    part: &'a Part,
    rank: u32,
    result: WindowResult,
    positions: Vec<u16>,
    /// Key of the window.
    window_key: GroupKey,
    marks: Marks,
    /// Whether the signals of another source's event about the request say as much.
    is_superfluous: bool,
}

impl State {
    /// Counts an event for all of its rules.
    pub(crate) fn count(&mut self, context: &mut StepContext<'_>, hit: &Hit, joined: &Joined) {
        let plan = context.plan;
        let mut parts: Vec<(u32, &Part)> =
            hit.parts.iter().filter_map(|part| Some((plan.rule(part.rule)?.rank, part))).collect();
        parts.sort_by_key(|(rank, part)| (*rank, part.rule));
        let mut met = hit.matched.clone();
        let summary = hit.packed.unpack().map(|(summary, _)| summary).unwrap_or_default();
        let mut outcomes = Vec::with_capacity(parts.len());
        for (_, part) in parts {
            let Some(rule) = plan.rule(part.rule) else { continue };
            let positions = match &rule.body {
                PlannedBody::Detection => vec![0],
                body => part
                    .positions
                    .iter()
                    .copied()
                    .filter(|position| {
                        body.counted()
                            .get(usize::from(*position))
                            .is_some_and(|rule| met.contains(rule))
                    })
                    .collect(),
            };
            if positions.is_empty() {
                continue;
            }
            let mut outcome = self.count_part(context, (hit, &summary), part, positions);
            let severity = rule.severity_of(outcome.result.level.max(1));
            outcome.is_superfluous = joined.makes_superfluous(part.rule, severity);
            if outcome.result.met {
                met.push(part.rule);
                if let Some(matches) = &mut context.matches {
                    matches.push(Match {
                        rule: part.rule as usize,
                        audit_id: hit.identity.audit_id.to_string(),
                        time: Timestamp::from_micros(hit.time),
                    });
                }
            }
            outcomes.push(outcome);
        }
        let groups = outcomes.iter().filter(|outcome| outcome.window_key.coarse == 0);
        let groups = groups.filter_map(|outcome| {
            let rule = plan.rule(outcome.part.rule)?.fingerprint;
            Some(RuleGroup { rule, key: outcome.window_key.key })
        });
        if !joined.is_second {
            self.remember_impersonation(hit, groups.collect(), context.settings.lateness_max());
        }
        // A superseding signal opens before those that it supersedes.
        outcomes.sort_by_key(|outcome| outcome.rank);
        for outcome in outcomes {
            if plan.rule(outcome.part.rule).is_some_and(|rule| rule.raises) {
                self.raise(context, hit, &outcome);
            }
        }
    }

    fn count_part<'a>(
        &mut self,
        context: &mut StepContext<'_>,
        (hit, summary): (&Hit, &EventSummary),
        part: &'a Part,
        positions: Vec<u16>,
    ) -> Outcome<'a> {
        let window_key = GroupKey { key: part.group.key(0), coarse: 0, is_forced: false };
        let mut outcome = Outcome {
            part,
            rank: 0,
            result: WindowResult::default(),
            positions,
            window_key,
            marks: Marks::default(),
            is_superfluous: false,
        };
        let Some(rule) = context.plan.rule(part.rule) else { return outcome };
        outcome.rank = rule.raise_rank;
        let values_max = context.settings.limits.values_per_rule;
        let Some(table) = self.tables.get_mut(part.rule as usize) else { return outcome };
        table.counters.matched += 1;
        if rule.raises && context.plan.public_index(part.rule).is_some() {
            outcome.marks = marks(table, hit, summary, values_max);
        }
        match &rule.body {
            PlannedBody::Detection => {
                let (met, is_full) = is_new(table, rule, hit, part, values_max);
                outcome.result = WindowResult { met, level: 0 };
                if is_full {
                    self.report_pressure(context, &rule.id, hit);
                }
            }
            PlannedBody::Window(spec, _) => {
                self.count_in_window(context, hit, rule, spec, &mut outcome);
            }
            PlannedBody::Absence(timespan, _) => {
                self.restart_absence_timer(context, hit, part, *timespan, &outcome);
            }
        }
        outcome
    }

    fn count_in_window(
        &mut self,
        context: &mut StepContext<'_>,
        hit: &Hit,
        rule: &PlannedRule,
        spec: &Spec,
        outcome: &mut Outcome<'_>,
    ) {
        let limits = &context.settings.limits;
        let part = outcome.part;
        let Some(table) = self.tables.get_mut(part.rule as usize) else { return };
        let len_max =
            if self.windows_len < limits.state_bytes { limits.groups_per_rule } else { 0 };
        let windows = &table.windows;
        outcome.window_key =
            group_key(&part.group, 0, |key| windows.contains_key(key), windows.len(), len_max);
        table.counters.coarse += u64::from(outcome.window_key.is_forced);
        let key = outcome.window_key.key;
        let is_in_signal = rule.raises && table.open_signals.contains_key(&key);
        // A signal that opens later may need an event of an open signal, but half of the memory is
        // reserved for events that no signal contains yet.
        let evidence_bytes = limits.evidence_bytes / if is_in_signal { 2 } else { 1 };
        let summary = rule.raises.then(|| {
            if self.windows_len < evidence_bytes {
                hit.packed.clone()
            } else {
                hit.packed.without_evidence()
            }
        });
        let timers = &mut self.timers;
        let spec = &table.window_spec(key, spec, hit);
        let window = table.windows.entry(key).or_insert_with(|| {
            let at = hit.time.saturating_add(spec.horizon);
            timers.insert(Timer { at, kind: TimerKind::Expire, rule: part.rule, key });
            self.windows_len += super::window::WINDOW_LEN;
            Window::new(spec)
        });
        let before = window.len();
        let event = InsertedEvent {
            time: hit.time,
            positions: &outcome.positions,
            value: part.value,
            marks: outcome.marks,
            is_in_signal,
        };
        outcome.result = window.insert(spec, &event, summary);
        self.windows_len = (self.windows_len + window.len()).saturating_sub(before);
        if outcome.window_key.is_forced {
            self.report_pressure(context, &rule.id, hit);
        }
    }

    /// Adds an event to the signal of its group, and opens a signal if the condition is met.
    fn raise(&mut self, context: &mut StepContext<'_>, hit: &Hit, outcome: &Outcome<'_>) {
        let (plan, settings, part) = (context.plan, context.settings, outcome.part);
        let Some(rule) = plan.rule(part.rule) else { return };
        if matches!(rule.body, PlannedBody::Absence(..)) {
            return;
        }
        let counted = (hit, part, outcome.window_key.key);
        let superseded = self.is_superseded(plan, rule, counted, outcome.result.met);
        let Some(table) = self.tables.get_mut(part.rule as usize) else { return };
        let open_signals = &table.open_signals;
        let len_max = settings.limits.signals_per_rule;
        let signal_key = group_key(
            &part.group,
            outcome.window_key.coarse,
            |key| open_signals.contains_key(key),
            open_signals.len(),
            len_max,
        );
        let is_open = table.open_signals.contains_key(&signal_key.key);
        // A known value does not meet the condition of a first-seen rule.
        let is_old = rule.first_seen.is_some() || !is_open || signal_key.is_forced;
        if !outcome.result.met && is_old {
            return;
        }
        if !is_open && (superseded || outcome.is_superfluous) {
            table.counters.superseded += 1;
            return;
        }
        if let Some(suppression) = &part.suppressed_by {
            let (signals, events) = self.suppressed.entry(Arc::clone(suppression)).or_default();
            *signals += u64::from(!is_open);
            *events += 1;
        }
        let is_memory_low = self.windows_len >= settings.limits.evidence_bytes / 2;
        let counted = (outcome, &*plan.k10_namespace, is_memory_low);
        let freed;
        let window = table.windows.get_mut(&outcome.window_key.key);
        if let Some(open_signal) = table.open_signals.get_mut(&signal_key.key) {
            // The signal of the window's own group already has the events of the window.
            let window = window.filter(|_| signal_key.key != outcome.window_key.key);
            freed = add_window_events(window, rule, (open_signal, false), hit, counted);
            open_signal.delay_close(rule, hit, settings.lateness_of(&hit.source));
            let rises = open_signal.escalate(rule, level(outcome, open_signal));
            let now = hit.release();
            Self::report_soon(
                context,
                &mut self.timers,
                (part.rule, signal_key.key),
                open_signal,
                (now, rises),
            );
        } else {
            let opener = (hit.time, 0, hit.identity.digest);
            let mut open_signal =
                OpenSignal::open(rule, opener, Arc::clone(&part.group), signal_key.coarse);
            open_signal.suppressed_by.clone_from(&part.suppressed_by);
            freed = add_window_events(window, rule, (&mut open_signal, true), hit, counted);
            open_signal.delay_close(rule, hit, settings.lateness_of(&hit.source));
            open_signal.escalate(rule, level(outcome, &open_signal));
            open_signal.reported = open_signal.count;
            self.open(context, part.rule, signal_key.key, open_signal, hit.time);
        }
        self.windows_len = self.windows_len.saturating_sub(freed);
        if signal_key.is_forced {
            self.report_pressure(context, &rule.id, hit);
        }
    }

    /// Opens a signal and reports the change.
    fn open(
        &mut self,
        context: &mut StepContext<'_>,
        rule: u32,
        key: Digest,
        mut open_signal: OpenSignal,
        time: i64,
    ) {
        let Some(planned) = context.plan.rule(rule) else { return };
        let Some(table) = self.tables.get_mut(rule as usize) else { return };
        if open_signal.suppressed_by.is_none() {
            table.fired(time);
        }
        let at = open_signal.due(planned).saturating_add(open_signal.lateness);
        self.timers.insert(Timer { at, kind: TimerKind::Close, rule, key });
        context.report(rule, &mut open_signal, ChangeKind::Opened, time);
        table.open_signals.insert(key, Box::new(open_signal));
    }

    /// Restarts the absence timer of a group after an event.
    fn restart_absence_timer(
        &mut self,
        context: &mut StepContext<'_>,
        hit: &Hit,
        part: &Part,
        timespan: i64,
        outcome: &Outcome<'_>,
    ) {
        let limits = &context.settings.limits;
        let Some(rule) = context.plan.rule(part.rule) else { return };
        let Some(table) = self.tables.get_mut(part.rule as usize) else { return };
        let absences = &table.absences;
        let absence_key = group_key(
            &part.group,
            0,
            |key| absences.contains_key(key),
            absences.len(),
            limits.groups_per_rule,
        );
        let known = table.absences.get(&absence_key.key);
        if known.is_some_and(|known| known.last > hit.time) {
            return;
        }
        // A timer that fires too early is set again. If the new event has a smaller lateness, the
        // timer may fire too late.
        let is_set = known.is_some_and(|known| !known.is_raised && known.lateness <= hit.lateness);
        table.absences.insert(
            absence_key.key,
            AbsenceState {
                group: Arc::clone(&part.group),
                coarse: absence_key.coarse,
                last: hit.time,
                lateness: hit.lateness,
                identity: hit.identity.digest,
                packed: hit.packed.without_evidence(),
                position: outcome.positions.first().copied().unwrap_or_default(),
                suppressed_by: part.suppressed_by.clone(),
                is_raised: false,
            },
        );
        if !is_set {
            let due = hit.time.saturating_add(timespan).saturating_add(hit.lateness);
            self.timers.insert(Timer {
                at: due,
                kind: TimerKind::Absence,
                rule: part.rule,
                key: absence_key.key,
            });
        }
        if let Some(mut open_signal) = table.open_signals.remove(&absence_key.key) {
            open_signal.last = open_signal.last.max(hit.time);
            context.report(part.rule, &mut open_signal, ChangeKind::Closed, hit.time);
        }
        if absence_key.is_forced {
            self.report_pressure(context, &rule.id, hit);
        }
    }

    /// Raises the signal of a group without an event for the time span.
    pub(crate) fn raise_absence(&mut self, context: &mut StepContext<'_>, timer: Timer) {
        let Some(rule) = context.plan.rule(timer.rule) else { return };
        let PlannedBody::Absence(timespan, _) = &rule.body else { return };
        let Some(table) = self.tables.get_mut(timer.rule as usize) else { return };
        let Some(absence) = table.absences.get_mut(&timer.key).filter(|absence| !absence.is_raised)
        else {
            return;
        };
        let due = absence.last.saturating_add(*timespan);
        if due.saturating_add(absence.lateness) > timer.at {
            self.timers.insert(Timer { at: due.saturating_add(absence.lateness), ..timer });
            return;
        }
        absence.is_raised = true;
        let opener = (due, absence.lateness, absence.identity);
        let mut open_signal =
            OpenSignal::open(rule, opener, Arc::clone(&absence.group), absence.coarse);
        open_signal.suppressed_by.clone_from(&absence.suppressed_by);
        open_signal.add(&SignalEvent {
            time: absence.last,
            packed: &absence.packed,
            marks: Marks::default(),
            positions: &[absence.position],
            k10_namespace: &context.plan.k10_namespace,
        });
        open_signal.escalate(rule, 0);
        open_signal.reported = open_signal.count;
        if let Some(suppression) = &absence.suppressed_by {
            self.suppressed.entry(Arc::clone(suppression)).or_default().0 += 1;
        }
        if rule.raises {
            self.open(context, timer.rule, timer.key, open_signal, due);
        }
    }

    /// Raises the state-pressure signal: a bound of the state was reached.
    pub(crate) fn report_pressure(
        &mut self,
        context: &mut StepContext<'_>,
        about: &str,
        hit: &Hit,
    ) {
        let rule = context.plan.state_pressure;
        if hit.parts.iter().any(|part| context.plan.public_index(part.rule).is_none()) {
            // The built-in rules have bounds too, which raise no further signal.
            return;
        }
        let group =
            Group { cluster: Arc::from(""), values: vec![Arc::from(about)], salt: Arc::from("") };
        let part = Part {
            rule,
            positions: vec![0],
            group: Arc::new(group),
            value: Digest::default(),
            suppressed_by: None,
        };
        let identity = Identity {
            audit_id: Arc::clone(&hit.identity.audit_id),
            digest: Digest::of([&hit.identity.digest.0[..], about.as_bytes()]),
        };
        let reported = Hit { identity, parts: vec![part], matched: Vec::new(), ..hit.clone() };
        self.count(context, &reported, &Joined::default());
    }
}

/// The count that severity cases compare: that of the window, or of the signal.
fn level(outcome: &Outcome<'_>, open_signal: &OpenSignal) -> u64 {
    if outcome.result.level == 0 { open_signal.count } else { outcome.result.level }
}

/// Adds the events of a window to a new signal, or those that no signal contains yet to an open
/// one; without a window, the event itself. Returns the number of bytes that the window released.
fn add_window_events(
    window: Option<&mut Window>,
    rule: &PlannedRule,
    (open_signal, is_new): (&mut OpenSignal, bool),
    hit: &Hit,
    (outcome, k10_namespace, is_memory_low): (&Outcome<'_>, &str, bool),
) -> usize {
    let (PlannedBody::Window(spec, _), Some(window)) = (&rule.body, window) else {
        let (packed, marks) = (&hit.packed, outcome.marks);
        let positions = &outcome.positions;
        open_signal.add(&SignalEvent { time: hit.time, packed, marks, positions, k10_namespace });
        return 0;
    };
    let before = window.len();
    let empty = Packed::empty();
    for event in window.take_signal_events(spec, hit.time, (is_new, is_memory_low)) {
        let packed = event.packed.as_ref().unwrap_or(&empty);
        let (marks, positions) = (event.marks, &[event.position]);
        open_signal.add(&SignalEvent { time: event.time, packed, marks, positions, k10_namespace });
    }
    // The window may have no space for the details of the event that met the condition.
    open_signal.keep_newest(hit.time, &hit.packed);
    before.saturating_sub(window.len())
}

/// Whether the value of a first-seen rule is new and the learning time is over; and whether the
/// memory is full.
fn is_new(
    table: &mut Table,
    rule: &PlannedRule,
    hit: &Hit,
    part: &Part,
    values_max: usize,
) -> (bool, bool) {
    let Some((learning, retention)) = rule.first_seen else {
        return (true, false);
    };
    let learning_start = match table.learning.get(&hit.cluster) {
        Some(learning_start) => *learning_start,
        None if table.learning.len() < values_max => {
            table.learning.insert(Arc::clone(&hit.cluster), hit.time);
            hit.time
        }
        None => hit.time.saturating_sub(learning),
    };
    let value = Digest::of([hit.cluster.as_bytes(), &part.value.0]);
    let known = table.values.observe(hit.time, value, retention, values_max);
    let is_learned =
        hit.time.saturating_sub(learning_start) >= learning && hit.time != learning_start;
    (known != Known::Seen && (is_learned || (learning == 0)), known == Known::Full)
}

/// The parts of an event (user, user agent, addresses) that are new to this rule.
fn marks(table: &mut Table, hit: &Hit, summary: &EventSummary, values_max: usize) -> Marks {
    // An absent value is not new.
    let mut observe = |kind: &str, value: &str| {
        if value.is_empty() {
            return false;
        }
        let parts = [&*hit.cluster, kind, &summary.username, value].map(str::as_bytes);
        table.marks.observe(hit.time, Digest::of(parts), MARK_RETENTION, values_max) == Known::New
    };
    let mut marks = Marks::default();
    let mut mark = |bit: u8, is_new: bool| marks.0 |= if is_new { bit } else { 0 };
    mark(Marks::USER, observe("user", &summary.username));
    mark(Marks::USER_AGENT, observe("userAgent", &summary.user_agent));
    for (bit, ip) in summary.source_ips.iter().take(Marks::SOURCE_IPS_MAX).enumerate() {
        mark(Marks::SOURCE_IP << bit, observe("sourceIP", ip));
    }
    marks
}
