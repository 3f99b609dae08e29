//! A rule as an Azure Resource Manager resource: `Microsoft.SecurityInsights/alertRules`,
//! 2024-09-01.
//!
//! The types allow only values that the API accepts; `limits` checks their bounds.

use std::time::Duration;

use serde::Serialize;

use crate::engine::digest::Digest;
use crate::export::fidelity;

/// Version of the API.
const API_VERSION: &str = "2024-09-01";
const SCHEMA: &str =
    "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";

/// A template with one rule.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Template {
    #[serde(rename = "$schema")]
    schema: &'static str,
    content_version: &'static str,
    parameters: Parameters,
    resources: [Resource; 1],
}

#[derive(Clone, Debug, Serialize)]
struct Parameters {
    workspace: Parameter,
}

#[derive(Clone, Debug, Serialize)]
struct Parameter {
    r#type: &'static str,
    metadata: Metadata,
}

#[derive(Clone, Debug, Serialize)]
struct Metadata {
    description: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    id: String,
    name: String,
    r#type: &'static str,
    kind: &'static str,
    api_version: &'static str,
    #[serde(skip)]
    guid: String,
    properties: Rule,
}

impl Template {
    /// A template for the rule with that id.
    pub(super) fn of(id: &str, rule: Rule) -> Self {
        let guid = guid(id);
        let workspace = "resourceId('Microsoft.OperationalInsights/Workspaces/providers', \
                         parameters('workspace'), 'Microsoft.SecurityInsights')";
        let description = "Name of the Log Analytics workspace that Microsoft Sentinel is on";
        let resource = Resource {
            id: format!("[concat({workspace},'/alertRules/{guid}')]"),
            name: format!("[concat(parameters('workspace'),'/Microsoft.SecurityInsights/{guid}')]"),
            r#type: "Microsoft.OperationalInsights/workspaces/providers/alertRules",
            kind: "Scheduled",
            api_version: API_VERSION,
            guid,
            properties: rule,
        };
        Self {
            schema: SCHEMA,
            content_version: "1.0.0.0",
            parameters: Parameters {
                workspace: Parameter { r#type: "String", metadata: Metadata { description } },
            },
            resources: [resource],
        }
    }

    pub(super) fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    pub(super) fn guid(&self) -> &str {
        let [resource] = &self.resources;
        &resource.guid
    }

    pub(super) fn properties(&self) -> &Rule {
        let [resource] = &self.resources;
        &resource.properties
    }

    pub(super) const fn api_version() -> &'static str {
        API_VERSION
    }
}

/// A scheduled rule.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) display_name: String,
    pub(super) description: String,
    pub(super) enabled: bool,
    pub(super) severity: Severity,
    pub(super) query: String,
    #[serde(serialize_with = "iso")]
    pub(super) query_frequency: Duration,
    #[serde(serialize_with = "iso")]
    pub(super) query_period: Duration,
    pub(super) trigger_operator: TriggerOperator,
    pub(super) trigger_threshold: u32,
    #[serde(serialize_with = "iso")]
    pub(super) suppression_duration: Duration,
    pub(super) suppression_enabled: bool,
    pub(super) tactics: Vec<String>,
    pub(super) techniques: Vec<String>,
    pub(super) entity_mappings: Vec<EntityMapping>,
    pub(super) custom_details: serde_json::Map<String, serde_json::Value>,
    pub(super) alert_details_override: AlertDetails,
    pub(super) event_grouping_settings: EventGrouping,
    pub(super) incident_configuration: IncidentConfiguration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Severity {
    Informational,
    Low,
    Medium,
    High,
}

impl Severity {
    pub(super) const fn of(severity: event::Severity) -> Self {
        match severity {
            event::Severity::Informational => Self::Informational,
            event::Severity::Low => Self::Low,
            event::Severity::Medium => Self::Medium,
            event::Severity::High | event::Severity::Critical => Self::High,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) enum TriggerOperator {
    GreaterThan,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntityMapping {
    pub(super) entity_type: EntityType,
    pub(super) field_mappings: Vec<FieldMapping>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum EntityType {
    Account,
    #[serde(rename = "IP")]
    Ip,
    AzureResource,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FieldMapping {
    pub(super) identifier: &'static str,
    pub(super) column_name: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertDetails {
    pub(super) alert_display_name_format: &'static str,
    pub(super) alert_severity_column_name: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventGrouping {
    pub(super) aggregation_kind: AggregationKind,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) enum AggregationKind {
    AlertPerResult,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IncidentConfiguration {
    pub(super) create_incident: bool,
    pub(super) grouping_configuration: Grouping,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grouping {
    pub(super) enabled: bool,
    pub(super) reopen_closed_incident: bool,
    #[serde(serialize_with = "iso")]
    pub(super) lookback_duration: Duration,
    pub(super) matching_method: MatchingMethod,
    pub(super) group_by_entities: Vec<EntityType>,
    pub(super) group_by_alert_details: Vec<String>,
    pub(super) group_by_custom_details: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) enum MatchingMethod {
    Selected,
}

/// A duration by ISO 8601, in its largest whole unit.
fn iso<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&iso_text(*time))
}

pub(super) fn iso_text(time: Duration) -> String {
    let short = fidelity::format_duration(time).to_uppercase();
    if short.ends_with('D') { format!("P{short}") } else { format!("PT{short}") }
}

/// A stable GUID of the id: version 8 of RFC 9562, from a SHA-256.
fn guid(id: &str) -> String {
    const NAMESPACE: &[u8] = b"siem.keepwatch.io/rules";
    let digest = u128::from_be_bytes(Digest::of([NAMESPACE, id.as_bytes()]).0);
    let version = 8_u128 << 76;
    let variant = 2_u128 << 62;
    let bits = digest & !(0xf << 76) & !(3 << 62) | version | variant;
    let hex = format!("{bits:032x}");
    let mut guid = String::with_capacity(36);
    for (at, char) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            guid.push('-');
        }
        guid.push(char);
    }
    guid
}
