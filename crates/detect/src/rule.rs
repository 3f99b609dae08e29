//! What a rule is once it has been read: the model that the engine and the exports work on.
//!
//! A rule comes from a Sigma document (crate module `sigma`), with our small extension under the key
//! `keepwatch`. Everything here is checked: names are resolved, fields exist, durations are in range.
//! Deliberately absent: YAML, positions in files (they stay in [`Origin`]), and any state.

use std::sync::Arc;
use std::time::Duration;

use event::Severity;

use crate::field::Field;
use crate::matcher::Expression;
use crate::template::Template;

/// A rule, checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Identity: Sigma's `id`, else its `name`, else the file's stem. Unique in a `RuleSet`.
    pub id: String,
    /// Sigma's `name`, by which other rules may refer to this one.
    pub name: Option<String>,
    /// One line for people.
    pub title: String,
    /// Why and how, for people. Markdown.
    pub description: String,
    /// Severity of its signals unless a case says otherwise. Sigma's `level`.
    pub severity: Severity,
    /// Sigma's `tags`, such as `attack.t1490`.
    pub tags: Vec<String>,
    /// Sigma's `references`.
    pub references: Vec<String>,
    /// Sigma's `falsepositives`.
    pub false_positives: Vec<String>,
    /// Sigma's `author`.
    pub author: String,
    /// What it looks for.
    pub body: Body,
    /// Whether it raises signals itself. A rule that a correlation refers to does not, unless that
    /// correlation has `generate: true`.
    pub raises: bool,
    /// The extension.
    pub signal: SignalOptions,
    /// Where it was read from.
    pub origin: Origin,
    /// The document as it was read.
    pub text: Arc<str>,
}

/// What a rule looks for.
#[derive(Clone, Debug)]
pub enum Body {
    /// Single events.
    Detection(Expression),
    /// Several events in a stretch of time.
    Correlation(Correlation),
}

/// Several events in a stretch of time.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// What is counted.
    pub kind: CorrelationKind,
    /// The rules whose events count, as indices into `RuleSet::rules`, in the document's order.
    pub rules: Vec<usize>,
    /// Events with equal values of these fields belong together. An event that lacks one of them is
    /// not correlated. Empty: all events belong together.
    pub group_by: Vec<GroupField>,
    /// How long: an event counts together with those of the time span before it. Microseconds.
    pub timespan: i64,
    /// When the number of events (or distinct values, or rules) is enough.
    pub condition: Threshold,
}

/// One key of a group.
#[derive(Clone, Debug)]
pub struct GroupField {
    /// What the rule calls it: a field or an alias.
    pub name: String,
    /// The field to read, by rule of [`Correlation::rules`] (same index): aliases differ by rule.
    pub fields: Vec<Field>,
}

/// What a correlation counts.
#[derive(Clone, Debug)]
pub enum CorrelationKind {
    /// Events.
    EventCount,
    /// Different values of a field. Of several fields: different combinations of their values.
    ValueCount(Vec<Field>),
    /// Rules of which there is an event, in any order.
    Temporal,
    /// Rules of which there are events, in the order of the list.
    TemporalOrdered,
    /// No event for the time span after one: silence. `condition: lt: 1` of an `event_count`.
    Absence,
}

/// A comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// At least so many.
    pub at_least: u64,
    /// At most so many; `u64::MAX` is no bound.
    pub at_most: u64,
}

/// How signals of a rule look and behave: the extension.
#[derive(Clone, Debug)]
pub struct SignalOptions {
    /// Label of the query of a rule on single events, as Datadog shows it: `deleted_k10_rps`.
    pub query: String,
    /// For rules on single events: events with equal values share a signal. Default: the user.
    pub group_by: Vec<Field>,
    /// Severity cases in order, most severe first; the first whose condition holds decides.
    pub cases: Vec<Case>,
    /// A signal is closed when no event came for so long.
    pub keep_alive: Duration,
    /// A signal is closed when it is so old, and the next event opens another.
    pub max_duration: Duration,
    /// Title of the signal.
    pub title: Option<Template>,
    /// Message of the signal.
    pub message: Option<Template>,
    /// First-seen rule: raises only when the value of these fields has not been seen in this rule's
    /// matching events before, once the learning time of the group has passed.
    pub first_seen: Option<FirstSeen>,
    /// What it cannot see.
    pub blind_spots: Vec<String>,
    /// Goal, strategy, triage and response, as written: for people and exports.
    pub guide: Guide,
    /// Suppressions of other rules by this one: rule ids whose signals are not raised while this rule
    /// has a signal open in the same cluster and with the same values of the fields that both are
    /// grouped by.
    pub supersedes: Vec<String>,
}

/// A severity case.
#[derive(Clone, Debug)]
pub struct Case {
    /// For people.
    pub name: String,
    /// Severity of the signal when this case holds.
    pub severity: Severity,
    /// Number of events (or distinct values) in the window at which it holds.
    pub at_least: u64,
}

/// A value that was never there before.
#[derive(Clone, Debug)]
pub struct FirstSeen {
    /// The fields that make up the value.
    pub fields: Vec<Field>,
    /// Nothing is raised for so long after the rule's first matching event. Microseconds.
    pub learning: i64,
    /// A value is forgotten when it was not seen for so long. Microseconds.
    pub forget_after: i64,
}

/// Text for people, by heading. Markdown.
#[derive(Clone, Debug, Default)]
pub struct Guide {
    /// What it is meant to find.
    pub goal: String,
    /// How it finds it.
    pub strategy: String,
    /// What to do.
    pub response: String,
}

/// Where a rule was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// File, or name of an API object.
    pub file: String,
    /// Line of the document's first key, from 1.
    pub line: usize,
}
