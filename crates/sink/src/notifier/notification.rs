//! A notification: a signal and why it is sent.
//!
//! The signal is read from the object as it is stored and served. [`Summary`] reads only the fields
//! that decide whether a notification is sent.

use aws_lc_rs::digest::{Context, SHA256};
use event::Timestamp;
use event::signal::{Severity, Signal, SignalSpec, SignalState, Target};
use serde::Deserialize;
use serde_json::Value;

use super::sample;
use crate::hex;

/// Why a signal is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The signal is new for this notifier.
    Opened,
    /// The signal has changed, or is sent again while it is open.
    Updated,
    /// The signal is closed.
    Closed,
}

impl Event {
    /// Its name in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

/// The last notification about a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSent {
    /// Its severity at that time.
    pub severity: Severity,
    /// Name of the user at the time when the signal was opened.
    pub user: String,
    /// Time of the first notification.
    pub opened_at: Timestamp,
}

/// A notification.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its id, which is the same for each attempt.
    pub id: String,
    /// Why it is sent.
    pub event: Event,
    /// Time of this attempt.
    pub sent_at: Timestamp,
    /// The signal object as the API serves it, JSON.
    pub object: Vec<u8>,
    /// The signal.
    pub signal: Signal,
    /// Time at which the signal was closed.
    pub closed_at: Option<Timestamp>,
    /// The last notification about the signal; `None` for the first.
    pub last_sent: Option<LastSent>,
}

/// The signal object cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a signal object: {0}")]
pub struct SummaryError(String);

/// The fields of a signal that decide whether it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its severity.
    pub severity: Severity,
    /// Identity of its rule.
    pub rule: String,
    /// Title of its rule.
    pub rule_title: String,
    /// Name of the user.
    pub user: String,
    /// Events that contributed.
    pub count: u64,
    /// Whether it is closed.
    pub is_closed: bool,
    /// Whether it was triaged.
    pub is_triaged: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<Spec: Default> {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    state: SignalState,
    closed_at: Option<String>,
    triage: Triage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Triage {
    state: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SummarySpec {
    rule: event::signal::SignalRule,
    severity: Severity,
    actor: SummaryActor,
    count: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SummaryActor {
    username: String,
}

impl Summary {
    /// Reads a signal object.
    pub fn parse(object: &[u8]) -> Result<Self, SummaryError> {
        let Object { spec, status, .. }: Object<SummarySpec> =
            serde_json::from_slice(object).map_err(|error| SummaryError(error.to_string()))?;
        Ok(Self {
            severity: spec.severity,
            rule: spec.rule.id,
            rule_title: spec.rule.title,
            user: spec.actor.username,
            count: spec.count,
            is_closed: status.state == SignalState::Closed,
            is_triaged: !matches!(status.triage.state.as_str(), "" | "open"),
        })
    }
}

impl Notification {
    /// A notification about a signal object.
    pub fn new(
        id: String,
        event: Event,
        object: &[u8],
        last_sent: Option<LastSent>,
        sent_at: Timestamp,
    ) -> Result<Self, SummaryError> {
        let Object { metadata, spec, status }: Object<SignalSpec> =
            serde_json::from_slice(object).map_err(|error| SummaryError(error.to_string()))?;
        let closed_at = (status.state == SignalState::Closed).then(|| {
            let closed_at = status.closed_at.as_deref().map(Timestamp::parse);
            closed_at.and_then(Result::ok).unwrap_or(spec.last_seen)
        });
        let signal = Signal { id: metadata.name, spec, state: status.state };
        Ok(Self { id, event, sent_at, object: object.to_vec(), signal, closed_at, last_sent })
    }

    /// A sample notification of the notifier `name`.
    pub fn sample(name: &str, sent_at: Timestamp) -> Self {
        sample::notification(name, sent_at)
    }

    /// The value of a template's variable; `None` if this signal does not have it. The variables
    /// are the same as in messages of rules.
    pub fn variable(&self, name: &str) -> Option<String> {
        let spec = &self.signal.spec;
        let epoch = |time: Timestamp| (time.as_micros() / 1_000_000).to_string();
        Some(match name {
            "title" => spec.title.clone(),
            "message" => spec.message.clone(),
            "severity" => spec.severity.to_string(),
            "case_name" => spec.case.clone(),
            "event" => self.event.as_str().to_owned(),
            "signal_id" => self.signal.id.clone(),
            "rule_id" => spec.rule.id.clone(),
            "rule_name" => spec.rule.title.clone(),
            "cluster" | "cluster-name" => spec.cluster.clone(),
            "events_matched" => spec.count.to_string(),
            "targets_count" => spec.targets.count.to_string(),
            "targets" => spec.targets.items.iter().map(target).collect::<Vec<_>>().join(", "),
            "source_ips" => spec.actor.source_ips.join(", "),
            "first_seen" => spec.first_seen.to_string(),
            "first_seen_epoch" => epoch(spec.first_seen),
            "timestamp" | "last_seen" => spec.last_seen.to_string(),
            "timestamp_epoch" | "last_seen_epoch" => epoch(spec.last_seen),
            _ => {
                let label = name.strip_prefix("events_matched_per_query.");
                let count = label.and_then(|label| spec.counts.get(label)).map(u64::to_string);
                return count.or_else(|| self.field(name.strip_prefix('@')?));
            }
        })
    }

    /// The value of a field: the common value of all events of the signal, or the value in its
    /// first event.
    fn field(&self, field: &str) -> Option<String> {
        let spec = &self.signal.spec;
        let matches = |known: &str| known.eq_ignore_ascii_case(field);
        if let Some(group) = spec.group_by.iter().find(|group| matches(&group.field)) {
            return Some(group.value.clone());
        }
        if matches("user.username") || matches("actor.username") {
            return Some(spec.actor.username.clone());
        }
        if matches("network.ip.list") || matches("sourceIPs") {
            return Some(spec.actor.source_ips.join(", "));
        }
        let event: Value = serde_json::from_str(spec.evidence.events.first()?.get()).ok()?;
        let mut value = &event;
        for key in field.split('.') {
            let mut keys = value.as_object()?.iter();
            value = keys.find(|(known, _)| known.eq_ignore_ascii_case(key))?.1;
        }
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        }
    }

    /// URL of the runbook, or an empty text.
    pub fn runbook(&self) -> &str {
        self.signal.spec.references.first().map_or("", String::as_str)
    }

    /// The title of the rule, or its id.
    pub fn rule_title(&self) -> &str {
        let rule = &self.signal.spec.rule;
        if rule.title.is_empty() { &rule.id } else { &rule.title }
    }
}

/// `namespace/resource/name`, without empty parts.
fn target(target: &Target) -> String {
    let parts = [&target.namespace, &target.resource, &target.name];
    let parts = parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str);
    parts.collect::<Vec<_>>().join("/")
}

/// The id of a notification: a function of notifier, signal and event, so that it is the same after
/// a restart. For an update it also depends on the revision of the signal.
pub fn notification_id(notifier: &str, signal: &str, event: Event, revision: u64) -> String {
    let revision = if event == Event::Updated { revision } else { 0 };
    let mut context = Context::new(&SHA256);
    for part in [notifier, signal, event.as_str(), &revision.to_string()] {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    let digest = context.finish();
    let half = digest.as_ref().get(..16).unwrap_or_default();
    format!("msg_{}", hex(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_relevant_fields() {
        let object = br#"{"apiVersion":"siem.keepwatch.io/v1alpha1","kind":"Signal",
            "metadata":{"name":"s-1","resourceVersion":"7"},
            "spec":{"rule":{"id":"r","title":"R"},"severity":"high","actor":{"username":"mallory"},
                "count":3,"evidence":{"auditIDs":["a"],"events":[{"k":1}]}},
            "status":{"state":"closed","triage":{"state":"archived"}}}"#;
        let expected = Summary {
            severity: Severity::High,
            rule: "r".to_owned(),
            rule_title: "R".to_owned(),
            user: "mallory".to_owned(),
            count: 3,
            is_closed: true,
            is_triaged: true,
        };
        assert_eq!(Summary::parse(object), Ok(expected));
        assert!(Summary::parse(b"[1").is_err());
        assert!(Summary::parse(br#"{"spec":{"severity":"huge"}}"#).is_err());
    }

    #[test]
    fn variables_are_those_of_rule_messages() {
        let object = br#"{"metadata":{"name":"s-1"},"spec":{"rule":{"id":"r","title":"R"},
            "severity":"high","actor":{"username":"mallory","sourceIPs":["192.0.2.7","10.0.0.5"]},
            "groupBy":[{"field":"objectRef.namespace","value":"shop"}],"count":3,"counts":{"q":2},
            "firstSeen":"2026-11-25T00:20:00Z","targets":{"count":2,"items":[
                {"resource":"restorepoints","namespace":"shop","name":"rp-1"},
                {"resource":"passkeys"}]},
            "evidence":{"events":[{"verb":"delete","objectRef":{"resource":"restorepoints"}}]}}}"#;
        let sent_at = Timestamp::default();
        let notification =
            Notification::new("id".to_owned(), Event::Opened, object, None, sent_at).unwrap();
        for (name, expected) in [
            ("severity", Some("high")),
            ("rule_name", Some("R")),
            ("signal_id", Some("s-1")),
            ("events_matched", Some("3")),
            ("events_matched_per_query.q", Some("2")),
            ("events_matched_per_query.other", None),
            ("first_seen", Some("2026-11-25T00:20:00.000000Z")),
            ("first_seen_epoch", Some("1795566000")),
            ("targets", Some("shop/restorepoints/rp-1, passkeys")),
            ("source_ips", Some("192.0.2.7, 10.0.0.5")),
            ("@User.username", Some("mallory")),
            ("@ObjectRef.Namespace", Some("shop")),
            ("@ObjectRef.Resource", Some("restorepoints")),
            ("@verb", Some("delete")),
            ("@objectRef", None),
            ("nonsense", None),
        ] {
            assert_eq!(notification.variable(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn an_id_depends_on_the_revision_only_for_updates() {
        let opened = notification_id("n", "s", Event::Opened, 1);
        assert_eq!(opened, notification_id("n", "s", Event::Opened, 2));
        assert!(opened.len() == 36 && !opened.contains('.'));
        let others = [
            notification_id("m", "s", Event::Opened, 1),
            notification_id("n", "t", Event::Opened, 1),
            notification_id("ns", "", Event::Opened, 1),
            notification_id("n", "s", Event::Closed, 1),
            notification_id("n", "s", Event::Updated, 1),
            notification_id("n", "s", Event::Updated, 2),
        ];
        for (number, other) in others.iter().enumerate() {
            assert_ne!(*other, opened);
            assert!(!others.get(..number).unwrap().contains(other));
        }
    }
}
