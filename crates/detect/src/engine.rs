//! Events in, signals out: what rules find, under disorder.
//!
//! Events count by their own time, in microseconds, and not by that of their arrival. A source may be
//! late by a bound; within it, any order of arrival, any repetition and any stop gives the same
//! signals, byte for byte. The clock is the latest arrival: the engine reads none itself.
//!
//! The way of an event is [`Engine::process`], read downwards: rules (module `matching`), the clock
//! (`clock`), repetitions (`identities`), its turn (`state`), counting (`count`, `window`), the signal
//! (`episode`, `wording`). All bounds are in `settings`.
//!
//! Deliberately absent: where events come from, where signals go, and what the rules are.

pub(crate) mod attack;
mod checkpoint;
mod clock;
mod codec;
mod count;
pub(crate) mod digest;
mod episode;
mod facts;
mod hit;
mod identities;
mod matching;
mod memory;
mod plan;
mod render;
mod settings;
mod state;
mod statistics;
mod table;
mod window;
mod wording;

use std::sync::Arc;

use event::term::RecordFields;
use event::{Signal, Timestamp, View};

use crate::event_matcher::EventMatcher;
use crate::ruleset::RuleSet;
pub use codec::CheckpointError;
pub use event::signal::ChangeKind;
use plan::Plan;
pub use plan::{CLOCK_SKEW, STATE_PRESSURE};
pub use settings::*;
use state::{State, Turn};
pub use statistics::{EngineStatistics, RuleStatistics, SuppressionStatistics};

/// Evaluates rules over a stream of events.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    plan: Plan,
    settings: Settings,
    suppressions: Arc<[Suppression]>,
    state: State,
    /// Signals whose rule is gone: they close with the next call.
    orphans: Vec<SignalChange>,
    matches: Option<Vec<Match>>,
}

/// An event, and how it came.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What it came from: bounds of lateness are set by it.
    pub source: &'a str,
    /// Name of the cluster; empty when unknown. Events of different clusters never count together.
    pub cluster: &'a str,
    /// When it came: the time at which the journal committed it. For a file, the smaller one of its
    /// stage timestamp and the present.
    pub arrival: Timestamp,
    /// The event.
    pub event: &'a View<'a>,
}

/// What became of a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalChange {
    /// What it is.
    pub kind: ChangeKind,
    /// The whole signal as it is now.
    pub signal: Arc<Signal>,
    /// Index of its rule in the rule set; `None` for the rules that are built in and for those that
    /// are gone.
    pub rule: Option<usize>,
    /// When it happened, in event time.
    pub at: Timestamp,
}

/// Events whose signals are not raised, for a while.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// Its name.
    pub name: String,
    /// Ids of the rules; empty for all.
    pub rules: Vec<String>,
    /// Which events; `None` for all.
    pub events: Option<EventMatcher>,
    /// Events from this time on are not suppressed. `None`: without end.
    pub expires: Option<Timestamp>,
}

/// An event that met the condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// Index of the rule in the rule set.
    pub rule: usize,
    /// The event.
    pub audit_id: String,
    /// When it happened.
    pub time: Timestamp,
}

impl Engine {
    /// Begins without a memory.
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

    /// Goes on from a checkpoint. State of rules whose text changed starts afresh; their signals
    /// close.
    pub fn restore(
        rules: Arc<RuleSet>,
        settings: Settings,
        checkpoint: &[bytes::Bytes],
    ) -> Result<Self, CheckpointError> {
        let mut engine = Self::new(rules, settings);
        engine.load(checkpoint)?;
        Ok(engine)
    }

    /// The whole memory, in chunks of at most [`CHUNK_LEN_MAX`] bytes.
    pub fn checkpoint(&self) -> Vec<bytes::Bytes> {
        self.save()
    }

    /// Takes an event in. Appends what became of signals, in the order in which it happened.
    pub fn process(&mut self, input: &Input<'_>, changes: &mut Vec<SignalChange>) {
        let fields = self.rules.fields(input.event, input.cluster);
        let hit = self.hit(input, &fields);
        let stamp = input.event.stage_timestamp();
        let (arrival, stamp, may_clamp) = self.times(input.arrival, stamp);
        if hit.is_none() && !may_clamp && self.state.clock.is_settled() {
            // Nearly all events.
            return self.pass_over(arrival, changes);
        }
        changes.append(&mut self.orphans);
        self.state.counters.events += 1;
        let skewed = may_clamp.then(|| Box::new(self.skewed(input)));
        let timed = clock::Timed { arrival, stamp, hit: hit.map(Box::new), skewed };
        self.turn(changes, |state, turn| state.arrive(turn, timed));
    }

    /// Does what [`Self::process`] would do with the event in a record that no rule could match. False,
    /// and nothing is done, if the event has to be looked at.
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
        self.pass_over(arrival, changes);
        true
    }

    /// Counts an event that matches nothing.
    fn pass_over(&mut self, arrival: i64, changes: &mut Vec<SignalChange>) {
        changes.append(&mut self.orphans);
        self.state.counters.events += 1;
        self.state.clock.advance(arrival);
        self.act(arrival, changes);
    }

    /// Arrival and stamp of an event, and whether the stamp may turn out not to be true.
    fn times(&self, arrival: Timestamp, stamp: Timestamp) -> (i64, i64, bool) {
        let arrival = arrival.as_micros();
        let stamp = match stamp {
            Timestamp::UNSET => arrival,
            stamp => stamp.as_micros(),
        };
        (arrival, stamp, self.state.clock.may_clamp(self.settings.arrival, arrival, stamp))
    }

    /// Time passes without an event, by a clock that can be trusted.
    pub fn advance(&mut self, clock: Timestamp, changes: &mut Vec<SignalChange>) {
        changes.append(&mut self.orphans);
        self.state.clock.advance(clock.as_micros());
        self.act(clock.as_micros(), changes);
    }

    /// Whether something happens once the clock is at `time`, although no event comes.
    pub fn is_due(&self, time: Timestamp) -> bool {
        !self.orphans.is_empty() || self.state.is_due(time.as_micros())
    }

    /// The input is at its end: events that wait for earlier ones count now. Signals stay open.
    pub fn finish(&mut self, changes: &mut Vec<SignalChange>) {
        changes.append(&mut self.orphans);
        self.turn(changes, State::finish);
    }

    /// The rules that are evaluated.
    pub const fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Replaces the rules. State of rules whose text stays the same is kept; signals of the others
    /// close with the next call.
    pub fn set_rules(&mut self, rules: Arc<RuleSet>) {
        let mut replaced = Self::new(rules, self.settings.clone());
        std::mem::swap(self, &mut replaced);
        self.suppressions = Arc::clone(&replaced.suppressions);
        self.matches = replaced.matches.take();
        self.orphans = std::mem::take(&mut replaced.orphans);
        self.adopt(replaced.state, &replaced.plan);
    }

    /// Replaces the suppressions. They act on events that come from now on.
    pub fn set_suppressions(&mut self, suppressions: Arc<[Suppression]>) {
        self.suppressions = suppressions;
    }

    /// Keeps which events meet the condition of which rule, until [`Self::take_matches`] asks.
    pub fn keep_matches(&mut self) {
        self.matches = Some(Vec::new());
    }

    /// The events that met a condition since the last call, in the order in which they counted.
    pub fn take_matches(&mut self) -> Vec<Match> {
        self.matches.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn act(&mut self, now: i64, changes: &mut Vec<SignalChange>) {
        self.turn(changes, |state, turn| state.act(turn, Some(now)));
    }

    fn turn(
        &mut self,
        changes: &mut Vec<SignalChange>,
        act: impl FnOnce(&mut State, &mut Turn<'_>),
    ) {
        let mut turn = Turn {
            plan: &self.plan,
            settings: &self.settings,
            changes,
            matches: self.matches.as_mut(),
        };
        act(&mut self.state, &mut turn);
    }
}
