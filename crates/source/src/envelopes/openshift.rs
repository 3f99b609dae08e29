//! OpenShift's ClusterLogForwarder: events whose members are in the record of the collector.
//!
//! The collector may replace `level` by that of a log, and keeps the event's level in a member of its
//! own.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::gke::Members;
use super::unwrap::Leaf;

/// The type of records of audit logs.
const AUDIT: &str = "audit";
/// The logs of API servers. The others are those of Linux and of the network.
const SOURCES: [&str; 2] = ["kubeAPI", "openshiftAPI"];

/// The members that keep the event's level.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Levels<'a> {
    #[serde(borrow)]
    k8s_audit_level: Option<Cow<'a, str>>,
    #[serde(borrow)]
    openshift_audit_level: Option<Cow<'a, str>>,
    #[serde(borrow)]
    level: Option<&'a RawValue>,
}

/// What a record is.
pub(super) fn leaf(text: &[u8], log_type: &str, log_source: Option<&str>) -> Leaf {
    if log_type != AUDIT || log_source.is_some_and(|source| !SOURCES.contains(&source)) {
        return Leaf::Other;
    }
    let levels: Levels<'_> = serde_json::from_slice(text).unwrap_or_default();
    let Some(level) = levels.k8s_audit_level.or(levels.openshift_audit_level) else {
        return Leaf::Itself;
    };
    let is_known = level.parse::<event::Level>().is_ok();
    let Ok(Members(members)) = serde_json::from_slice::<Members<'_>>(text) else {
        return Leaf::Itself;
    };
    if !is_known {
        return Leaf::Itself;
    }
    let mut event = Vec::with_capacity(text.len());
    event.extend_from_slice(br#"{"level":""#);
    event.extend_from_slice(level.as_bytes());
    event.push(b'"');
    for (key, value) in members.iter().filter(|(key, _)| key != "level") {
        event.push(b',');
        event.extend_from_slice(serde_json::to_string(key).unwrap_or_default().as_bytes());
        event.push(b':');
        event.extend_from_slice(value.get().as_bytes());
    }
    event.push(b'}');
    let is_same = levels.level.is_some_and(|text| text.get().trim_matches('"') == level);
    if is_same { Leaf::Itself } else { Leaf::Event(event) }
}
