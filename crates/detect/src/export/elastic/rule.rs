//! A rule in Kibana's import format.

use event::Severity;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::search::{Kind, Search, span};
use super::{profiles, threat};
use crate::export::model::RuleModel;
use crate::export::plain;
use crate::export::profile::Profile;

/// Maximum number of fields of an alert suppression.
const SUPPRESSED_BY_MAX: usize = 3;

/// The rule as a JSON object.
pub(super) fn json(model: &RuleModel<'_>, profile: &Profile, search: &Search) -> Value {
    let (rule, base) = (model.rule, lowest(model));
    let text = |text: &String| plain::text(text, &plain::placeholder);
    let mut json = json!({
        "rule_id": rule_id(&rule.id, profile.name),
        "name": rule.title,
        "description": description(model),
        "note": plain::guide(model, &plain::placeholder),
        "risk_score": risk(base),
        "severity": severity(base),
        "interval": span(search.interval),
        "from": format!("now-{}", span(search.from)),
        "to": "now",
        "enabled": true,
        "max_signals": 100,
        "author": [rule.author],
        "license": "",
        "references": rule.references,
        "false_positives": rule.false_positives.iter().map(text).collect::<Vec<_>>(),
        "tags": ["Keepwatch", "Domain: Kubernetes", "Use Case: Threat Detection", rule.id],
        "threat": threat::threat(&model.attack),
        "version": 1,
        "actions": [],
    });
    let mut set = |key: &str, value: Value| json[key] = value;
    match &search.kind {
        Kind::Query(query) => {
            set("type", json!("query"));
            set("language", json!("kuery"));
            set("query", json!(query));
        }
        Kind::Threshold { query, fields, at_least } => {
            set("type", json!("threshold"));
            set("language", json!("kuery"));
            set("query", json!(query));
            set("threshold", json!({"field": fields, "value": at_least, "cardinality": []}));
        }
        Kind::NewTerms { query, fields, history } => {
            set("type", json!("new_terms"));
            set("language", json!("kuery"));
            set("query", json!(query));
            set("new_terms_fields", json!(fields));
            set("history_window_start", json!(format!("now-{}", span(*history))));
        }
        Kind::Eql(query) => {
            set("type", json!("eql"));
            set("language", json!("eql"));
            set("query", json!(query));
        }
        Kind::Esql { query, has_severity } => {
            set("type", json!("esql"));
            set("language", json!("esql"));
            set("query", json!(query));
            if *has_severity {
                set("severity_mapping", mapping(model));
            }
        }
    }
    if !matches!(search.kind, Kind::Esql { .. }) {
        set("index", json!([profiles::index(profile)]));
    }
    if let Some(suppression) = suppression(model, search) {
        set("alert_suppression", suppression);
    }
    json
}

/// Suppresses later alerts of a group for as long as the engine's signal would be open.
fn suppression(model: &RuleModel<'_>, search: &Search) -> Option<Value> {
    let fields = &search.suppressed_by;
    if fields.is_empty() || fields.len() > SUPPRESSED_BY_MAX {
        return None;
    }
    let minutes = model.rule.signal.keep_alive.as_secs().div_ceil(60).max(1);
    let duration = match minutes {
        minutes if minutes.is_multiple_of(60) => json!({"value": minutes / 60, "unit": "h"}),
        minutes => json!({"value": minutes, "unit": "m"}),
    };
    let mut suppression = Map::from_iter([("duration".to_owned(), duration)]);
    // Alerts of a threshold rule are grouped already.
    if !matches!(search.kind, Kind::Threshold { .. }) {
        suppression.insert("group_by".to_owned(), json!(fields));
        suppression.insert("missing_fields_strategy".to_owned(), json!("suppress"));
    }
    Some(Value::Object(suppression))
}

fn description(model: &RuleModel<'_>) -> String {
    plain::text(&model.description(), &plain::placeholder)
}

/// The default severity, of the lowest case.
fn lowest(model: &RuleModel<'_>) -> Severity {
    model.cases.last().map_or(model.rule.severity, |case| case.severity)
}

/// Maps the column `severity` to the severity of the alert.
fn mapping(model: &RuleModel<'_>) -> Value {
    let of = |case: &crate::export::SeverityCase| {
        let severity = severity(case.severity);
        json!({
            "field": "severity",
            "operator": "equals",
            "value": severity,
            "severity": severity,
        })
    };
    model.cases.iter().map(of).collect()
}

pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational | Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// Kibana's default risk scores by severity.
const fn risk(severity: Severity) -> u8 {
    match severity {
        Severity::Informational | Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    }
}

/// A stable id, so that an import replaces the rule: a UUID of version 8 from the SHA-256 of the
/// name, as in appendix B.2 of RFC 9562.
fn rule_id(rule: &str, profile: &str) -> String {
    let hash = Sha256::digest(format!("keepwatch.io/rules/elastic/{profile}/{rule}"));
    let hex = format!("{hash:x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    let variant = match part(16, 17) {
        "0" | "4" | "8" | "c" => '8',
        "1" | "5" | "9" | "d" => '9',
        "2" | "6" | "a" | "e" => 'a',
        _ => 'b',
    };
    let (first, second, third) = (part(0, 8), part(8, 12), part(13, 16));
    format!("{first}-{second}-8{third}-{variant}{}-{}", part(17, 20), part(20, 32))
}
