//! A rule file for Loki's ruler: one group with an alert for each severity case.

use event::Severity;

use super::query::{INTERVAL, Search, range};
use crate::export::attack::{self, Version};
use crate::export::model::RuleModel;
use crate::export::plain;

/// Writes the file.
pub(super) fn yaml(model: &RuleModel<'_>, search: &Search) -> String {
    let rule = model.rule;
    let mut text = format!(
        "groups:\n  - name: {}\n    interval: {}\n    rules:\n",
        quoted(&rule.id),
        range(INTERVAL)
    );
    let bounds: Vec<Option<&String>> = if search.bounds.is_empty() {
        vec![None]
    } else {
        search.bounds.iter().map(Some).collect()
    };
    let last = model.cases.last().map_or(rule.severity, |case| case.severity);
    for (index, bound) in bounds.iter().enumerate() {
        // A rule without a count has the severity of one event.
        let severity = match bounds.len() {
            1 => last,
            _ => model.cases.get(index).map_or(rule.severity, |case| case.severity),
        };
        alert(model, search, bound.map(String::as_str), severity, &mut text);
    }
    text
}

fn alert(
    model: &RuleModel<'_>,
    search: &Search,
    bound: Option<&str>,
    severity: Severity,
    text: &mut String,
) {
    let rule = model.rule;
    text.extend(["      - alert: ", &quoted(&rule.title), "\n        expr: |-\n"]);
    let expression = match bound {
        Some(bound) => compared(&search.expression, bound),
        None => search.expression.clone(),
    };
    for line in expression.lines() {
        text.extend(["          ", line, "\n"]);
    }
    text.push_str("        for: 0m\n        labels:\n");
    let attack = attack::in_version(&model.attack, Version::V19);
    for (name, value) in [
        ("severity", severity.as_str()),
        ("rule", rule.id.as_str()),
        ("tactics", attack.tactics.join(" ").as_str()),
        ("techniques", attack.techniques.join(" ").as_str()),
    ] {
        if !value.is_empty() {
            text.extend(["          ", name, ": ", &quoted(value), "\n"]);
        }
    }
    text.push_str("        annotations:\n");
    let format_variable = |variable: &str| variable_of(search, variable);
    let summary = match &rule.signal.title {
        Some(title) => plain::text(title.as_str(), &format_variable),
        None => rule.title.clone(),
    };
    let escape = |text: String| text.replace("{{", "{{ \"{{\" }}");
    for (name, value) in [
        ("summary", summary),
        ("description", escape(plain::text(&model.description(), &plain::placeholder))),
        ("runbook", escape(plain::guide(model, &plain::placeholder))),
        ("references", rule.references.join(" ")),
    ] {
        if !value.is_empty() {
            text.extend(["          ", name, ": ", &quoted(&value), "\n"]);
        }
    }
}

/// Compares an expression with a lower bound and an optional upper one.
fn compared(expression: &str, bound: &str) -> String {
    let grouped = if expression.contains("\nunless\n") || expression.contains("\nand\n") {
        return expression.to_owned();
    } else {
        expression
    };
    match bound.split_once(" < ") {
        Some((lower, upper)) => format!("({grouped} {lower}) < {upper}"),
        None => format!("{grouped} {bound}"),
    }
}

/// The template of a variable, from the labels of an alert.
fn variable_of(search: &Search, variable: &str) -> String {
    let name = match variable {
        "users" => "actor.username",
        "namespaces" => "objectRef.namespace",
        other => other.strip_prefix('@').unwrap_or(other),
    };
    match name {
        "events_matched" => "{{ $value }}".to_owned(),
        "cluster" | "cluster-name" => "{{ $labels.cluster }}".to_owned(),
        _ => match search.labels.iter().find(|(_, key)| key == name) {
            Some((label, _)) => format!("{{{{ $labels.{label} }}}}"),
            None => plain::placeholder(variable),
        },
    }
}

/// A quoted text, valid in JSON and YAML.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
