//! A signal: the detector's finding about a group of audit events that match a rule.
//!
//! These are the fields that the API serves (`siem.keepwatch.io/v1alpha1`, kind `Signal`), that a
//! notifier sends, and that `keepwatch detect` prints. The detector sets [`Signal::spec`] and the
//! state; people set the triage.
//!
//! Deliberately absent: detection (crate `detect`), and the metadata of the API object (crate
//! `siem`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{ParseEnumError, Timestamp};

/// The severity of a signal, lowest first. The names are Sigma's levels.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For information; no action needed.
    #[default]
    Informational,
    /// To be investigated when there is time.
    Low,
    /// To be investigated today.
    Medium,
    /// To be investigated immediately.
    High,
    /// Backups are being destroyed.
    Critical,
}

impl Severity {
    /// All severities, in ascending order.
    pub const ALL: [Self; 5] =
        [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name used in rules and signals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = ParseEnumError;

    fn from_str(word: &str) -> Result<Self, ParseEnumError> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == word)
            .ok_or_else(|| ParseEnumError(word.to_owned()))
    }
}

/// The state of a signal in its life cycle, set by the detection engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalState {
    /// The condition of the rule was met.
    #[default]
    Open,
    /// More events matched while the signal was open.
    Updated,
    /// No event matched for the rule's keep-alive time, or its maximum duration was reached.
    Closed,
}

impl SignalState {
    /// The name used in signals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

/// The kind of a signal's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The condition of its rule was met.
    Opened,
    /// More events matched.
    Updated,
    /// The signal was closed.
    Closed,
}

impl ChangeKind {
    /// All kinds, in the order of a signal's life cycle.
    pub const ALL: [Self; 3] = [Self::Opened, Self::Updated, Self::Closed];

    /// The name used in lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

/// A signal without API metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// The name of the API object, and the identity for receivers of notifications. It is a
    /// function of the rule, the group-by values and the event that opened the signal, so that a
    /// replay gives the same one. A DNS-1123 label.
    pub id: String,
    /// The finding.
    pub spec: SignalSpec,
    /// The state in its life cycle.
    pub state: SignalState,
}

/// The finding, as `spec` of the API object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SignalSpec {
    /// The rule that matched.
    pub rule: SignalRule,
    /// The highest severity case that was reached.
    pub severity: Severity,
    /// The name of the severity case; empty if the rule has no cases.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub case: String,
    /// One line: actor, action, count and target.
    pub title: String,
    /// The rendered message of the rule, in Markdown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The user who acted.
    pub actor: Actor,
    /// The name of the cluster; empty if it is unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// The group-by values that the events share.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<GroupValue>,
    /// The objects of the requests.
    pub targets: Targets,
    /// The backups that remain for each application that lost some. Set by a server that has the
    /// objects; absent in a replay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remaining: Vec<Remaining>,
    /// The number of events that contributed.
    pub count: u64,
    /// The number of events that contributed, by the label of their query.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// The time of the first event that contributed.
    pub first_seen: Timestamp,
    /// The time of the last event that contributed.
    pub last_seen: Timestamp,
    /// The first events that contributed.
    pub evidence: Evidence,
    /// The MITRE ATT&CK tactics and techniques.
    pub attack: Attack,
    /// Links to more information.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// What the rule cannot detect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blind_spots: Vec<String>,
}

/// The rule of a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SignalRule {
    /// The ID of the rule.
    pub id: String,
    /// The title of the rule.
    pub title: String,
}

/// The user who acted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Actor {
    /// The user name under which the requests were authorized. Empty if several users acted.
    pub username: String,
    /// The UID of the user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups of the user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The user name of the impersonator. Empty if several users impersonated.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub impersonated_by: String,
    /// The user names of all impersonators, if there are several, oldest first, up to a limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub impersonators: Vec<String>,
    /// The service account, if the user is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccount>,
    /// The ID of the credential (`authentication.kubernetes.io/credential-id`).
    #[serde(rename = "credentialID", skip_serializing_if = "String::is_empty")]
    pub credential_id: String,
    /// The addresses of the requests, oldest first, up to a limit.
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
    /// The user agents, oldest first, up to a limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_agents: Vec<String>,
    /// All user names, if several users acted, oldest first, up to a limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// The values that were seen for the first time, for example `sourceIP 192.0.2.7`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first_seen: Vec<String>,
}

/// A Kubernetes service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceAccount {
    /// The namespace of the service account.
    pub namespace: String,
    /// The name of the service account.
    pub name: String,
}

/// A group-by field and the value that the events share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupValue {
    /// The field, with its name in the rule.
    pub field: String,
    /// The value of the field.
    pub value: String,
}

/// The objects of the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Targets {
    /// The number of distinct objects.
    pub count: u64,
    /// The first of them, up to a limit.
    pub items: Vec<Target>,
}

/// The object of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The API group; empty for the core group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The plural name of the resource.
    pub resource: String,
    /// The subresource, for example `status`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// The namespace; empty for cluster-scoped objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name; empty if the request was for a collection.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// The restore points that remain for an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Remaining {
    /// The namespace of the application.
    pub application: String,
    /// The number of restore points that can still be restored.
    pub restore_points: u64,
    /// The number of restore point contents, that is, of backups whose data still exists.
    pub restore_point_contents: u64,
    /// The name of the newest remaining backup; empty if none remains.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub newest: String,
    /// The creation time of the newest backup, in RFC 3339; empty if none remains.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub newest_time: String,
}

/// The events of a signal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The audit IDs of the first events, up to a limit.
    #[serde(rename = "auditIDs")]
    pub audit_ids: Vec<String>,
    /// The first events as `audit.k8s.io/v1`, limited in number and bytes.
    pub events: Vec<Box<RawValue>>,
}

impl PartialEq for Evidence {
    fn eq(&self, other: &Self) -> bool {
        self.audit_ids == other.audit_ids
            && self.events.len() == other.events.len()
            && self.events.iter().zip(&other.events).all(|(left, right)| left.get() == right.get())
    }
}

/// The tactics and techniques of MITRE ATT&CK, version 19, that the rule covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attack {
    /// IDs of tactics, for example `TA0040`.
    pub tactics: Vec<String>,
    /// IDs of techniques, for example `T1490`.
    pub techniques: Vec<String>,
}
