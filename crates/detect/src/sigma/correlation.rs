//! Parses correlations.

use super::ast::{Alias, Correlation, CorrelationKind};
use super::header::unknown;
use super::members::{Members, text, texts_with_positions};
use super::yaml::{Node, Value, integer, printable};
use crate::engine::WINDOW_EVENTS_MAX;
use crate::error::{Errors, Position};
use crate::field::Field;
use crate::rule::Threshold;

/// Maximum time span: a year. Microseconds.
const TIMESPAN_MAX: i64 = 365 * DAY;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// The format of time spans, for hints.
pub(super) const UNITS: &str =
    "a number and one of s, m, h, d, w, M (30 days), y (365 days), at most one year";
/// Maximum number of rules in a correlation.
const RULES_MAX: usize = 100;
/// Maximum number of group-by keys.
const GROUP_BY_MAX: usize = 8;
/// Maximum threshold.
const COUNT_MAX: u64 = WINDOW_EVENTS_MAX as u64;
/// Maximum number of fields of a value count.
const COUNTED_MAX: usize = 4;

const TYPES: [&str; 4] = ["event_count", "value_count", "temporal", "temporal_ordered"];
/// Sigma's correlation types that are not supported.
const REFUSED: [&str; 4] = ["value_sum", "value_avg", "value_percentile", "value_median"];

pub(super) fn read(node: &Node, errors: &mut Errors) -> Option<Correlation> {
    let mut members = Members::of(node, "correlation", errors)?;
    let at = members.at;
    let (kind, kind_at) = kind(&mut members, errors)?;
    let rules = rules(&mut members, errors);
    let generate = boolean(&mut members, "generate", errors);
    let group_by = group_by(&mut members, errors);
    let timespan = timespan(&mut members, errors);
    let aliases = aliases(&mut members, errors);
    let mut counted = members.take("field").map(|node| counted_fields(node, errors));
    let condition = members.take("condition");
    let threshold = condition.and_then(|node| threshold(node, &mut counted, errors));
    members.finish("correlation", errors);
    let condition_at = condition.map_or(at, |node| node.at);
    let is_temporal = matches!(kind, "temporal" | "temporal_ordered");
    if condition.is_none() && !is_temporal {
        errors.hint(at, "the correlation has no condition", "add `condition: {gte: 5}`");
        return None;
    }
    if let Some(threshold) = threshold.filter(|_| is_temporal) {
        check_temporal(kind, threshold, rules.len() as u64, condition_at, errors);
    }
    if counted.is_some() && kind != "value_count" {
        errors.hint(kind_at, format!("{kind} counts no values of a field"), "use value_count");
    }
    let is_silence = threshold == Some(Threshold { at_least: 0, at_most: 0 });
    let kind = match kind {
        "event_count" if is_silence => CorrelationKind::Absence,
        "event_count" => CorrelationKind::EventCount,
        "temporal" => CorrelationKind::Temporal,
        "temporal_ordered" => CorrelationKind::TemporalOrdered,
        _ => {
            let Some(counted) = counted else {
                errors.hint(
                    kind_at,
                    "value_count needs the field whose values it counts",
                    "add `condition: {field: objectRef.name, gte: 5}`",
                );
                return None;
            };
            CorrelationKind::ValueCount(counted)
        }
    };
    if matches!(kind, CorrelationKind::ValueCount(_)) && is_silence {
        errors.hint(kind_at, "silence has no values", "use event_count with `lt: 1`");
    }
    if let CorrelationKind::ValueCount(counted) = &kind
        && let [counted] = counted.as_slice()
        && threshold.is_some_and(|threshold| threshold.at_least > 1)
        && !counted.has_several_values()
        && group_by.iter().any(|(name, _)| Field::parse(name).is_ok_and(|field| field == *counted))
    {
        let message = format!("each group has one value of `{counted}`, so there are never more");
        errors.hint(kind_at, message, "count another field, or group by another field");
    }
    let timespan = timespan?;
    Some(Correlation {
        kind,
        rules,
        generate,
        group_by,
        timespan,
        condition: threshold,
        condition_at,
        aliases,
    })
}

/// Reports thresholds that a temporal correlation with this many rules cannot meet.
fn check_temporal(kind: &str, threshold: Threshold, rules: u64, at: Position, errors: &mut Errors) {
    let hint = "omit the condition: all rules must match";
    if threshold.at_most != u64::MAX {
        let what = "a temporal correlation is met by all its rules, or by at least some of them";
        errors.hint(at, what, "omit the condition, or use gte");
    } else if threshold.at_least > rules {
        let what = format!("the correlation has only {rules} rules that could match");
        errors.hint(at, what, hint);
    } else if kind == "temporal_ordered" && threshold.at_least < rules {
        errors.hint(at, "temporal_ordered is met by all its rules only", hint);
    }
}

fn kind(members: &mut Members<'_>, errors: &mut Errors) -> Option<(&'static str, Position)> {
    let Some(node) = members.take("type") else {
        errors.hint(
            members.at,
            "the correlation has no type",
            format!("add `type:` with one of {}", TYPES.join(", ")),
        );
        return None;
    };
    let word = text(node, "type", errors)?;
    if REFUSED.contains(&word.as_str()) {
        errors.hint(
            node.at,
            format!("`{word}` is not supported: no field of an audit event is a quantity"),
            "count events with event_count or different values with value_count",
        );
        return None;
    }
    let kind = TYPES.into_iter().find(|known| *known == word);
    if kind.is_none() {
        unknown(node.at, "correlation type", &word, &TYPES, errors);
    }
    Some((kind?, node.at))
}

fn rules(members: &mut Members<'_>, errors: &mut Errors) -> Vec<(String, Position)> {
    let at = members.at;
    let rules = match members.take("rules") {
        Some(node) => texts_with_positions(node, "rules", errors),
        None => Vec::new(),
    };
    if rules.is_empty() || rules.len() > RULES_MAX {
        errors.add(at, format!("a correlation needs 1 to {RULES_MAX} `rules`, by id or name"));
    }
    rules
}

fn group_by(members: &mut Members<'_>, errors: &mut Errors) -> Vec<(String, Position)> {
    let Some(node) = members.take("group-by") else {
        return Vec::new();
    };
    let fields = texts_with_positions(node, "group-by", errors);
    if fields.len() > GROUP_BY_MAX {
        errors.add(node.at, format!("at most {GROUP_BY_MAX} fields make a group"));
    }
    fields
}

pub(super) fn boolean(members: &mut Members<'_>, key: &'static str, errors: &mut Errors) -> bool {
    match members.take(key) {
        None => false,
        Some(node) => match &node.value {
            Value::Bool(is) => *is,
            other => {
                let message = format!("`{key}` must be true or false, not {}", other.kind());
                errors.add(node.at, message);
                false
            }
        },
    }
}

fn timespan(members: &mut Members<'_>, errors: &mut Errors) -> Option<i64> {
    let at = members.at;
    let Some(node) = members.take("timespan") else {
        errors.hint(at, "the correlation has no timespan", "add `timespan: 10m`");
        return None;
    };
    duration(node, "timespan", errors)
}

/// Parses a time span such as `10m` to microseconds.
pub(super) fn duration(node: &Node, what: &str, errors: &mut Errors) -> Option<i64> {
    let written = text(node, what, errors)?;
    let duration = parse_duration(&written).filter(|span| (1..=TIMESPAN_MAX).contains(span));
    if duration.is_none() {
        errors.hint(node.at, format!("`{what}` is not a time: `{}`", printable(&written)), UNITS);
    }
    duration
}

/// Parses a number and a unit to microseconds.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
    let unit = match unit {
        's' => SECOND,
        'm' => 60 * SECOND,
        'h' => 3600 * SECOND,
        'd' => DAY,
        'w' => 7 * DAY,
        'M' => 30 * DAY,
        'y' => 365 * DAY,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// The field of a value count; several fields are counted in combination, as in Sigma.
fn counted_fields(node: &Node, errors: &mut Errors) -> Vec<Field> {
    let names = texts_with_positions(node, "field", errors);
    if names.is_empty() || names.len() > COUNTED_MAX {
        errors.add(node.at, format!("values of 1 to {COUNTED_MAX} fields are counted"));
    }
    names.iter().filter_map(|(name, at)| field(name, *at, errors)).collect()
}

pub(super) fn field(text: &str, at: Position, errors: &mut Errors) -> Option<Field> {
    Field::parse(text).map_err(|error| errors.push(at, error.message, error.hint)).ok()
}

/// The threshold from one comparison such as `gte: 5`, or from two.
fn threshold(
    node: &Node,
    counted: &mut Option<Vec<Field>>,
    errors: &mut Errors,
) -> Option<Threshold> {
    if let Value::Text(_) = &node.value {
        errors.hint(
            node.at,
            "conditions that combine rules are not supported",
            "use `condition: {gte: N}`; for exceptions, put a `not` into the rules' own conditions",
        );
        return None;
    }
    let mut members = Members::of(node, "condition", errors)?;
    if let Some(node) = members.take("field") {
        if counted.is_some() {
            errors.add(node.at, "the field is named twice");
        }
        *counted = Some(counted_fields(node, errors));
    }
    let mut number =
        |key: &'static str, errors: &mut Errors| count(members.take(key)?, key, errors);
    let (gt, gte) = (number("gt", errors), number("gte", errors));
    let (lt, lte) = (number("lt", errors), number("lte", errors));
    let eq = number("eq", errors);
    if let Some(node) = members.take("neq") {
        errors.hint(
            node.at,
            "`neq` is not supported: any other number would be enough",
            "use gte, lte or eq",
        );
        return None;
    }
    members.finish("condition", errors);
    let lower = [gte, gt.map(|bound| bound.saturating_add(1)), eq].into_iter().flatten().max();
    let below_one = lt == Some(0);
    let upper = [lte, lt.map(|bound| bound.saturating_sub(1)), eq].into_iter().flatten().min();
    let threshold = match (lower, upper) {
        (None, None) if !errors.is_empty() => return None,
        (None, None) => {
            errors.hint(node.at, "the condition contains no number", "write `gte: 5`");
            return None;
        }
        (lower, upper) => {
            Threshold { at_least: lower.unwrap_or_default(), at_most: upper.unwrap_or(u64::MAX) }
        }
    };
    check_bounds(threshold, lower.is_some(), below_one, node.at, errors);
    Some(threshold)
}

fn check_bounds(
    threshold: Threshold,
    has_lower: bool,
    below_zero: bool,
    at: Position,
    errors: &mut Errors,
) {
    let Threshold { at_least, at_most } = threshold;
    if below_zero || at_least > at_most {
        errors.add(at, "no number meets the condition");
    } else if at_least > COUNT_MAX {
        let hint = "use a smaller number, or a shorter timespan";
        errors.hint(at, format!("no more than {COUNT_MAX} events or values are counted"), hint);
    } else if at_least == 0 && at_most == u64::MAX {
        errors.hint(at, "every number meets the condition", "write `gte: 1`");
    } else if at_least == 0 && at_most > 0 {
        let hint =
            if has_lower { "use `gte: 1` for the lower bound" } else { "use `lt: 1` for silence" };
        errors.hint(
            at,
            "a low count cannot be distinguished from events that have not arrived yet; only the \
             absence of events can",
            hint,
        );
    }
}

fn count(node: &Node, key: &str, errors: &mut Errors) -> Option<u64> {
    let count = match &node.value {
        Value::Number(number) => integer(number),
        _ => None,
    };
    if count.is_none() {
        errors.hint(node.at, format!("`{key}` must be a number"), "a whole number from 0 on");
    }
    count
}

fn aliases(members: &mut Members<'_>, errors: &mut Errors) -> Vec<Alias> {
    let Some(inner) = members.take("aliases").and_then(|node| Members::of(node, "aliases", errors))
    else {
        return Vec::new();
    };
    let at = inner.at;
    let named = inner.rest();
    if named.len() > GROUP_BY_MAX {
        errors.add(at, format!("there are more than {GROUP_BY_MAX} aliases"));
        return Vec::new();
    }
    let mut aliases = Vec::new();
    for (name, at, node) in named {
        let Some(by_rule) = Members::of(node, "an alias", errors) else {
            continue;
        };
        let by_rule = by_rule.rest();
        if by_rule.len() > RULES_MAX {
            errors.add(at, format!("an alias names more than {RULES_MAX} rules"));
            continue;
        }
        let fields = by_rule.into_iter().filter_map(|(rule, at, node)| {
            let text = text(node, rule, errors)?;
            Some((rule.to_owned(), at, field(&text, node.at, errors)?))
        });
        aliases.push(Alias { name: name.to_owned(), at, fields: fields.collect() });
    }
    aliases
}
