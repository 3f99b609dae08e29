//! Rule tests as data: events and the signals that a rule must raise for them.
//!
//! The tests of `NAME.yaml` are in `NAME.events.ndjson`, one JSON object per line:
//!
//! - `{"example": "two by one person", "cluster": "prod", "expect": [{"severity": "low"}]}` starts
//!   an example. `expect` lists all its signals, in the order of their first event; without it,
//!   none are expected. `rule`, `case`, `count`, `user`, `targets`, `state` and `title` are
//!   optional; a missing key is not compared.
//! - An event, as `audit.k8s.io/v1` or as K10 writes it. It arrives at its stage timestamp.
//! - `{"repeat": 20, "every": "30s", "event": {…}}` repeats an event, each time later by `every`
//!   and with a different audit ID. `{n}` in its texts is 1, 2, 3 …; with `"of": 3`, `{k}` is 1, 2,
//!   3, 1, 2 ….
//! - `{"clock": "2026-11-23T10:00:00Z"}` advances the clock without an event.
//!
//! Each example starts without state, and its events are sorted by time.
//!
//! Deliberately absent: files (the caller reads them), and disorder, which the engine's tests
//! cover.

mod check;
mod read;

use std::sync::Arc;

use event::{Event, EventRef, Severity, Signal, SignalState, Timestamp};
use serde::Deserialize;

use crate::engine::UPDATE_DELAY;
use crate::{Engine, Input, RuleSet, Settings, SignalChange};

pub use check::{Report, check};
pub use read::{EVENTS_MAX, read};

/// A test of rules: events and the expected signals.
#[derive(Clone, Debug)]
pub struct Example {
    /// Description of the example.
    pub name: String,
    /// Line of its first entry, from 1.
    pub line: usize,
    /// Name of the events' cluster.
    pub cluster: String,
    /// Events and clock steps, in order of time.
    pub steps: Vec<Step>,
    /// All expected signals, in the order of their first event.
    pub expected: Vec<Expected>,
}

/// A step of an example.
#[derive(Clone, Debug)]
pub enum Step {
    /// An event arrives.
    Event(Box<Event>),
    /// The clock advances to this time.
    Clock(Timestamp),
}

impl Step {
    /// Time of the step.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.stage_timestamp,
            Self::Clock(time) => *time,
        }
    }
}

/// An expected signal. A field that is `None` is not compared.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Id of the rule.
    pub rule: Option<String>,
    /// Final severity.
    pub severity: Severity,
    /// Name of the severity case.
    pub case: Option<String>,
    /// Number of events.
    pub count: Option<u64>,
    /// User name; empty for several users.
    pub user: Option<String>,
    /// Number of distinct objects.
    pub targets: Option<u64>,
    /// Final state.
    pub state: Option<SignalState>,
    /// Title of the signal.
    pub title: Option<String>,
}

/// An error in an events file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ExampleError {
    /// Line, from 1.
    pub line: usize,
    /// Description of the error.
    pub message: String,
}

/// The result of an example.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The final signals, in the order of their first event.
    pub signals: Vec<Arc<Signal>>,
    /// Differences from the expected signals, for display; empty if the example passes.
    pub differences: Vec<String>,
    /// Indices of the detection rules that matched.
    pub matched: Vec<usize>,
}

/// Runs one example.
pub fn run(rules: &Arc<RuleSet>, example: &Example) -> Outcome {
    let mut engine = Engine::new(Arc::clone(rules), Settings::default());
    let mut changes = Vec::new();
    let mut matched = Vec::new();
    for step in &example.steps {
        match step {
            Step::Clock(time) => engine.advance(*time, &mut changes),
            Step::Event(event) => {
                let view = EventRef::from(&**event);
                let arrival = event.stage_timestamp;
                let cluster = example.cluster.as_str();
                let input = Input { source: "example", cluster, arrival, event: &view };
                engine.process(&input, &mut changes);
                let fields = rules.fields(&view, cluster);
                rules.for_each_match(&fields, |rule| matched.push(rule));
            }
        }
    }
    // The last update of a busy signal may be delayed.
    if let Some(last) = example.steps.last() {
        let end = last.time().as_micros().saturating_add(UPDATE_DELAY);
        engine.advance(Timestamp::from_micros(end), &mut changes);
    }
    engine.finish(&mut changes);
    matched.sort_unstable();
    matched.dedup();
    let signals = latest(changes);
    let differences = differences(&signals, &example.expected);
    Outcome { signals, differences, matched }
}

/// The last state of each signal.
fn latest(changes: Vec<SignalChange>) -> Vec<Arc<Signal>> {
    let mut signals: Vec<Arc<Signal>> = Vec::new();
    for SignalChange { signal, .. } in changes {
        match signals.iter_mut().find(|known| known.id == signal.id) {
            Some(known) => *known = signal,
            None => signals.push(signal),
        }
    }
    signals.sort_by_key(|signal| signal.spec.first_seen);
    signals
}

fn differences(signals: &[Arc<Signal>], expected: &[Expected]) -> Vec<String> {
    let mut differences = Vec::new();
    if signals.len() != expected.len() {
        let count = format!("{} signals instead of {}", signals.len(), expected.len());
        let of_signal = |signal: &Arc<Signal>| {
            let (spec, rule) = (&signal.spec, &signal.spec.rule.id);
            format!("\n  {} {rule}: {} ({})", spec.severity, spec.title, spec.count)
        };
        let lines: String = signals.iter().map(of_signal).collect();
        differences.push(format!("{count}{lines}"));
    }
    for (index, (signal, expected)) in signals.iter().zip(expected).enumerate() {
        let of_signal = expected.differences(signal).into_iter();
        differences
            .extend(of_signal.map(|difference| format!("signal {}: {difference}", index + 1)));
    }
    differences
}

impl Expected {
    fn differences(&self, signal: &Signal) -> Vec<String> {
        let spec = &signal.spec;
        let mut differences = Vec::new();
        let mut compare = |what: &str, actual: String, expected: Option<String>| {
            if let Some(expected) = expected.filter(|expected| *expected != actual) {
                differences.push(format!("{what} is {actual:?} instead of {expected:?}"));
            }
        };
        compare("rule", spec.rule.id.clone(), self.rule.clone());
        compare("severity", spec.severity.to_string(), Some(self.severity.to_string()));
        compare("case", spec.case.clone(), self.case.clone());
        compare("count", spec.count.to_string(), self.count.map(|count| count.to_string()));
        compare("user", spec.actor.username.clone(), self.user.clone());
        compare(
            "targets",
            spec.targets.count.to_string(),
            self.targets.map(|count| count.to_string()),
        );
        let state = self.state.map(|state| state.as_str().to_owned());
        compare("state", signal.state.as_str().to_owned(), state);
        compare("title", spec.title.clone(), self.title.clone());
        differences
    }
}
