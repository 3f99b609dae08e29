//! Parses the `keepwatch` extension: texts and life cycle of the rule's signals.

use std::time::Duration;

use super::ast::{Body, CorrelationKind};
use super::correlation::{duration, field};
use super::header::severity;
use super::members::{Members, text, texts_with_positions};
use super::yaml::{Node, Value, integer};
use crate::engine::WINDOW_EVENTS_MAX;
use crate::error::{Errors, Position};
use crate::field::Field;
use crate::rule::{Case, FirstSeen, Guide, SignalOptions};
use crate::template::Template;

/// Default keep-alive: a signal closes after this long without an event.
pub const KEEP_ALIVE: Duration = Duration::from_hours(1);
/// Default maximum duration of a signal.
pub const MAX_DURATION: Duration = Duration::from_hours(24);
/// Default learning time of a first-seen rule. Microseconds.
pub const LEARNING: i64 = 7 * DAY;
/// Default time after which a first-seen rule forgets a value. Microseconds.
pub const FORGET_AFTER: i64 = 30 * DAY;
const DAY: i64 = 86_400_000_000;
/// Maximum number of severity cases, as in Datadog.
const CASES_MAX: usize = 10;
/// Maximum number of fields of a group-by or a value.
const FIELDS_MAX: usize = 8;
/// Default query label.
const QUERY: &str = "events";

impl Default for SignalOptions {
    fn default() -> Self {
        Self {
            query: QUERY.to_owned(),
            group_by: vec![Field::username()],
            cases: Vec::new(),
            keep_alive: KEEP_ALIVE,
            max_duration: MAX_DURATION,
            title: None,
            message: None,
            first_seen: None,
            blind_spots: Vec::new(),
            guide: Guide::default(),
            supersedes: Vec::new(),
        }
    }
}

/// The extension, and the values to check when the references between rules are resolved.
#[derive(Default)]
pub(super) struct Extension {
    /// Without `supersedes`, whose names are not resolved yet.
    pub(super) signal: SignalOptions,
    pub(super) supersedes: Vec<(String, Position)>,
    pub(super) cases_at: Option<Position>,
}

/// Parses the extension of a document with this body.
pub(super) fn read(
    at: Position,
    node: &Node,
    body: Option<&Body>,
    errors: &mut Errors,
) -> Option<Extension> {
    if matches!(body, Some(Body::Filter(_))) {
        errors.hint(at, "a filter raises no signals", "move `keepwatch` to the rule");
        return None;
    }
    let Extension { mut signal, mut supersedes, mut cases_at } = Extension::default();
    let mut inner = Members::of(node, "keepwatch", errors)?;
    let at = inner.at;
    if matches!(body, Some(Body::Correlation(_))) {
        reject_single_event_keys(&mut inner, errors);
    }
    if let Some(query) = inner.take("query") {
        signal.query = label(query, errors).unwrap_or(signal.query);
    }
    if let Some(node) = inner.take("group-by") {
        signal.group_by = fields(node, "group-by", errors);
    }
    if let Some(node) = inner.take("cases") {
        signal.cases = cases(node, errors);
        cases_at = Some(node.at);
        check_cases(node, &signal.cases, body, errors);
    }
    if let Some(node) = inner.take("keep-alive") {
        signal.keep_alive = span(node, "keep-alive", errors).unwrap_or(KEEP_ALIVE);
        signal.max_duration = signal.max_duration.max(signal.keep_alive);
    }
    if let Some(node) = inner.take("max-duration") {
        signal.max_duration = span(node, "max-duration", errors).unwrap_or(MAX_DURATION);
    }
    if signal.keep_alive > signal.max_duration {
        errors.hint(at, "keep-alive is longer than max-duration", "make max-duration longer");
    }
    signal.title = inner.take("title").and_then(|node| template(node, "title", errors));
    signal.message = inner.take("message").and_then(|node| template(node, "message", errors));
    signal.first_seen = inner.take("first-seen").and_then(|node| first_seen(node, errors));
    signal.blind_spots = inner.texts("blind-spots", errors);
    signal.guide = Guide {
        goal: inner.text("goal", errors).unwrap_or_default(),
        strategy: inner.text("strategy", errors).unwrap_or_default(),
        response: inner.text("response", errors).unwrap_or_default(),
    };
    if let Some(node) = inner.take("supersedes") {
        supersedes = texts_with_positions(node, "supersedes", errors);
    }
    inner.finish("keepwatch", errors);
    Some(Extension { signal, supersedes, cases_at })
}

/// Rejects the keys that only detection rules may have.
fn reject_single_event_keys(inner: &mut Members<'_>, errors: &mut Errors) {
    for (key, hint) in [
        ("group-by", "events are grouped by `group-by` of the correlation"),
        ("first-seen", "move it to a rule on single events"),
    ] {
        if let Some((at, _)) = inner.take_with_key(key) {
            errors.hint(at, format!("`{key}` is for rules on single events"), hint);
        }
    }
}

/// Parses a query label, which templates and conditions can refer to.
fn label(node: &Node, errors: &mut Errors) -> Option<String> {
    let label = text(node, "query", errors)?;
    let is_label = !label.is_empty()
        && label.len() <= 64
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_label {
        errors.hint(
            node.at,
            "`query` is not a label",
            "at most 64 letters, digits and underscores",
        );
        return None;
    }
    Some(label)
}

fn fields(node: &Node, what: &str, errors: &mut Errors) -> Vec<Field> {
    let texts = texts_with_positions(node, what, errors);
    if texts.len() > FIELDS_MAX {
        errors.add(node.at, format!("`{what}` has more than {FIELDS_MAX} fields"));
    }
    texts.into_iter().filter_map(|(text, at)| field(&text, at, errors)).collect()
}

fn span(node: &Node, what: &str, errors: &mut Errors) -> Option<Duration> {
    let micros = duration(node, what, errors)?;
    u64::try_from(micros).ok().map(Duration::from_micros)
}

fn template(node: &Node, what: &str, errors: &mut Errors) -> Option<Template> {
    let text = text(node, what, errors)?;
    Template::parse(&text).map_err(|error| errors.push(node.at, error.message, error.hint)).ok()
}

fn cases(node: &Node, errors: &mut Errors) -> Vec<Case> {
    let Value::List(items) = &node.value else {
        errors.hint(
            node.at,
            format!("`cases` must be a list, not {}", node.value.kind()),
            "write `- {name: many, severity: high, at-least: 5}`",
        );
        return Vec::new();
    };
    if items.len() > CASES_MAX {
        errors.add(node.at, format!("`cases` has more than {CASES_MAX} entries"));
    }
    let cases: Vec<Case> = items.iter().filter_map(|item| case(item, errors)).collect();
    for (pair, item) in cases.windows(2).zip(items.iter().skip(1)) {
        let [first, second] = pair else { continue };
        if first.severity < second.severity || first.at_least <= second.at_least {
            errors.hint(
                item.at,
                format!("the case `{}` could never apply", second.name),
                "the first case that holds applies: list the most severe case, with the most \
                 events, first",
            );
        }
    }
    cases
}

/// Reports cases that the count of a correlation never reaches.
fn check_cases(node: &Node, cases: &[Case], body: Option<&Body>, errors: &mut Errors) {
    let Some(Body::Correlation(correlation)) = body else { return };
    let count_max = match correlation.kind {
        CorrelationKind::Absence => {
            let hint = "remove `cases`, and set `level`";
            errors.hint(node.at, "an absence has no count, so no case could apply", hint);
            return;
        }
        CorrelationKind::Temporal => correlation.rules.len() as u64,
        CorrelationKind::EventCount | CorrelationKind::ValueCount(_) => WINDOW_EVENTS_MAX as u64,
        CorrelationKind::TemporalOrdered => return,
    };
    if let Some(case) = cases.iter().find(|case| case.at_least > count_max) {
        let message = format!("the case `{}` could never apply", case.name);
        errors.hint(node.at, message, format!("the count is at most {count_max}"));
    }
}

fn case(node: &Node, errors: &mut Errors) -> Option<Case> {
    let mut members = Members::of(node, "a case", errors)?;
    let name = members.text("name", errors).unwrap_or_default();
    let severity = members
        .take("severity")
        .and_then(|node| severity(&text(node, "severity", errors)?, node.at, errors));
    let at_least = members.take("at-least");
    let at_least = match at_least.map(|node| (&node.value, node.at)) {
        None => Some(1),
        Some((Value::Number(number), at)) => {
            let number = integer(number).filter(|number| *number > 0);
            if number.is_none() {
                errors.add(at, "`at-least` must be a whole number from 1 on");
            }
            number
        }
        Some((other, at)) => {
            errors.add(at, format!("`at-least` must be a number, not {}", other.kind()));
            None
        }
    };
    let at = members.at;
    members.finish("a case", errors);
    if severity.is_none() && errors.is_empty() {
        errors.hint(at, "the case has no severity", "add `severity: high`");
    }
    Some(Case { name, severity: severity?, at_least: at_least? })
}

fn first_seen(node: &Node, errors: &mut Errors) -> Option<FirstSeen> {
    let mut members = Members::of(node, "first-seen", errors)?;
    let at = members.at;
    let fields =
        members.take("fields").map(|node| fields(node, "fields", errors)).unwrap_or_default();
    let learning = members.take("learning").map_or(Some(LEARNING), |node| match &node.value {
        Value::Number(zero) | Value::Text(zero) if zero == "0" || zero == "0s" => Some(0),
        _ => duration(node, "learning", errors),
    });
    let forget_after = members
        .take("forget-after")
        .map_or(Some(FORGET_AFTER), |node| duration(node, "forget-after", errors));
    members.finish("first-seen", errors);
    if fields.is_empty() {
        errors.hint(at, "first-seen names no fields", "add `fields: [user.username]`");
    }
    Some(FirstSeen { fields, learning: learning?, forget_after: forget_after? })
}
