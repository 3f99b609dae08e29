//! A timeline for programs: one JSON object.

use event::Signal;
use serde_json::{Value, json};

use super::classify::Class;
use super::timeline::{Impersonation, Timeline, UserRequest, Values};

/// The object.
pub(crate) fn document(timeline: &Timeline) -> Value {
    let time = |time: Option<event::Timestamp>| time.map(|time| time.to_string());
    let range = timeline.range();
    let requests = timeline.requests();
    let sessions = timeline.sessions.all().map(|session| {
        json!({
            "first": session.first.to_string(),
            "last": session.last.to_string(),
            "count": session.count,
        })
    });
    let namespaces = timeline.namespaces.iter().map(|(namespace, counts)| {
        let mut object = by_class(counts);
        object["namespace"] = namespace.as_str().into();
        object
    });
    let related = timeline
        .related()
        .into_iter()
        .map(|related| json!({"user": related.user, "why": related.why}));
    json!({
        "user": timeline.scope.name,
        "groups": timeline.groups,
        "since": time(timeline.scope.since),
        "until": time(timeline.scope.until),
        "first": time(range.map(|range| range.0)),
        "last": time(range.map(|range| range.1)),
        "count": timeline.count,
        "refused": timeline.refused,
        "failed": timeline.failed,
        "byClass": by_class(&timeline.by_class),
        "sessions": sessions.collect::<Vec<_>>(),
        "namespaces": namespaces.collect::<Vec<_>>(),
        "addresses": values(&timeline.addresses),
        "clients": values(&timeline.agents),
        "credentials": values(&timeline.credentials),
        "related": related.collect::<Vec<_>>(),
        "signals": timeline.signals.iter().map(|signal| signal_object(signal)).collect::<Vec<_>>(),
        "notListed": timeline.count.saturating_sub(requests.len() as u64),
        "requests": requests.into_iter().map(request_object).collect::<Vec<_>>(),
    })
}

fn by_class(counts: &[u64; Class::ALL.len()]) -> Value {
    let pairs = Class::ALL.iter().zip(counts);
    pairs.map(|(class, count)| (class.as_str().to_owned(), Value::from(*count))).collect()
}

fn values(values: &Values) -> Vec<Value> {
    let object = |(text, value): (&String, &super::timeline::Value)| {
        json!({
            "value": text,
            "count": value.count,
            "first": value.first.to_string(),
            "last": value.last.to_string(),
            "new": !value.is_known,
        })
    };
    values.0.iter().map(object).collect()
}

fn request_object(request: &UserRequest) -> Value {
    let mut object = json!({
        "time": request.time.to_string(),
        "class": request.class.as_str(),
        "verb": request.verb,
        "resource": request.resource,
        "namespace": request.namespace,
        "name": request.name,
        "code": request.code,
        "address": request.address,
        "auditID": request.audit_id,
        "firstSeen": request.firsts,
    });
    match &request.impersonation {
        Some(Impersonation::As(user)) => object["impersonated"] = user.as_str().into(),
        Some(Impersonation::By(user)) => object["impersonatedBy"] = user.as_str().into(),
        None => {}
    }
    object
}

/// The form that the API serves, without the time at which the signal was closed.
fn signal_object(signal: &Signal) -> Value {
    let mut object = siem::signal::object(signal, signal.spec.last_seen);
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("closedAt");
    }
    object.into()
}
