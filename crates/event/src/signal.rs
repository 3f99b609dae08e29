//! A signal: what the detector says about a group of audit events that match a rule.
//!
//! These are the fields that the API serves (`siem.keepwatch.io/v1alpha1`, kind `Signal`), that a
//! notifier sends and that `keepwatch detect` prints. The detector fills in [`Signal::spec`] and the
//! state; people fill in the triage.
//!
//! Deliberately absent: how a signal comes about (crate `detect`) and the metadata of the API object
//! (crate `siem`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Timestamp, UnknownWord};

/// How serious a signal is, lowest first. The names are Sigma's levels.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the record.
    #[default]
    Informational,
    /// To be looked at when there is time.
    Low,
    /// To be looked at today.
    Medium,
    /// To be looked at now.
    High,
    /// Backups are being destroyed.
    Critical,
}

impl Severity {
    /// All severities, lowest first.
    pub const ALL: [Self; 5] =
        [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name in rules and signals.
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
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

/// Where a signal is in its life. The engine sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalState {
    /// The condition of the rule was met.
    #[default]
    Open,
    /// More events came while it was open.
    Updated,
    /// No event came for the rule's keep-alive time, or its maximum duration was reached.
    Closed,
}

impl SignalState {
    /// The name in signals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

/// What happened to a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Its rule's condition was met.
    Opened,
    /// More events came.
    Updated,
    /// It ended.
    Closed,
}

impl ChangeKind {
    /// All changes, in the order in which they happen.
    pub const ALL: [Self; 3] = [Self::Opened, Self::Updated, Self::Closed];

    /// The word in lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

/// A signal as the detector knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Name of the API object and identity for those who are notified: a function of the rule, the
    /// group and the event that opened it, so that a replay gives the same one. A DNS-1123 label.
    pub id: String,
    /// What happened.
    pub spec: SignalSpec,
    /// Where it is in its life.
    pub state: SignalState,
}

/// What happened, as `spec` of the API object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SignalSpec {
    /// Which rule it was.
    pub rule: SignalRule,
    /// The highest severity case that was reached.
    pub severity: Severity,
    /// Name of that case; empty when the rule has no cases.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub case: String,
    /// One line: actor, action, count, target.
    pub title: String,
    /// The rule's message, rendered. Markdown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Who did it.
    pub actor: Actor,
    /// Name of the cluster; empty when unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// The values that the events have in common.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<GroupValue>,
    /// What it was done to.
    pub targets: Targets,
    /// What each application that lost something has left. Filled in by a server that has the
    /// objects; absent in a replay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remaining: Vec<Remaining>,
    /// Events that contributed.
    pub count: u64,
    /// Events that contributed, by the label of their query.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// Time of the first event that contributed.
    pub first_seen: Timestamp,
    /// Time of the last event that contributed.
    pub last_seen: Timestamp,
    /// The events behind it.
    pub evidence: Evidence,
    /// MITRE ATT&CK.
    pub attack: Attack,
    /// Where to read more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// What the rule cannot see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blind_spots: Vec<String>,
}

/// The rule behind a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SignalRule {
    /// Identity of the rule.
    pub id: String,
    /// Title of the rule.
    pub title: String,
}

/// Who acted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Actor {
    /// The identity under which the requests were authorized. Empty when several users acted.
    pub username: String,
    /// Its uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Its groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Who impersonated it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub impersonated_by: String,
    /// The service account that it is, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccount>,
    /// Which credential was used (`authentication.kubernetes.io/credential-id`).
    #[serde(rename = "credentialID", skip_serializing_if = "String::is_empty")]
    pub credential_id: String,
    /// Addresses that requests came from, oldest first, capped.
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
    /// User agents, oldest first, capped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_agents: Vec<String>,
    /// All users, when there are several, oldest first, capped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// What was seen for the first time: such as `sourceIP 192.0.2.7`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first_seen: Vec<String>,
}

/// A Kubernetes service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One value that the events of a signal have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupValue {
    /// The field, as the rule names it.
    pub field: String,
    /// Its value.
    pub value: String,
}

/// What was acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Targets {
    /// How many different objects.
    pub count: u64,
    /// The first of them, capped.
    pub items: Vec<Target>,
}

/// One object that was acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Plural.
    pub resource: String,
    /// Such as `status`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Empty for cluster-scoped objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Empty where only a collection was named.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// The restore points that an application still has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Remaining {
    /// Namespace of the application.
    pub application: String,
    /// Restore points that can still be restored from.
    pub restore_points: u64,
    /// Restore point contents, that is backups whose data is still there.
    pub restore_point_contents: u64,
    /// Name of the newest backup that is left; empty when none is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub newest: String,
    /// When it was made, RFC 3339; empty when none is left.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub newest_time: String,
}

/// The events behind a signal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// Audit IDs of the first events, capped.
    #[serde(rename = "auditIDs")]
    pub audit_ids: Vec<String>,
    /// The first events themselves, as `audit.k8s.io/v1`, capped in number and bytes.
    pub events: Vec<Box<RawValue>>,
}

impl PartialEq for Evidence {
    fn eq(&self, other: &Self) -> bool {
        self.audit_ids == other.audit_ids
            && self.events.len() == other.events.len()
            && self.events.iter().zip(&other.events).all(|(one, two)| one.get() == two.get())
    }
}

/// MITRE ATT&CK, version 19.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attack {
    /// Such as `TA0040`.
    pub tactics: Vec<String>,
    /// Such as `T1490`.
    pub techniques: Vec<String>,
}
