//! How a value differs from the one before: lower, shorter, rarer, narrower.
//!
//! Both values are in bodies of the same event. Without one of the bodies there is no comparison. A
//! body that was cut can contain anything, so each comparison with it holds, as for `writes.…`.
//!
//! Deliberately absent: the meaning of durations, schedules and selectors (module `compare`), and
//! which values of two lists are compared (module `items`).

mod items;

use std::collections::{BTreeSet, HashSet};

use event::limit;
use serde_json::Value as Json;

use super::Comparison;
use crate::compare;
use crate::field::Field;
use crate::fields::{Fields, body};

/// Maximum number of pairs of different durations or schedules that are compared. If there are more,
/// the comparison holds: it takes long, and a client chooses how many there are.
const PAIRS_MAX: usize = 32;

/// The comparison of a value with the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Both are numbers. A number that was removed from an object that is still there is lower.
    Number(Comparison),
    /// Both are durations, and the first is shorter.
    Shorter,
    /// The same in restic's notation.
    ShorterInMonths,
    /// Both are cron expressions, and the first runs more rarely. One that was removed never runs.
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
        let pairs = || items::pairs(after, before);
        match self {
            Self::Number(comparison) => pairs().iter().any(|pair| is_number(pair, comparison)),
            Self::Shorter => any_changed(&pairs(), compare::is_shorter),
            Self::ShorterInMonths => any_changed(&pairs(), compare::is_shorter_in_months),
            Self::Rarer => {
                let pairs = pairs();
                pairs.iter().any(|pair| pair.before.is_some() && pair.after.is_none())
                    || any_changed(&pairs, compare::is_rarer)
            }
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

/// Whether the numbers compare so. Of two different texts, one that is no number counts as a change for
/// the worse.
fn is_number(pair: &items::Pair, comparison: Comparison) -> bool {
    let is_of_less = matches!(comparison, Comparison::Less | Comparison::LessOrEqual);
    match (pair.after.as_deref(), pair.before.as_deref()) {
        (Some(after), Some(before)) => match (after.parse::<f64>(), before.parse::<f64>()) {
            (Ok(_), Ok(bound)) => comparison.holds(after, bound),
            _ => is_of_less && after != before,
        },
        (None, Some(before)) => {
            is_of_less && pair.has_parent && before.parse::<f64>().is_ok_and(|number| number > 0.0)
        }
        _ => false,
    }
}

/// Whether one of the different pairs is such a pair, or there are more than [`PAIRS_MAX`].
fn any_changed(pairs: &[items::Pair], is_worse: fn(&str, &str) -> bool) -> bool {
    let pairs: BTreeSet<(&str, &str)> = pairs
        .iter()
        .filter_map(|pair| Some((pair.after.as_deref()?, pair.before.as_deref()?)))
        .filter(|(after, before)| after != before)
        .collect();
    pairs.len() > PAIRS_MAX || pairs.into_iter().any(|(after, before)| is_worse(after, before))
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
