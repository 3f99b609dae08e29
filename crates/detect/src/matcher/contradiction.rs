//! Finds conditions that no event can meet, although each of their tests can be met.
//!
//! The condition is evaluated for one field at a time, with each value that makes a difference;
//! tests of other fields have both results. If it is false in all cases, no event can meet it.
//! Fields that are derived from each other are evaluated together: the stage, the code of the
//! response, `succeeded` and `refused`; a username and the service account that it identifies.
//!
//! Deliberately absent: proofs over several independent fields. A rule that can match is never
//! rejected; when the budget is spent, every condition counts as possible.

use std::collections::HashSet;

use super::projection::{self, Check, Projection, derived_from, is_of_response};
use super::{Node, Test};
use crate::budget::Budget;
use crate::field::{Field, Path, StatusPath, UserPath};

/// Prefix of the user name of a service account.
const ACCOUNT: &str = "system:serviceaccount:";
/// The codes that a response can have: three digits.
const CODES: std::ops::Range<u16> = 100..1000;

/// The results that a part of a condition can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Results {
    pub(crate) can_hold: bool,
    pub(crate) can_fail: bool,
}

impl Results {
    pub(crate) const UNKNOWN: Self = Self { can_hold: true, can_fail: true };

    pub(crate) const fn of(holds: bool) -> Self {
        Self { can_hold: holds, can_fail: !holds }
    }

    pub(crate) const fn inverted(self) -> Self {
        Self { can_hold: self.can_fail, can_fail: self.can_hold }
    }

    pub(crate) fn all(results: impl IntoIterator<Item = Self>) -> Self {
        results.into_iter().fold(Self::of(true), Self::and)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            can_hold: self.can_hold && other.can_hold,
            can_fail: self.can_fail || other.can_fail,
        }
    }

    pub(crate) fn any(results: impl IntoIterator<Item = Self>) -> Self {
        Self::all(results.into_iter().map(Self::inverted)).inverted()
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
enum Value<'v> {
    Absent,
    Text(&'v str),
    /// A text that differs from all texts of the condition, in any case.
    Other,
    /// Any text, if the condition depends on the case.
    Any,
}

/// The name of a field for which no value is left, if any.
pub(super) fn impossible(node: &Node, budget: &Budget) -> Option<String> {
    let projections = projection::all(node, budget)?;
    let of_response = projections.iter().find(|(path, _)| is_of_response(path));
    if of_response.is_some_and(|(_, projection)| !may_have_a_response(projection, budget)) {
        return Some("responseStatus.code".to_owned());
    }
    let mut others = projections.iter().filter(|(path, _)| !is_of_response(path));
    let impossible_field = others.find_map(|(path, projection)| {
        let mut field = None;
        let mut leaves = 0;
        projection.for_each(&mut |of, _| {
            leaves += 1;
            field = field.or_else(|| (of.path() == path).then_some(of));
        });
        // Each test can hold and can fail, so a single test excludes nothing.
        let field = field.filter(|_| leaves > 1)?;
        let is_left = may_be(projection, field, Value::Absent, budget)
            || may_have_a_value(projection, field, budget);
        (!is_left).then_some(field)
    });
    impossible_field.map(ToString::to_string)
}

/// Whether an event that has the field can meet the condition.
pub(super) fn may_have(node: &Node, field: &Field, budget: &Budget) -> bool {
    is_of_response(field.path())
        || projection::of(node, field, budget)
            .is_none_or(|projection| may_have_a_value(&projection, field, budget))
}

/// Whether an event with this value of a field can meet the condition.
pub(super) fn may_have_value(node: &Node, field: &Field, value: &str, budget: &Budget) -> bool {
    projection::of(node, field, budget)
        .is_none_or(|projection| may_be(&projection, field, Value::Text(value), budget))
}

fn may_have_a_value(projection: &Projection<'_>, field: &Field, budget: &Budget) -> bool {
    let (mut texts, mut is_cased) = (HashSet::new(), false);
    projection.for_each(&mut |of, check| {
        if of == field {
            is_cased = is_cased || check.is_cased();
            texts.extend(check.texts().into_iter().filter(|text| !text.is_empty()));
        }
    });
    if may_be(projection, field, if is_cased { Value::Any } else { Value::Other }, budget) {
        return true;
    }
    // If there are several values, only their presence is known.
    !field.has_several_values()
        && texts.into_iter().any(|text| may_be(projection, field, Value::Text(text), budget))
}

fn may_be(projection: &Projection<'_>, field: &Field, value: Value<'_>, budget: &Budget) -> bool {
    let len = match value {
        Value::Text(text) => text.len(),
        Value::Absent | Value::Other | Value::Any => 0,
    };
    let leaf = |of: &Field, check: Check<'_>| {
        if of == field && !budget.spend(check.steps(len)) {
            return Results::UNKNOWN;
        }
        of_field(field, value, of, check)
    };
    projection.evaluate(&leaf, budget).can_hold
}

/// Whether a stage and a code are left.
fn may_have_a_response(projection: &Projection<'_>, budget: &Budget) -> bool {
    let mut has_stage = false;
    projection.for_each(&mut |field, _| has_stage = has_stage || *field.path() == Path::Stage);
    let codes = codes(projection);
    let stages = event::Stage::ALL.into_iter().rev();
    let mut stages = stages.filter(|stage| has_stage || *stage == event::Stage::ResponseComplete);
    stages.any(|stage| {
        // A request that was just received has no response.
        let len = if stage == event::Stage::RequestReceived { 1 } else { codes.len() };
        codes.iter().take(len).any(|code| may_respond(projection, stage, *code, budget))
    })
}

/// The codes that can make a difference, beginning with no code and the usual ones. If only texts
/// are compared, these are the texts and one code of each group of the others.
fn codes(projection: &Projection<'_>) -> Vec<Option<u16>> {
    let (mut texts, mut is_of_texts) = (HashSet::new(), true);
    projection.for_each(&mut |field, check| {
        if *field.path() == Path::Status(StatusPath::Code) {
            is_of_texts = is_of_texts && check.is_of_texts();
            texts.extend(check.texts());
        }
    });
    let named = |code: &u16| texts.contains(code.to_string().as_str());
    let usual = [None, Some(200), Some(403)].into_iter();
    if !is_of_texts {
        return usual.chain(CODES.map(Some)).collect();
    }
    let mut groups = HashSet::new();
    let deciding =
        |code: &u16| named(code) || groups.insert((is_success(*code), is_refusal(*code)));
    usual.chain(CODES.filter(deciding).map(Some)).collect()
}

/// Whether a response with this stage and code can meet the condition.
fn may_respond(
    projection: &Projection<'_>,
    stage: event::Stage,
    code: Option<u16>,
    budget: &Budget,
) -> bool {
    let text = code.map(|code| code.to_string());
    let truth = |is: bool| Value::Text(if is { "true" } else { "false" });
    let leaf = |field: &Field, check: Check<'_>| {
        let value = match field.path() {
            Path::Stage => Value::Text(stage.as_str()),
            Path::Succeeded => truth(code.is_some_and(is_success)),
            Path::Refused => truth(code.is_some_and(is_refusal)),
            Path::Status(StatusPath::Code) => text.as_deref().map_or(Value::Absent, Value::Text),
            _ => return Results::UNKNOWN,
        };
        let len = if let Value::Text(text) = value { text.len() } else { 0 };
        if budget.spend(check.steps(len)) { result(check, value) } else { Results::UNKNOWN }
    };
    projection.evaluate(&leaf, budget).can_hold
}

const fn is_success(code: u16) -> bool {
    matches!(code, 200..300)
}

const fn is_refusal(code: u16) -> bool {
    matches!(code, 401 | 403)
}

/// The result of a check if a field has a value.
fn of_field(field: &Field, value: Value<'_>, of: &Field, check: Check<'_>) -> Results {
    if of == field {
        return if field.has_several_values() {
            presence(check, value)
        } else {
            result(check, value)
        };
    }
    let (Some((user, path)), Value::Text(username)) = (derived_from(of.path()), value) else {
        return Results::UNKNOWN;
    };
    if *field.path() != user {
        return Results::UNKNOWN;
    }
    match (username.get(..ACCOUNT.len()), path) {
        // A service account name requires these letters in lower case.
        (Some(start), _) if start.eq_ignore_ascii_case(ACCOUNT) => Results::UNKNOWN,
        (_, UserPath::IsServiceAccount) => result(check, Value::Text("false")),
        _ => result(check, Value::Absent),
    }
}

/// The result of a check of a field with a single value.
fn result(check: Check<'_>, value: Value<'_>) -> Results {
    let test = match check {
        Check::Test(test) => test,
        Check::OneOf(list) => {
            return match value {
                Value::Absent => Results::of(list.contains("")),
                Value::Text(known) => Results::of(list.contains(known)),
                Value::Any if !list.is_only_empty() => Results::UNKNOWN,
                Value::Other | Value::Any => Results::of(false),
            };
        }
    };
    match (test, value) {
        (Test::SameAs(..) | Test::Change(..) | Test::Within(_), _) => Results::UNKNOWN,
        (Test::Exists(expected), Value::Absent) => Results::of(!expected),
        (Test::Exists(expected), _) => Results::of(*expected),
        (Test::Null, Value::Absent) => Results::of(true),
        (Test::Matches(pattern), Value::Absent) => Results::of(pattern.matches("")),
        (Test::Null, _) | (_, Value::Absent) => Results::of(false),
        (_, Value::Text(known)) => Results::of(test.accepts(known)),
        (Test::Matches(pattern), Value::Other) if pattern.literal().is_some() => Results::of(false),
        (Test::Matches(pattern), Value::Any) if pattern.literal() == Some("") => Results::of(false),
        (_, Value::Other | Value::Any) => Results::UNKNOWN,
    }
}

/// The result of a check of a field with several values, of which only the presence is known.
fn presence(check: Check<'_>, value: Value<'_>) -> Results {
    let test = match (check, value) {
        (Check::Test(test), _) => test,
        (Check::OneOf(list), Value::Absent) if !list.contains("") => return Results::of(false),
        (Check::OneOf(_), _) => return Results::UNKNOWN,
    };
    match (test, value) {
        (Test::Exists(_) | Test::Null, _) => result(check, value),
        (Test::Matches(pattern), Value::Absent) if pattern.matches("") => Results::UNKNOWN,
        (Test::SameAs(..) | Test::Change(..), Value::Absent) => Results::UNKNOWN,
        (_, Value::Absent) => Results::of(false),
        _ => Results::UNKNOWN,
    }
}
