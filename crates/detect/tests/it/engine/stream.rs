//! A short notation for streams of events, so that tests are data.

use std::sync::Arc;
use std::time::Duration;

use detect::engine::{Arrival, Match};
use detect::{ChangeKind, Engine, Input, RuleSet, Settings, SignalChange};
use event::{Event, EventRef, Timestamp};
use serde_json::{Value, json};

use super::super::support::{event, load};

/// 2026-11-29T12:00:00Z, the time zero of streams. Microseconds.
pub(crate) const START: i64 = 1_795_953_600_000_000;
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Five deletes by one user in ten minutes.
pub(crate) const FIVE_DELETES: &str = "title: A delete\nname: a\ndetection:\n  s: {verb: delete}\n  \
    condition: s\nkeepwatch: {query: deletes}\n---\n\
    title: Many deletes\nid: many\nlevel: high\ncorrelation:\n  type: event_count\n  rules: [a]\n  \
    group-by: [user.username]\n  timespan: 10m\n  condition: {gte: 5}\n";

/// An event with its arrival time.
#[derive(Clone, Debug)]
pub(crate) struct TimedEvent {
    pub(crate) arrival: i64,
    pub(crate) source: &'static str,
    pub(crate) event: Event,
}

/// A delete of a restore point, this many microseconds after the start, which arrives without
/// delay.
pub(crate) fn delete(user: &str, name: &str, after: i64) -> TimedEvent {
    event_at(after, &json!({"user.username": user, "objectRef.name": name}))
}

/// An event with these fields replaced, this many microseconds after the start, which arrives
/// without delay. Its audit ID derives from its time and the replaced fields.
pub(crate) fn event_at(after: i64, changes: &Value) -> TimedEvent {
    let time = Timestamp::from_micros(START + after);
    let mut event = event(changes);
    event.stage_timestamp = time;
    event.request_received_timestamp = time;
    if changes.get("auditID").is_none() {
        event.audit_id = format!("{after}-{}-{}", event.user.username, event.verb);
        if let Some(reference) = &event.object_ref {
            event.audit_id.push('-');
            event.audit_id.push_str(&reference.name);
        }
    }
    TimedEvent { arrival: START + after, source: "journal", event }
}

impl TimedEvent {
    /// The same event, which arrives this many microseconds after the start.
    pub(crate) fn arriving_at(self, after: i64) -> Self {
        Self { arrival: START + after, ..self }
    }
}

/// The settings for files: a lateness bound of five minutes, and timestamps as arrival times.
pub(crate) fn of_files() -> Settings {
    Settings { lateness: Duration::from_mins(5), arrival: Arrival::Stamped, ..Settings::default() }
}

/// An engine and the changes that it reported.
pub(crate) struct Stream {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) settings: Settings,
    pub(crate) engine: Engine,
    pub(crate) changes: Vec<SignalChange>,
}

impl Stream {
    pub(crate) fn new(rules: &str) -> Self {
        Self::with(rules, Settings::default())
    }

    pub(crate) fn with(rules: &str, settings: Settings) -> Self {
        Self::of(Arc::new(load(rules)), settings)
    }

    pub(crate) fn of(rules: Arc<RuleSet>, settings: Settings) -> Self {
        let mut engine = Engine::new(Arc::clone(&rules), settings.clone());
        engine.keep_matches();
        Self { rules, settings, engine, changes: Vec::new() }
    }

    pub(crate) fn send(&mut self, timed: &TimedEvent) {
        let view = EventRef::from(&timed.event);
        let input = Input {
            source: timed.source,
            cluster: "prod-eu",
            arrival: Timestamp::from_micros(timed.arrival),
            event: &view,
        };
        self.engine.process(&input, &mut self.changes);
    }

    pub(crate) fn send_all<'c>(&mut self, all: impl IntoIterator<Item = &'c TimedEvent>) {
        all.into_iter().for_each(|timed| self.send(timed));
    }

    /// Advances the clock to this many microseconds after the start.
    pub(crate) fn advance(&mut self, after: i64) {
        self.engine.advance(Timestamp::from_micros(START + after), &mut self.changes);
    }

    pub(crate) fn finish(&mut self) {
        self.engine.finish(&mut self.changes);
    }

    /// Replaces the engine by one that is restored from its checkpoint.
    pub(crate) fn restart(&mut self) {
        let checkpoint = self.engine.checkpoint();
        let (rules, settings) = (Arc::clone(&self.rules), self.settings.clone());
        self.engine = Engine::restore(rules, settings, &checkpoint).unwrap();
        self.engine.keep_matches();
    }

    /// The changes since the last call, in short form: `opened many 5`.
    pub(crate) fn take_changes(&mut self) -> Vec<String> {
        self.changes.drain(..).map(|change| short(&change)).collect()
    }

    /// Number of signals of a rule that were opened since the last call of [`Self::take_changes`].
    pub(crate) fn opened(&self, rule: &str) -> usize {
        let of_rule = |change: &&SignalChange| {
            change.kind == ChangeKind::Opened && change.signal.spec.rule.id == rule
        };
        self.changes.iter().filter(of_rule).count()
    }

    /// The events that matched a rule since the last call.
    pub(crate) fn matches(&mut self) -> Vec<Match> {
        self.engine.take_matches()
    }
}

pub(crate) fn short(change: &SignalChange) -> String {
    let kind = match change.kind {
        ChangeKind::Opened => "opened",
        ChangeKind::Updated => "updated",
        ChangeKind::Closed => "closed",
    };
    let spec = &change.signal.spec;
    format!("{kind} {} {}", spec.rule.id, spec.count)
}

/// All changes as text, for comparison.
pub(crate) fn bytes(changes: &[SignalChange]) -> String {
    let lines = changes.iter().map(|change| {
        format!(
            "{:?} {} {:?} {}\n",
            change.kind,
            change.at,
            change.rule,
            serde_json::to_string(&*change.signal).unwrap()
        )
    });
    lines.collect()
}
