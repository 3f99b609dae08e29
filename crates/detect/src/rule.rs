//! The validated rule: the model that the engine and the exports use.
//!
//! The module `sigma` reads a rule from a Sigma document with a small extension under the key
//! `keepwatch`. A rule is validated: names are resolved, fields exist, durations are in range.
//! Deliberately absent: YAML, positions in files (only [`Origin`] has them), and any state.

use std::sync::Arc;
use std::time::Duration;

use event::Severity;

use crate::engine::digest::Digest;
use crate::field::Field;
use crate::matcher::Expression;
use crate::template::Template;

/// A validated rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Identity: Sigma's `id`, else its `name`, else the file's stem. Unique in a `RuleSet`.
    pub id: String,
    /// Sigma's `name`, which correlations may use to refer to this rule.
    pub name: Option<String>,
    /// Sigma's `title`, one line.
    pub title: String,
    /// Sigma's `description`, in Markdown.
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
    /// The detection or correlation of the rule.
    pub body: Body,
    /// Whether it raises signals itself. A rule that a correlation refers to does not, unless that
    /// correlation has `generate: true`.
    pub raises: bool,
    /// The `keepwatch` extension.
    pub signal: SignalOptions,
    /// Position of the document.
    pub origin: Origin,
    /// The source text of the document.
    pub text: Arc<str>,
    /// Digest of the source text, which is retained when the text is discarded.
    pub(crate) text_digest: Digest,
}

impl Rule {
    /// Whether both have the same source text, even if it was discarded.
    pub fn has_text_of(&self, other: &Self) -> bool {
        self.text_digest == other.text_digest
    }
}

/// The detection logic of a rule.
#[derive(Clone, Debug)]
pub enum Body {
    /// Matches single events.
    Detection(Expression),
    /// Counts events within a time span.
    Correlation(Correlation),
}

/// Counts events within a time span.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// The value that is counted.
    pub kind: CorrelationKind,
    /// The rules whose events count, as indices into `RuleSet::rules`, in the document's order.
    pub rules: Vec<usize>,
    /// Events with equal values of these fields belong together. An event that lacks one of them is
    /// not correlated. Empty: all events belong together.
    pub group_by: Vec<GroupField>,
    /// Length of the window, in microseconds: an event counts with the events of this time before
    /// it.
    pub timespan: i64,
    /// The count of events (or distinct values, or rules) that raises a signal.
    pub condition: Threshold,
}

/// A field of the group-by.
#[derive(Clone, Debug)]
pub struct GroupField {
    /// Name in the rule: a field or an alias.
    pub name: String,
    /// The field to read for each rule of [`Correlation::rules`] (same index): aliases differ by
    /// rule.
    pub fields: Vec<Field>,
}

/// The type of a correlation.
#[derive(Clone, Debug)]
pub enum CorrelationKind {
    /// Counts events.
    EventCount,
    /// Counts distinct values of a field, or distinct combinations of the values of several fields.
    ValueCount(Vec<Field>),
    /// Counts the rules that matched an event, in any order.
    Temporal,
    /// Counts the rules that matched an event, in the order of the list.
    TemporalOrdered,
    /// Raises if no event follows an event within the time span. `condition: lt: 1` of an
    /// `event_count`.
    Absence,
}

/// The range of counts that meets the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Smallest count that meets the condition.
    pub at_least: u64,
    /// Largest count that meets the condition; `u64::MAX` is unbounded.
    pub at_most: u64,
}

/// The `keepwatch` extension: texts and life cycle of the rule's signals.
#[derive(Clone, Debug)]
pub struct SignalOptions {
    /// Query label of a detection rule, as Datadog shows it: `deleted_k10_rps`.
    pub query: String,
    /// Group-by of a detection rule: events with equal values share a signal. Default: the user.
    pub group_by: Vec<Field>,
    /// Severity cases, most severe first; the first case whose condition holds sets the severity.
    pub cases: Vec<Case>,
    /// A signal closes after this long without an event.
    pub keep_alive: Duration,
    /// A signal closes after this long; the next event opens a new one.
    pub max_duration: Duration,
    /// Template of the signal's title; `None` generates one.
    pub title: Option<Template>,
    /// Template of the signal's message; `None` generates one.
    pub message: Option<Template>,
    /// First-seen rule: raises only when the value of these fields has not been seen in this rule's
    /// matching events before, once the learning time of the group has passed.
    pub first_seen: Option<FirstSeen>,
    /// Known blind spots of the rule.
    pub blind_spots: Vec<String>,
    /// Goal, strategy and response, as written in the rule.
    pub guide: Guide,
    /// Ids of the rules that this rule supersedes: they raise no signal while this rule has an open
    /// signal in the same cluster with the same values of their common group-by fields.
    pub supersedes: Vec<String>,
}

/// A severity case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of the case, for display.
    pub name: String,
    /// Severity of the signal when this case holds.
    pub severity: Severity,
    /// Smallest count of events (or distinct values) in the window for which the case holds.
    pub at_least: u64,
}

/// A first-seen condition: the value is new to the rule.
#[derive(Clone, Debug)]
pub struct FirstSeen {
    /// The fields whose combined value is remembered.
    pub fields: Vec<Field>,
    /// Learning time after the rule's first matching event, without signals. Microseconds.
    pub learning: i64,
    /// A value is forgotten after this long without an event. Microseconds.
    pub forget_after: i64,
}

/// The sections of the rule's guide, in Markdown.
#[derive(Clone, Debug, Default)]
pub struct Guide {
    /// The behaviour that the rule detects.
    pub goal: String,
    /// How the rule detects it.
    pub strategy: String,
    /// How to respond to a signal.
    pub response: String,
}

/// The source position of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// File name, or name of an API object.
    pub file: String,
    /// Line of the document's first key, from 1.
    pub line: usize,
}
