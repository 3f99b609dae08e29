//! How a value differs from the one before: lower, shorter, rarer, narrower.
//!
//! Both values are in bodies of the same event. Without one of the bodies there is no comparison. A
//! body that was cut can contain anything, so each comparison with it holds, as for `writes.…`.
//!
//! Deliberately absent: the meaning of durations, schedules and selectors (module `compare`).

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;

use event::limit;
use serde_json::Value as Json;

use super::Comparison;
use crate::compare;
use crate::field::Field;
use crate::fields::{Fields, Value, body};

/// Maximum number of values of a list that are compared; the others do not count.
const VALUES_MAX: usize = 1000;
/// Maximum number of pairs of different durations or schedules that are compared. If there are more,
/// the comparison holds: it takes long, and a client chooses how many there are.
const PAIRS_MAX: usize = 32;

/// The comparison of a value with the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Both are numbers.
    Number(Comparison),
    /// Both are durations, and the first is shorter.
    Shorter,
    /// Both are cron expressions, and the first runs more rarely.
    Rarer,
    /// Both are selectors, and the first leaves out something that the second selects.
    Narrower,
    /// The first lacks a value that the second has.
    Loses,
}

impl Change {
    /// Whether the field of the event differs so from the other field.
    pub(super) fn holds(self, field: &Field, other: &Field, fields: &Fields<'_>) -> bool {
        let (Some(after), Some(before)) = (fields.body(field.path()), fields.body(other.path()))
        else {
            return false;
        };
        if limit::is_cut(after.0) || limit::is_cut(before.0) {
            return true;
        }
        match self {
            Self::Number(comparison) => any_pair(field, other, fields, |after, before| {
                let bound = before.parse::<f64>();
                bound.is_ok_and(|bound| comparison.holds(after, bound))
            }),
            Self::Shorter => any_changed_pair(field, other, fields, compare::is_shorter),
            Self::Rarer => any_changed_pair(field, other, fields, compare::is_rarer),
            Self::Narrower => {
                let differs = || text(after) != text(before);
                let (Some(after), Some(before)) = (part(after), part(before)) else {
                    return differs();
                };
                compare::is_narrower(&after, &before).unwrap_or_else(differs)
            }
            Self::Loses => {
                let mut remaining = HashSet::new();
                fields.for_each_value(field, |text| {
                    remaining.insert(text.to_owned());
                });
                let mut is_lost = false;
                fields.for_each_value(other, |text| is_lost |= !remaining.contains(text));
                is_lost
            }
        }
    }
}

/// Whether the values at some position of both lists are such a pair. Values that are not lists have
/// one position.
fn any_pair(
    field: &Field,
    other: &Field,
    fields: &Fields<'_>,
    is: impl Fn(&str, &str) -> bool,
) -> bool {
    let (after, before) = (values(field, fields), values(other, fields));
    let mut pairs = after.iter().zip(&before);
    pairs.any(|pair| matches!(pair, (Some(after), Some(before)) if is(after, before)))
}

/// Whether the different values at some position of both lists are such a pair, or there are more than
/// [`PAIRS_MAX`].
fn any_changed_pair(
    field: &Field,
    other: &Field,
    fields: &Fields<'_>,
    compare: fn(&str, &str) -> Option<bool>,
) -> bool {
    let (after, before) = (values(field, fields), values(other, fields));
    let pairs = after.iter().zip(&before).filter(|(after, before)| after != before);
    let pairs: BTreeSet<(&str, &str)> =
        pairs.filter_map(|(after, before)| Some((after.as_deref()?, before.as_deref()?))).collect();
    pairs.len() > PAIRS_MAX
        || pairs.into_iter().any(|(after, before)| compare(after, before) == Some(true))
}

/// The values of a field in order; `None` in place of an object or null.
fn values(field: &Field, fields: &Fields<'_>) -> Vec<Option<String>> {
    let mut values = Vec::new();
    fields.values(field.path(), &mut |value| {
        values.push(match value {
            Value::Text(text) => Some(text.to_owned()),
            Value::Null | Value::Object => None,
        });
        if values.len() < VALUES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    values
}

/// The first value at a path as it was written; `None` if it is absent.
fn text<'b>((bytes, keys): (&'b [u8], &[String])) -> Option<&'b str> {
    body::texts(bytes, keys).first().map(|text| text.get())
}

/// The first value at a path; null if it is absent, and `None` if it is too long or too deep. One
/// that cannot be read counts as narrower if its text differs.
fn part((bytes, keys): (&[u8], &[String])) -> Option<Json> {
    let texts = body::texts(bytes, keys);
    let Some(text) = texts.first() else { return Some(Json::Null) };
    let text = text.get();
    (text.len() <= body::PART_LEN_MAX).then(|| serde_json::from_str(text).ok())?
}
