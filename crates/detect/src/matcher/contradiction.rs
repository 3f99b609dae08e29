//! Finds conditions that no event can meet, although each of their tests can be met.
//!
//! The condition is evaluated for all values that matter of one field at a time; tests of other
//! fields have both results. If it is false in all cases, no event can meet it. Fields that follow
//! from each other are one: the stage, the code of the response, `succeeded` and `refused`; a user
//! name, and what it says of a service account.
//!
//! Deliberately absent: proofs over several independent fields. A rule that can match is never
//! rejected; when the budget is spent, every condition counts as possible.

use std::collections::HashSet;

use super::{Case, Node, Test};
use crate::budget::Budget;
use crate::field::{Field, Path, StatusPath, UserPath};

/// Prefix of the user name of a service account.
const ACCOUNT: &str = "system:serviceaccount:";
/// Length of the longest value of the stage and of the code, in bytes.
const RESPONSE_LEN_MAX: usize = "ResponseComplete".len();

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
        let both = |left: Self, right: Self| Self {
            can_hold: left.can_hold && right.can_hold,
            can_fail: left.can_fail || right.can_fail,
        };
        results.into_iter().fold(Self::of(true), both)
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
    /// A text that equals none of the condition, whatever its case.
    Other,
    /// Any text, if the case of a text can decide.
    Any,
}

/// The name of a field of which no value is left, if any.
pub(super) fn impossible(node: &Node, budget: &Budget) -> Option<String> {
    let fields = distinct_fields(node);
    if fields.iter().any(|field| is_of_response(field.path())) && !may_have_a_response(node, budget)
    {
        return Some("responseStatus.code".to_owned());
    }
    let mut others = fields.into_iter().filter(|field| !is_of_response(field.path()));
    let impossible_field = others.find(|field| {
        let is_left = |value| may_be(node, field, value, budget);
        !is_left(Value::Absent) && !may_have(node, field, budget)
    });
    impossible_field.map(ToString::to_string)
}

/// Whether an event that has the field can meet the condition.
pub(super) fn may_have(node: &Node, field: &Field, budget: &Budget) -> bool {
    // Both walks visit all tests.
    if is_of_response(field.path()) || !budget.spend(2 * node.cost() as u64) {
        return true;
    }
    let mut texts = Vec::new();
    literals(node, field, &mut texts);
    texts.sort_unstable();
    texts.dedup();
    let other = if is_cased(node, field) { Value::Any } else { Value::Other };
    let mut values = texts.into_iter().map(Value::Text).chain([other]);
    values.any(|value| may_be(node, field, value, budget))
}

/// Whether an event with this value of a field can meet the condition.
pub(super) fn may_have_value(node: &Node, field: &Field, value: &str, budget: &Budget) -> bool {
    may_be(node, field, Value::Text(value), budget)
}

fn may_be(node: &Node, field: &Field, value: Value<'_>, budget: &Budget) -> bool {
    let len = match value {
        Value::Text(text) => text.len(),
        Value::Absent | Value::Other | Value::Any => 0,
    };
    let test = |of: &Field, test: &Test| {
        if of == field && !budget.spend(test.steps(len)) {
            return Results::UNKNOWN;
        }
        of_field(field, value, of, test)
    };
    evaluate(node, &test, budget).can_hold
}

fn evaluate(node: &Node, test: &dyn Fn(&Field, &Test) -> Results, budget: &Budget) -> Results {
    if !budget.spend(1) {
        return Results::UNKNOWN;
    }
    let inner = |node: &Node| evaluate(node, test, budget);
    match node {
        Node::All(nodes) => Results::all(nodes.iter().map(inner)),
        Node::Any(nodes) => Results::any(nodes.iter().map(inner)),
        Node::Not(node) => inner(node).inverted(),
        Node::Shared(node) => inner(node),
        Node::Test(field, own) => test(field, own),
    }
}

/// The fields of a condition, each once.
fn distinct_fields(node: &Node) -> Vec<&Field> {
    fn collect<'n>(node: &'n Node, known: &mut HashSet<&'n Field>, fields: &mut Vec<&'n Field>) {
        match node {
            Node::All(nodes) | Node::Any(nodes) => {
                for node in nodes {
                    collect(node, known, fields);
                }
            }
            Node::Not(node) => collect(node, known, fields),
            Node::Shared(node) => collect(node, known, fields),
            Node::Test(field, _) => fields.extend(known.insert(field).then_some(field)),
        }
    }
    let (mut known, mut fields) = (HashSet::new(), Vec::new());
    collect(node, &mut known, &mut fields);
    fields
}

/// The texts with which a field is compared.
fn literals<'n>(node: &'n Node, field: &Field, texts: &mut Vec<&'n str>) {
    match node {
        Node::All(nodes) | Node::Any(nodes) => {
            for node in nodes {
                literals(node, field, texts);
            }
        }
        Node::Not(node) => literals(node, field, texts),
        Node::Shared(node) => literals(node, field, texts),
        Node::Test(of, Test::Matches(pattern)) if of == field => {
            texts.extend(pattern.literal().filter(|text| !text.is_empty()));
        }
        Node::Test(..) => {}
    }
}

/// Whether the case of the field's value can decide.
fn is_cased(node: &Node, field: &Field) -> bool {
    match node {
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(|node| is_cased(node, field)),
        Node::Not(node) => is_cased(node, field),
        Node::Shared(node) => is_cased(node, field),
        Node::Test(_, Test::SameAs(other, _)) if other == field => true,
        Node::Test(of, test) => {
            of == field
                && match test {
                    Test::Matches(pattern) => pattern.case() == Case::Sensitive,
                    Test::Exists(_) | Test::Null => false,
                    _ => true,
                }
        }
    }
}

const fn is_of_response(path: &Path) -> bool {
    matches!(path, Path::Stage | Path::Succeeded | Path::Refused | Path::Status(StatusPath::Code))
}

/// Whether a stage and a code are left.
fn may_have_a_response(node: &Node, budget: &Budget) -> bool {
    // The usual ones first: nearly all rules can match one of them.
    let codes: Vec<String> =
        [200_u16, 403].into_iter().chain(100..1000).map(|code| code.to_string()).collect();
    let without = std::iter::once(None);
    let all: Vec<Option<&str>> =
        without.chain(codes.iter().map(|code| Some(code.as_str()))).collect();
    event::Stage::ALL.into_iter().rev().any(|stage| {
        // A request that was just received has no response.
        let len = if stage == event::Stage::RequestReceived { 1 } else { all.len() };
        all.iter().take(len).any(|code| {
            let number: u16 = code.and_then(|code| code.parse().ok()).unwrap_or_default();
            let truth = |is: bool| Value::Text(if is { "true" } else { "false" });
            let test = |field: &Field, test: &Test| match field.path() {
                _ if !budget.spend(test.steps(RESPONSE_LEN_MAX)) => Results::UNKNOWN,
                Path::Stage => result(test, Value::Text(stage.as_str())),
                Path::Succeeded => result(test, truth((200..300).contains(&number))),
                Path::Refused => result(test, truth(matches!(number, 401 | 403))),
                Path::Status(StatusPath::Code) => {
                    result(test, code.map_or(Value::Absent, Value::Text))
                }
                _ => Results::UNKNOWN,
            };
            evaluate(node, &test, budget).can_hold
        })
    })
}

/// The result of a test if a field has a value.
fn of_field(field: &Field, value: Value<'_>, of: &Field, test: &Test) -> Results {
    if of == field {
        return if field.has_several_values() {
            presence(test, value)
        } else {
            result(test, value)
        };
    }
    let (Some((user, path)), Value::Text(username)) = (derived_from(of.path()), value) else {
        return Results::UNKNOWN;
    };
    if *field.path() != user {
        return Results::UNKNOWN;
    }
    match (username.get(..ACCOUNT.len()), path) {
        // Only with these letters in lower case it is one.
        (Some(start), _) if start.eq_ignore_ascii_case(ACCOUNT) => Results::UNKNOWN,
        (_, UserPath::IsServiceAccount) => result(test, Value::Text("false")),
        _ => result(test, Value::Absent),
    }
}

/// The user name from which a field of a user follows.
fn derived_from(path: &Path) -> Option<(Path, &UserPath)> {
    let (user, path): (fn(UserPath) -> Path, _) = match path {
        Path::User(path) => (Path::User, path),
        Path::ImpersonatedUser(path) => (Path::ImpersonatedUser, path),
        Path::EffectiveUser(path) => (Path::EffectiveUser, path),
        Path::Actor(path) => (Path::Actor, path),
        _ => return None,
    };
    let is_derived = matches!(
        path,
        UserPath::IsServiceAccount
            | UserPath::ServiceAccountNamespace
            | UserPath::ServiceAccountName
    );
    is_derived.then(|| (user(UserPath::Username), path))
}

/// The result of a test of a field with a single value.
fn result(test: &Test, value: Value<'_>) -> Results {
    match (test, value) {
        (Test::SameAs(..) | Test::Within(_), _) => Results::UNKNOWN,
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

/// The result of a test of a field with several values, of which only the presence is known.
fn presence(test: &Test, value: Value<'_>) -> Results {
    match (test, value) {
        (Test::Exists(_) | Test::Null, _) => result(test, value),
        (Test::Matches(pattern), Value::Absent) if pattern.matches("") => Results::UNKNOWN,
        (Test::SameAs(..), Value::Absent) => Results::UNKNOWN,
        (_, Value::Absent) => Results::of(false),
        _ => Results::UNKNOWN,
    }
}
