//! The title of an alert, built from the fields of its search.

use super::spl;
use crate::export::fidelity::{Effect, Reason, ReasonKind};
use crate::export::model::RuleModel;
use crate::field::Field;
use crate::template::{Part, Test};

/// The command that computes the title.
pub(super) fn line(model: &RuleModel<'_>, reasons: &mut Vec<Reason>) -> String {
    let parts =
        model.rule.signal.title.as_ref().map(|title_parts| parts(title_parts.parts(), reasons));
    let parts = parts.filter(|title_parts| !title_parts.is_empty());
    let title =
        parts.map_or_else(|| spl::text(&model.rule.title), |title_parts| title_parts.join("."));
    format!("| eval title={title}")
}

fn parts(parts: &[Part], reasons: &mut Vec<Reason>) -> Vec<String> {
    parts.iter().filter_map(|part| expression(part, reasons)).collect()
}

fn expression(part: &Part, reasons: &mut Vec<Reason>) -> Option<String> {
    match part {
        Part::Text(text) => Some(spl::text(text)),
        Part::Variable(name) => variable(name, reasons),
        Part::If(Test { variable: name, values, is_exact, expected }, inner) => {
            let field = variable(name, reasons)?;
            let inner = parts(inner, reasons).join(".");
            let tests: Vec<String> = match (values.as_slice(), is_exact) {
                ([], _) => vec![format!("{field}!=\"\"")],
                (values, true) => {
                    values.iter().map(|value| format!("{field}={}", spl::text(value))).collect()
                }
                (values, false) => {
                    let part = |value: &String| {
                        format!("len(replace({field},{},\"\"))<len({field})", spl::text(value))
                    };
                    values.iter().map(part).collect()
                }
            };
            let test = tests.join(" OR ");
            let test = if *expected { test } else { format!("NOT ({test})") };
            Some(format!("if({test},{inner},\"\")"))
        }
    }
}

fn variable(name: &str, reasons: &mut Vec<Reason>) -> Option<String> {
    let known = field(name);
    if known.is_none() {
        Reason::new(ReasonKind::Variable, Effect::None, name).add_to(reasons);
    }
    known.map(|field| match field {
        "first_seen" | "last_seen" => {
            format!("strftime({field},\"%Y-%m-%dT%H:%M:%S%z\")")
        }
        "events" => "tostring(events)".to_owned(),
        _ => field.to_owned(),
    })
}

/// The field of a variable.
fn field(name: &str) -> Option<&'static str> {
    if let Some(field) = name.strip_prefix('@') {
        let keys = Field::parse(field).ok()?.path().v1_keys().join(".");
        return match keys.as_str() {
            "user.username" | "actor.username" | "effectiveUser.username" => Some("account"),
            "sourceIPs" => Some("source_ip"),
            "userAgent" => Some("user_agent"),
            "verb" => Some("verb"),
            "objectRef.resource" => Some("resource"),
            "objectRef.namespace" => Some("namespace"),
            "objectRef.name" => Some("name"),
            _ => None,
        };
    }
    match name {
        "severity" => Some("severity"),
        "events_matched" => Some("events"),
        "cluster" | "cluster-name" => Some("cluster"),
        // The value of the last event, because a search has no lists.
        "users" => Some("account"),
        "namespaces" => Some("namespace"),
        "source_ips" => Some("source_ip"),
        "timestamp" | "last_seen" => Some("last_seen"),
        "first_seen" => Some("first_seen"),
        _ => None,
    }
}
