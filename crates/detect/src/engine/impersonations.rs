//! Joins the events of an impersonated request: kube-apiserver's event names the person and the user
//! that the request impersonates, and the event of an extension API server or of an admission webhook
//! only that user.
//!
//! The actors of the two events differ, so most rules count them in different groups, and both count:
//! a person who spreads requests over many impersonated users must still reach each threshold and each
//! severity. But the second event opens no signal of its own if open signals contain the first one and
//! are as severe: they name the person instead. In a group that both events have, it counts once.
//!
//! Deliberately absent: events of the same actor in two logs (module `requests`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use event::Severity;

use super::codec::{CheckpointError, Decoder, Saved, saved_struct};
use super::digest::Digest;
use super::hit::Hit;
use super::plan::{Plan, PlannedBody};
use super::requests::REQUEST_RETENTION;
use super::settings::{IMPERSONATIONS_MAX, REQUEST_TOLERANCE};
use super::state::{State, StepContext};

/// The events that wait for an event of another source about the same request.
#[derive(Debug, Default)]
pub(crate) struct Impersonations {
    known: BTreeMap<Digest, Record>,
    /// Oldest first; a record that was replaced has a later entry too.
    by_time: VecDeque<(i64, Digest)>,
}

/// The last event of a request in one source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    time: i64,
    source: Arc<str>,
    is_impersonation: bool,
    /// Number of its events without one of another source. A client can reuse an audit ID.
    events: u64,
    groups: Vec<RuleGroup>,
}

/// A group in which an event was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleGroup {
    /// Fingerprint of the rule.
    pub(crate) rule: Digest,
    pub(crate) key: Digest,
}

saved_struct!(Record { time, source, is_impersonation, events, groups });
saved_struct!(RuleGroup { rule, key });

/// What is known about the request of an event.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// Whether the event of another source came before.
    pub(crate) is_second: bool,
    /// The rules for which open signals contain the request, and the highest severity of those.
    contained: BTreeMap<u32, Severity>,
}

impl Joined {
    /// Whether a new signal of the rule would say nothing that an open one does not.
    pub(crate) fn makes_superfluous(&self, rule: u32, severity: Severity) -> bool {
        self.contained.get(&rule).is_some_and(|contained| *contained >= severity)
    }
}

/// An open signal that contains an event.
struct Containing {
    rule: u32,
    key: Digest,
    severity: Severity,
    suppressed_by: Option<Arc<str>>,
}

impl State {
    /// Finds the event of another source about the same request, with or without the person behind the
    /// impersonated user. Removes the parts whose groups have that event, and names the person in its
    /// open signals.
    pub(super) fn join_impersonation(
        &mut self,
        context: &mut StepContext<'_>,
        hit: &mut Hit,
    ) -> Joined {
        let mut joined = Joined::default();
        let Some(other) = self.impersonations.take_other(hit) else { return joined };
        joined.is_second = true;
        let plan = context.plan;
        let containing = self.signals_with(plan, &other);
        let mut named: BTreeSet<(u32, Digest)> = BTreeSet::new();
        hit.parts.retain(|part| {
            let Some(rule) = plan.rule(part.rule) else { return true };
            // The first event of a value and the last event of a group count by themselves.
            if rule.first_seen.is_some() || matches!(rule.body, PlannedBody::Absence(..)) {
                return true;
            }
            let superseding = rule.superseded_by.iter().chain(&rule.partly_superseded_by);
            let rules: Vec<u32> = superseding.copied().chain([part.rule]).collect();
            let is_visible = |signal: &&Containing| {
                signal.suppressed_by.is_none() || signal.suppressed_by == part.suppressed_by
            };
            let mut signals =
                containing.iter().filter(|signal| rules.contains(&signal.rule)).filter(is_visible);
            for signal in signals.by_ref() {
                named.insert((signal.rule, signal.key));
                let severity = joined.contained.entry(part.rule).or_insert(signal.severity);
                *severity = signal.severity.max(*severity);
            }
            let group = RuleGroup { rule: rule.fingerprint, key: part.group.key(0) };
            !other.groups.contains(&group)
        });
        if hit.is_impersonation {
            for signal in named {
                self.add_person(context, signal, hit);
            }
        }
        joined
    }

    /// The open signals that contain an event.
    fn signals_with(&self, plan: &Plan, event: &Record) -> Vec<Containing> {
        let signals = event.groups.iter().filter_map(|group| {
            let rule = plan.index_of(group.rule)?;
            let planned = plan.rule(rule)?;
            // Its signals do not contain all events of the group.
            if planned.first_seen.is_some() || matches!(planned.body, PlannedBody::Absence(..)) {
                return None;
            }
            let open_signal = self.tables.get(rule as usize)?.open_signals.get(&group.key)?;
            let contains = open_signal.first <= event.time && event.time <= open_signal.last;
            contains.then(|| Containing {
                rule,
                key: group.key,
                severity: open_signal.severity,
                suppressed_by: open_signal.suppressed_by.clone(),
            })
        });
        signals.collect()
    }

    /// Names the person in an open signal.
    fn add_person(&mut self, context: &mut StepContext<'_>, (rule, key): (u32, Digest), hit: &Hit) {
        let Some(table) = self.tables.get_mut(rule as usize) else { return };
        let Some(open_signal) = table.open_signals.get_mut(&key) else { return };
        if open_signal.join(&hit.packed, &context.plan.k10_namespace) {
            context.report_update(rule, open_signal, hit.release());
        }
    }

    /// Remembers in which groups an event counted, for the event of another source about the same
    /// request.
    pub(super) fn remember_impersonation(&mut self, hit: &Hit, groups: Vec<RuleGroup>, bound: i64) {
        if hit.effective_request != Digest::default() && !groups.is_empty() {
            self.impersonations.remember(hit, groups, bound);
        }
    }
}

impl Impersonations {
    /// Takes an event of another source about the same request, if only one of the two names a
    /// person.
    fn take_other(&mut self, hit: &Hit) -> Option<Record> {
        let known = self.known.get_mut(&hit.effective_request)?;
        let is_other = known.is_impersonation != hit.is_impersonation
            && known.source != hit.source
            && known.time.abs_diff(hit.time) <= REQUEST_TOLERANCE;
        if !is_other || known.events == 0 {
            return None;
        }
        known.events -= 1;
        Some(known.clone())
    }

    fn remember(&mut self, hit: &Hit, groups: Vec<RuleGroup>, lateness_max: i64) {
        let memory = REQUEST_RETENTION.saturating_add(lateness_max);
        while let Some(&(time, key)) = self.by_time.front()
            && (time <= hit.time.saturating_sub(memory) || self.by_time.len() >= IMPERSONATIONS_MAX)
        {
            self.by_time.pop_front();
            if self.known.get(&key).is_some_and(|known| known.time == time) {
                self.known.remove(&key);
            }
        }
        let known = self.known.get(&hit.effective_request).filter(|known| {
            known.is_impersonation == hit.is_impersonation
                && known.source == hit.source
                && known.time.abs_diff(hit.time) <= REQUEST_TOLERANCE
        });
        let record = Record {
            time: hit.time,
            source: Arc::clone(&hit.source),
            is_impersonation: hit.is_impersonation,
            events: known.map_or(0, |known| known.events) + 1,
            groups,
        };
        self.by_time.push_back((hit.time, hit.effective_request));
        self.known.insert(hit.effective_request, record);
    }
}

impl Saved for Impersonations {
    fn save(&self, to: &mut Vec<u8>) {
        self.known.save(to);
        self.by_time.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        Ok(Self { known: Saved::load(from)?, by_time: Saved::load(from)? })
    }
}
