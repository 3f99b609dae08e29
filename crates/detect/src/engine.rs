//! The detection engine: turns events into signals, although events arrive out of order.
//!
//! The engine counts events by event time, in microseconds, not by arrival time. Each source has a
//! lateness bound; within it, any order of arrival, any duplicate and any restart gives the same
//! signals, byte for byte. The clock is the latest arrival: the engine reads no clock itself.
//!
//! [`Engine::process`] handles an event in this order: matching (module `matching`), the clock
//! (`clock`), deduplication (`identities`), ordering (`state`), the requests that several sources
//! report (`requests`, `impersonations`), counting (`count`, `window`), the
//! signal (`open_signal`, `wording`). All bounds are in `settings`.
//!
//! Deliberately absent: the sources of events, the destinations of signals, and the rules.

pub(crate) mod attack;
mod checkpoint;
mod clock;
mod codec;
mod count;
pub(crate) mod digest;
mod downtime;
mod event_summary;
mod hit;
mod identities;
mod impersonations;
mod matching;
mod memory;
mod open_signal;
mod plan;
mod render;
mod requests;
mod settings;
mod state;
mod statistics;
mod supersession;
mod table;
mod window;
mod wording;

use std::sync::Arc;

use event::signal::Target;
use event::term::RecordFields;
use event::{EventRef, Signal, Timestamp};

use crate::event_matcher::EventMatcher;
use crate::ruleset::RuleSet;
pub use codec::CheckpointError;
use downtime::Downtime;
pub use event::signal::ChangeKind;
use plan::Plan;
pub use plan::{CLOCK_SKEW, ENGINE_RULES, STATE_PRESSURE};
pub use settings::*;
use state::{State, StepContext};
pub use statistics::{EngineStatistics, RuleStatistics, SuppressionStatistics};

/// Evaluates rules over a stream of events.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    plan: Plan,
    settings: Settings,
    suppressions: Arc<[Suppression]>,
    state: State,
    /// Signals whose rule was removed: the next call closes them.
    orphans: Vec<SignalChange>,
    matches: Option<Vec<Match>>,
}

/// An event with its source and arrival time.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Name of the event's source, which selects the lateness bound.
    pub source: &'a str,
    /// Name of the cluster; empty when unknown. Events of different clusters never count together.
    pub cluster: &'a str,
    /// Arrival time: the time at which the journal committed the event. For a file, its stage
    /// timestamp.
    pub arrival: Timestamp,
    /// The audit event.
    pub event: &'a EventRef<'a>,
}

/// A change of a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalChange {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The whole signal after the change.
    pub signal: Arc<Signal>,
    /// Index of its rule in the rule set; `None` for built-in and for removed rules.
    pub rule: Option<usize>,
    /// Time of the change, in event time.
    pub at: Timestamp,
    /// Objects since the previous change that the signal does not list, up to
    /// [`settings::UNLISTED_MAX`].
    pub unlisted: Vec<Target>,
}

/// A suppression: matching events raise no signals.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// Name of the suppression.
    pub name: String,
    /// Ids of the suppressed rules; empty for all rules.
    pub rules: Vec<String>,
    /// Condition on the events; `None` for all events.
    pub events: Option<EventMatcher>,
    /// Event time from which events are no longer suppressed; `None` for no expiry.
    pub expires: Option<Timestamp>,
}

/// An event that matched a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// Index of the rule in the rule set.
    pub rule: usize,
    /// Audit ID of the event.
    pub audit_id: String,
    /// Event time.
    pub time: Timestamp,
}

impl Engine {
    /// Creates an engine without state.
    pub fn new(rules: Arc<RuleSet>, settings: Settings) -> Self {
        let mut plan = Plan::new(rules.rules(), settings.lateness_max());
        plan.k10_namespace = Arc::from(rules.options().k10_namespace.as_str());
        let state = State::new(&plan);
        Self {
            rules,
            plan,
            settings,
            suppressions: Arc::from([]),
            state,
            orphans: Vec::new(),
            matches: None,
        }
    }

    /// Restores an engine from a checkpoint. A rule whose text changed loses its state and its
    /// signals close.
    pub fn restore(
        rules: Arc<RuleSet>,
        settings: Settings,
        checkpoint: &[bytes::Bytes],
    ) -> Result<Self, CheckpointError> {
        let mut engine = Self::new(rules, settings);
        engine.load(checkpoint)?;
        Ok(engine)
    }

    /// The whole state, in chunks of at most [`CHUNK_LEN_MAX`] bytes.
    pub fn checkpoint(&self) -> Vec<bytes::Bytes> {
        self.save()
    }

    /// Processes an event. Appends the changes of signals to `changes`, in order.
    pub fn process(&mut self, input: &Input<'_>, changes: &mut Vec<SignalChange>) {
        let fields = self.rules.fields(input.event, input.cluster);
        let hit = self.hit(input, &fields);
        let stamp = input.event.stage_timestamp();
        let (arrival, stamp, may_clamp) = self.times(input.arrival, stamp);
        if hit.is_none() && !may_clamp && self.state.clock.is_settled() {
            // The common case: nearly all events match no rule.
            return self.skip_unmatched(arrival, changes);
        }
        changes.append(&mut self.orphans);
        self.state.counters.events += 1;
        let downtime = hit.as_ref().and_then(|_| Downtime::of(input.event));
        let hit = match (hit, downtime) {
            (Some(hit), Some(downtime)) => {
                let lateness = self.settings.lateness_max();
                self.run(changes, |state, context| {
                    state.prolong_absences(context, &hit, downtime, lateness);
                });
                None
            }
            (hit, _) => hit,
        };
        let skewed = may_clamp.then(|| Box::new(self.skewed(input)));
        let source = digest::Digest::of([input.source.as_bytes()]);
        let timed = clock::Timed { arrival, stamp, hit: hit.map(Box::new), skewed, source };
        self.run(changes, |state, context| state.arrive(context, timed));
    }

    /// Processes the event of a record like [`Self::process`] if no rule can match it. Returns
    /// false, and does nothing, if the event has to be evaluated.
    pub fn process_unmatched(
        &mut self,
        fields: &RecordFields<'_>,
        arrival: Timestamp,
        changes: &mut Vec<SignalChange>,
    ) -> bool {
        let (arrival, _, may_clamp) = self.times(arrival, fields.stage_timestamp);
        if may_clamp || !self.state.clock.is_settled() || self.rules.may_match(fields) {
            return false;
        }
        self.skip_unmatched(arrival, changes);
        true
    }

    /// Counts an event that matches no rule.
    fn skip_unmatched(&mut self, arrival: i64, changes: &mut Vec<SignalChange>) {
        changes.append(&mut self.orphans);
        self.state.counters.events += 1;
        self.state.clock.advance(arrival);
        self.act(arrival, changes);
    }

    /// Arrival and stage timestamp of an event, and whether the timestamp may be rejected.
    fn times(&self, arrival: Timestamp, stamp: Timestamp) -> (i64, i64, bool) {
        let arrival = arrival.as_micros();
        let stamp = match stamp {
            Timestamp::UNSET => arrival,
            stamp => stamp.as_micros(),
        };
        let jump_max = self.settings.jump_max();
        (arrival, stamp, self.state.clock.may_clamp(jump_max, arrival, stamp))
    }

    /// Advances the clock without an event. The time must be from a trusted clock.
    pub fn advance(&mut self, clock: Timestamp, changes: &mut Vec<SignalChange>) {
        changes.append(&mut self.orphans);
        self.state.clock.advance(clock.as_micros());
        self.act(clock.as_micros(), changes);
    }

    /// Whether a timer or a waiting event is due when the clock reaches `time` without an event.
    pub fn is_due(&self, time: Timestamp) -> bool {
        !self.orphans.is_empty() || self.state.is_due(time.as_micros())
    }

    /// Ends the input: events that wait for earlier ones are counted now. Signals stay open.
    pub fn finish(&mut self, changes: &mut Vec<SignalChange>) {
        changes.append(&mut self.orphans);
        self.run(changes, State::finish);
    }

    /// The current rule set.
    pub const fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Replaces the rules. Rules with unchanged text keep their state; the next call closes the
    /// signals of the others.
    pub fn set_rules(&mut self, rules: Arc<RuleSet>) {
        let mut replaced = Self::new(rules, self.settings.clone());
        std::mem::swap(self, &mut replaced);
        self.suppressions = Arc::clone(&replaced.suppressions);
        self.matches = replaced.matches.take();
        self.orphans = std::mem::take(&mut replaced.orphans);
        self.migrate_state(replaced.state, &replaced.plan);
    }

    /// Replaces the suppressions. They apply to events processed after this call.
    pub fn set_suppressions(&mut self, suppressions: Arc<[Suppression]>) {
        self.suppressions = suppressions;
    }

    /// Starts to collect the matches of rules for [`Self::take_matches`].
    pub fn keep_matches(&mut self) {
        self.matches = Some(Vec::new());
    }

    /// Removes and returns the matches since the last call, in the order in which they counted.
    pub fn take_matches(&mut self) -> Vec<Match> {
        self.matches.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn act(&mut self, now: i64, changes: &mut Vec<SignalChange>) {
        self.run(changes, |state, context| state.act(context, Some(now)));
    }

    fn run(
        &mut self,
        changes: &mut Vec<SignalChange>,
        act: impl FnOnce(&mut State, &mut StepContext<'_>),
    ) {
        let mut context = StepContext {
            plan: &self.plan,
            settings: &self.settings,
            changes,
            matches: self.matches.as_mut(),
        };
        act(&mut self.state, &mut context);
    }
}
