//! Finds conditions that no event can meet, although each of their tests can be met.
//!
//! The condition is evaluated for all values that matter of one field at a time; tests of other
//! fields have both results. If it is false in all cases, no event can meet it. Fields that follow
//! from each other are one: the stage, the code of the response, `succeeded` and `refused`; a user
//! name, and what it says of a service account.
//!
//! Deliberately absent: proofs over several independent fields. A rule that can match is never
//! rejected.

use super::{Case, Node, Test};
use crate::field::{Field, Path, StatusPath, UserPath};

/// Maximum number of evaluated tests; beyond it a condition is not examined.
const WORK_MAX: usize = 20_000_000;
/// Prefix of the user name of a service account.
const ACCOUNT: &str = "system:serviceaccount:";
/// Number of values of the stage and the code together.
const RESPONSES: usize = 4 * 901;

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
        let both = |one: Self, two: Self| Self {
            can_hold: one.can_hold && two.can_hold,
            can_fail: one.can_fail || two.can_fail,
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
pub(super) fn impossible(node: &Node) -> Option<String> {
    let cost = node.cost();
    let mut fields: Vec<&Field> = Vec::new();
    collect(node, &mut fields);
    if cost.saturating_mul(RESPONSES) <= WORK_MAX
        && fields.iter().any(|field| is_of_response(field.path()))
        && !may_have_a_response(node)
    {
        return Some("responseStatus.code".to_owned());
    }
    fields.retain(|field| !is_of_response(field.path()));
    for field in fields {
        let mut texts = Vec::new();
        literals(node, field, &mut texts);
        texts.sort_unstable();
        texts.dedup();
        if cost.saturating_mul(texts.len() + 2) > WORK_MAX {
            continue;
        }
        let is_left = |value| {
            let test = |of: &Field, test: &Test| of_field(field, value, of, test);
            evaluate(node, &test).can_hold
        };
        let other = if is_cased(node, field) { Value::Any } else { Value::Other };
        let values = texts.into_iter().map(Value::Text);
        let mut values = values.chain([Value::Absent, other]);
        if !values.any(is_left) {
            return Some(field.to_string());
        }
    }
    None
}

fn evaluate(node: &Node, test: &dyn Fn(&Field, &Test) -> Results) -> Results {
    match node {
        Node::All(nodes) => Results::all(nodes.iter().map(|node| evaluate(node, test))),
        Node::Any(nodes) => Results::any(nodes.iter().map(|node| evaluate(node, test))),
        Node::Not(node) => evaluate(node, test).inverted(),
        Node::Shared(node) => evaluate(node, test),
        Node::Test(field, own) => test(field, own),
    }
}

/// The distinct fields of a condition.
fn collect<'n>(node: &'n Node, fields: &mut Vec<&'n Field>) {
    match node {
        Node::All(nodes) | Node::Any(nodes) => {
            for node in nodes {
                collect(node, fields);
            }
        }
        Node::Not(node) => collect(node, fields),
        Node::Shared(node) => collect(node, fields),
        Node::Test(field, _) if fields.contains(&field) => {}
        Node::Test(field, _) => fields.push(field),
    }
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
                    Test::Matches(pattern) => pattern.case() == Case::Counts,
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
fn may_have_a_response(node: &Node) -> bool {
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
                Path::Stage => result(test, Value::Text(stage.as_str())),
                Path::Succeeded => result(test, truth((200..300).contains(&number))),
                Path::Refused => result(test, truth(matches!(number, 401 | 403))),
                Path::Status(StatusPath::Code) => {
                    result(test, code.map_or(Value::Absent, Value::Text))
                }
                _ => Results::UNKNOWN,
            };
            evaluate(node, &test).can_hold
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
        (Test::Exists(wanted), Value::Absent) => Results::of(!wanted),
        (Test::Exists(wanted), _) => Results::of(*wanted),
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
