//! Compiled conditions on the fields of one event.
//!
//! An expression is compiled once, when a rule is loaded, and evaluated often: it contains compiled
//! patterns and parsed fields. Deliberately absent: YAML and names of selections (module `sigma`),
//! and the choice of the rules to evaluate (module `ruleset`).

mod bounded_regex;
mod change;
mod cidr;
mod contradiction;
mod duration;
mod pattern;
mod projection;
mod requirements;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

pub(crate) use bounded_regex::{BoundedRegex, REGEX_BYTES_MAX, REGEX_STEPS_MAX, RegexError};
pub(crate) use change::Change;
pub(crate) use cidr::Network;
pub(crate) use contradiction::Results;
pub(crate) use pattern::{Case, Form, Pattern, Token};
pub(crate) use requirements::{Dimension, Requirements, WORD_LEN_MAX};

use crate::budget::Budget;
use crate::field::{Field, Path};
use crate::fields::{Fields, Value};

/// A compiled condition.
#[derive(Clone, Debug)]
pub struct Expression {
    node: Node,
}

/// A node of a condition.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// True if all are; true if empty.
    All(Vec<Self>),
    /// True if any is; false if empty.
    Any(Vec<Self>),
    Not(Box<Self>),
    /// A node that several conditions may share.
    Shared(Arc<Self>),
    /// A test of one field.
    Test(Field, Test),
}

/// A test of one field. A field with several values passes if one of them passes.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    /// A text, with wildcards.
    Matches(Pattern),
    Regex(Arc<BoundedRegex>),
    InNetwork(Network),
    /// A comparison of numbers.
    Number(Comparison, f64),
    /// Whether the field has a value.
    Exists(bool),
    /// The field is absent or null.
    Null,
    /// The value is a time at most this many microseconds after the event.
    Within(i64),
    /// The value is a duration of less than this many microseconds.
    Shorter(i64),
    /// The other field has the same value.
    SameAs(Field, Case),
    /// How the value differs from that of the other field, which is the one before.
    Change(Field, Change),
}

/// The operator of a numeric comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Expression {
    pub(crate) const fn new(node: Node) -> Self {
        Self { node }
    }

    /// The conjunction of this condition and the others, which are shared and not copied.
    pub(crate) fn and(self, others: &[Arc<Node>]) -> Self {
        let others = others.iter().map(|node| Node::Shared(Arc::clone(node)));
        Self { node: Node::All(std::iter::once(self.node).chain(others).collect()) }
    }

    pub(crate) const fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn into_shared(self) -> Arc<Node> {
        Arc::new(self.node)
    }

    /// Evaluates the condition for an event.
    pub fn matches(&self, fields: &Fields<'_>) -> bool {
        self.node.matches(fields)
    }

    /// Whether the condition uses the field `dryRun`, so that it is evaluated for dry runs.
    pub fn names_dry_run(&self) -> bool {
        self.node.names(&|field| *field.path() == Path::DryRun)
    }

    /// Whether the condition uses the field `stage`, so that it is evaluated at all stages.
    pub fn names_stage(&self) -> bool {
        self.node.names(&|field| *field.path() == Path::Stage)
    }

    /// Whether the condition uses the object before a change.
    pub(crate) fn names_old_object(&self) -> bool {
        self.node.names(&|field| matches!(field.path(), Path::OldObject(_)))
    }

    /// How the condition uses the fields `writes.…`: whether a match needs one that is true, and
    /// whether it needs one that is false.
    pub(crate) fn uses_of_writes(&self) -> (bool, bool) {
        let mut uses = (false, false);
        self.node.add_uses_of_writes(false, &mut uses);
        uses
    }

    /// The number of comparisons that search a whole text, and the number of searches whose time
    /// can be the product of the lengths of pattern and text.
    pub(crate) fn searches(&self) -> (usize, usize) {
        let mut searches = (0, 0);
        self.node.add_searches(&mut searches);
        searches
    }

    /// The name of a field for which the condition excludes all values, if any: no event can match.
    pub(crate) fn impossible(&self, budget: &Budget) -> Option<String> {
        if budget.is_spent() {
            return None;
        }
        let dimension = Requirements::of(&self.node, budget).impossible();
        dimension
            .map(|dimension| dimension.name().to_owned())
            .or_else(|| contradiction::impossible(&self.node, budget))
    }

    /// Whether an event that has the field can match.
    pub(crate) fn may_have(&self, field: &Field, budget: &Budget) -> bool {
        contradiction::may_have(&self.node, field, budget)
    }

    /// Whether an event with this value of a field can match.
    pub(crate) fn may_have_value(&self, field: &Field, value: &str, budget: &Budget) -> bool {
        contradiction::may_have_value(&self.node, field, value, budget)
    }

    /// The requirements that every matching event meets.
    pub(crate) fn requirements(&self) -> Requirements {
        Requirements::of(&self.node, &Budget::of_index())
    }
}

impl Node {
    fn matches(&self, fields: &Fields<'_>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.matches(fields)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(fields)),
            Self::Not(node) => !node.matches(fields),
            Self::Shared(node) => node.matches(fields),
            Self::Test(field, test) => test.passes(field, fields),
        }
    }

    /// Maximum number of comparisons of one evaluation.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                nodes.iter().map(Self::cost).fold(1, usize::saturating_add)
            }
            Self::Not(node) => node.cost(),
            Self::Shared(node) => node.cost(),
            Self::Test(..) => 1,
        }
    }

    fn names(&self, is: &dyn Fn(&Field) -> bool) -> bool {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(|node| node.names(is)),
            Self::Not(node) => node.names(is),
            Self::Shared(node) => node.names(is),
            Self::Test(field, Test::SameAs(other, _) | Test::Change(other, _)) => {
                is(field) || is(other)
            }
            Self::Test(field, _) => is(field),
        }
    }
}

impl Node {
    fn add_searches(&self, searches: &mut (usize, usize)) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                for node in nodes {
                    node.add_searches(searches);
                }
            }
            Self::Not(node) => node.add_searches(searches),
            Self::Shared(node) => node.add_searches(searches),
            Self::Test(_, Test::Matches(pattern)) => {
                searches.0 += usize::from(pattern.is_search());
                searches.1 += usize::from(pattern.backtracks());
            }
            Self::Test(..) => {}
        }
    }

    fn add_uses_of_writes(&self, is_negated: bool, uses: &mut (bool, bool)) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                for node in nodes {
                    node.add_uses_of_writes(is_negated, uses);
                }
            }
            Self::Not(node) => node.add_uses_of_writes(!is_negated, uses),
            Self::Shared(node) => node.add_uses_of_writes(is_negated, uses),
            Self::Test(field, test) => {
                if matches!(field.path(), Path::Writes(_)) {
                    uses.0 |= test.accepts(if is_negated { "false" } else { "true" });
                    uses.1 |= test.accepts(if is_negated { "true" } else { "false" });
                }
            }
        }
    }
}

impl Test {
    fn passes(&self, field: &Field, fields: &Fields<'_>) -> bool {
        match self {
            Self::Exists(expected) => {
                any(field, fields, |value| !matches!(value, Value::Null)) == *expected
            }
            Self::Null => !any(field, fields, |value| !matches!(value, Value::Null)),
            // An absent text is empty.
            Self::Matches(pattern) if pattern.matches("") && !any(field, fields, |_| true) => true,
            Self::SameAs(other, case) => {
                // Collect the values once, since both fields may have many.
                let mut values = HashSet::new();
                fields.for_each_value(other, |text| {
                    values.insert(case.key(text));
                });
                of_text(field, fields, |text| values.contains(&case.key(text)))
            }
            Self::Change(other, change) => change.holds(field, other, fields),
            Self::Within(micros) => {
                let end = fields.event().stage_timestamp().as_micros().saturating_add(*micros);
                of_text(field, fields, |text| {
                    event::Timestamp::parse(text).is_ok_and(|time| time.as_micros() <= end)
                })
            }
            _ => of_text(field, fields, |text| self.accepts(text)),
        }
    }

    /// Whether a field with this single value passes. Not for comparisons with other fields or the
    /// time.
    pub(crate) fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Matches(pattern) => pattern.matches(text),
            Self::Regex(regex) => regex.is_match(text),
            Self::InNetwork(network) => network.contains(text),
            Self::Number(comparison, number) => comparison.holds(text, *number),
            Self::Exists(expected) => *expected,
            Self::Shorter(micros) => {
                duration::micros(text).is_some_and(|duration| duration < *micros)
            }
            Self::Null | Self::SameAs(..) | Self::Change(..) | Self::Within(_) => false,
        }
    }

    /// Work of [`Self::accepts`] for a text of this length, in steps of a budget.
    pub(crate) fn steps(&self, len: usize) -> u64 {
        match self {
            Self::Matches(pattern) => pattern.steps(len),
            Self::Regex(regex) => regex.steps(len),
            _ => 1,
        }
    }

    /// The regular expression of the test, if it is one.
    pub(crate) fn into_regex(self) -> Option<Arc<BoundedRegex>> {
        if let Self::Regex(regex) = self { Some(regex) } else { None }
    }

    /// The text that the field must contain, if any.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self {
            Self::Matches(pattern) => pattern.part(),
            _ => None,
        }
    }

    /// Whether no matching text begins with this character.
    pub(crate) fn begins_without(&self, character: char) -> bool {
        let first = match self {
            Self::Matches(pattern) => pattern.first(),
            _ => None,
        };
        first.is_some_and(|first| !first.eq_ignore_ascii_case(&character))
    }

    /// Whether all matching texts begin with a digit.
    pub(crate) fn begins_with_a_digit(&self) -> bool {
        matches!(self, Self::Matches(pattern) if pattern.first().is_some_and(|c| c.is_ascii_digit()))
    }

    /// Whether it is a case-sensitive text pattern.
    pub(crate) fn is_cased(&self) -> bool {
        matches!(self, Self::Matches(pattern) if pattern.case() == Case::Sensitive)
    }

    /// Whether the whole field must equal the literal.
    pub(crate) fn is_equality(&self) -> bool {
        matches!(self, Self::Matches(pattern) if pattern.literal().is_some())
    }
}

impl Comparison {
    fn holds(self, text: &str, bound: f64) -> bool {
        text.parse::<f64>().is_ok_and(|number| match self {
            Self::Equal => number.total_cmp(&bound).is_eq(),
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
        })
    }
}

fn any(field: &Field, fields: &Fields<'_>, mut is: impl FnMut(Value<'_>) -> bool) -> bool {
    let mut is_met = false;
    fields.values(field.path(), &mut |value| {
        is_met = is(value);
        if is_met { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    is_met
}

fn of_text(field: &Field, fields: &Fields<'_>, mut is: impl FnMut(&str) -> bool) -> bool {
    any(field, fields, |value| matches!(value, Value::Text(text) if is(text)))
}
