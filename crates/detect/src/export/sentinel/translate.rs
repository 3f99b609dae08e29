//! Converts a rule model to a scheduled analytics rule.

use std::time::Duration;

use serde_json::{Map, Value};

use super::limits::DESCRIPTION_LEN_MAX;
use super::query::{self, Query};
use super::rule::{
    AggregationKind, AlertDetails, EntityMapping, EntityType, EventGrouping, FieldMapping,
    Grouping, IncidentConfiguration, MatchingMethod, Rule, Severity, TriggerOperator,
};
use super::title;
use crate::export::attack;
use crate::export::fidelity::{Effect, Reason, ReasonKind, format_duration};
use crate::export::model::RuleModel;
use crate::export::profile::Profile;

/// Suppression is disabled, but the API requires its duration.
const SUPPRESSION: Duration = Duration::from_hours(5);
/// Bounds of the time in which alerts are grouped into one incident.
const LOOKBACK_MIN: Duration = Duration::from_mins(5);
const LOOKBACK_MAX: Duration = Duration::from_hours(7 * 24);

/// Custom details of alerts: name and column.
const DETAILS: [(&str, &str); 9] = [
    ("Severity", "RuleSeverity"),
    ("Count", "Count"),
    ("Events", "Events"),
    ("FirstSeen", "FirstSeen"),
    ("LastSeen", "LastSeen"),
    ("Verb", "Verb"),
    ("Resource", "Resource"),
    ("Namespace", "Namespace"),
    ("Object", "Name"),
];

/// Converts a rule, and returns the differences.
pub(super) fn rule(
    model: &RuleModel<'_>,
    profile: &Profile,
) -> Result<(Rule, Vec<Reason>), Vec<Reason>> {
    let Query { text, frequency, period, groups, mut reasons } =
        query::of(model, profile).map_err(|reason| vec![reason])?;
    let severity = model.cases.iter().map(|case| case.severity).max();
    let signal = &model.rule.signal;
    let lookback = signal.max_duration.clamp(LOOKBACK_MIN, LOOKBACK_MAX);
    if lookback != signal.keep_alive {
        let detail = format!(
            "alerts go into one incident for {}, with or without an event for {}",
            format_duration(lookback),
            format_duration(signal.keep_alive)
        );
        reasons.push(Reason::new(ReasonKind::Lifetime, Effect::None, detail));
    }
    let rule = Rule {
        query: text,
        query_frequency: frequency,
        query_period: period,
        ..frame(
            &model.rule.title,
            description(model),
            Severity::of(severity.unwrap_or(model.rule.severity)),
            (&groups, lookback),
            &[&model.attack],
        )
    };
    Ok((rule, reasons))
}

/// A rule without its query.
pub(super) fn frame(
    name: &str,
    description: String,
    severity: Severity,
    (groups, lookback): (&[String], Duration),
    attacks: &[&event::signal::Attack],
) -> Rule {
    let (tactics, techniques) = mitre(attacks);
    let mut custom_details: Map<String, Value> =
        DETAILS.iter().map(|(name, column)| ((*name).to_owned(), Value::from(*column))).collect();
    for (index, group) in groups.iter().enumerate() {
        custom_details.insert(format!("Group{}", index + 1), Value::from(group.as_str()));
    }
    let group_by_custom_details = (1..=groups.len()).map(|index| format!("Group{index}"));
    let entity = |entity_type, identifier, column_name| EntityMapping {
        entity_type,
        field_mappings: vec![FieldMapping { identifier, column_name }],
    };
    Rule {
        display_name: name.to_owned(),
        description,
        enabled: true,
        severity,
        query: String::new(),
        query_frequency: Duration::ZERO,
        query_period: Duration::ZERO,
        trigger_operator: TriggerOperator::GreaterThan,
        trigger_threshold: 0,
        suppression_duration: SUPPRESSION,
        suppression_enabled: false,
        tactics,
        techniques,
        entity_mappings: vec![
            entity(EntityType::Account, "Name", "Account"),
            entity(EntityType::Ip, "Address", "SourceIp"),
            entity(EntityType::AzureResource, "ResourceId", "Cluster"),
        ],
        alert_details_override: AlertDetails {
            alert_display_name_format: "{{AlertTitle}}",
            alert_severity_column_name: "AlertSeverity",
        },
        event_grouping_settings: EventGrouping {
            aggregation_kind: AggregationKind::AlertPerResult,
        },
        incident_configuration: IncidentConfiguration {
            create_incident: true,
            grouping_configuration: Grouping {
                enabled: true,
                reopen_closed_incident: false,
                lookback_duration: lookback,
                matching_method: MatchingMethod::Selected,
                group_by_entities: vec![EntityType::AzureResource],
                group_by_alert_details: Vec::new(),
                group_by_custom_details: group_by_custom_details.collect(),
            },
        },
        custom_details,
    }
}

/// Tactics by name without spaces, and techniques; the API has no sub-techniques.
fn mitre(attacks: &[&event::signal::Attack]) -> (Vec<String>, Vec<String>) {
    const VERSION: attack::Version = attack::Version::Before19;
    let (mut tactics, mut techniques) = (Vec::new(), Vec::new());
    let push = |list: &mut Vec<String>, text: String| {
        if !list.contains(&text) {
            list.push(text);
        }
    };
    for attack in attacks {
        let attack = attack::in_version(attack, VERSION);
        for id in &attack.tactics {
            if let Some(name) = attack::tactic(id, VERSION) {
                push(&mut tactics, name.replace("Command and", "CommandAnd").replace(' ', ""));
            }
        }
        for id in &attack.techniques {
            let technique = id.split('.').next().unwrap_or_default();
            push(&mut techniques, technique.to_owned());
        }
    }
    (tactics, techniques)
}

/// The description and guide, truncated to the limit.
fn description(model: &RuleModel<'_>) -> String {
    let mut text = model.description();
    let guide = &model.rule.signal.guide;
    for (heading, part) in [
        ("Goal", &guide.goal),
        ("Strategy", &guide.strategy),
        ("Triage and response", &guide.response),
    ] {
        let part = title::plain(part.trim());
        let more = format!("\n\n{heading}\n{part}");
        if !part.is_empty() && text.chars().count() + more.chars().count() <= DESCRIPTION_LEN_MAX {
            text.push_str(&more);
        }
    }
    text
}
