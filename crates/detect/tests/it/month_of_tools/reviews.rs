//! The same requests as records of the admission webhook, with the object before each.
//!
//! A cluster stores what earlier requests wrote, so that each review has both whole objects.
//!
//! Deliberately absent: requests that admission does not see (reads, refused ones), and groups about
//! which the webhook is not asked.

use std::collections::BTreeMap;

use detect::coverage::Source;
use event::annotations::{ADMISSION, OLD_OBJECT};
use event::{Event, Json, Level, Stage};
use serde_json::{Value, json};

use super::super::acts::{Act, CORE};
use super::operators::applied;

/// The objects of a cluster, by API group, resource, namespace and name.
type Objects = BTreeMap<[String; 4], Value>;

/// The reviews of a cluster's requests, in order.
pub(super) fn reviews(acts: &[Act]) -> Vec<Event> {
    let mut objects = Objects::new();
    for ((group, resource), (namespace, name), object) in applied() {
        objects.insert(
            [group, resource, namespace, name].map(str::to_owned),
            named(object, namespace, name),
        );
    }
    let mut events = Vec::new();
    for act in acts {
        let group = if act.group == CORE { "" } else { act.group };
        let is_write =
            matches!(&*act.verb, "create" | "update" | "patch" | "delete" | "deletecollection");
        if is_write && act.code == 0 && Source::Admission.records(group, &act.resource).is_some() {
            review(act, &mut objects, &mut events);
        }
    }
    events
}

fn review(act: &Act, objects: &mut Objects, events: &mut Vec<Event>) {
    let key = [act.group, &act.resource, &act.namespace, &act.name].map(str::to_owned);
    if act.verb == "deletecollection" {
        let is_of = |other: &[String; 4]| other[..3] == key[..3];
        let names: Vec<_> = objects.keys().filter(|other| is_of(other)).cloned().collect();
        for key in names {
            let old = objects.remove(&key);
            let act = Act { name: key[3].clone(), ..act.clone() };
            events.push(event(&act, "delete", events.len(), None, old));
        }
        return;
    }
    let old = objects.get(&key).cloned();
    if act.verb == "delete" {
        if !act.is_dry_run {
            objects.remove(&key);
        }
        // Earlier requests than those of this month made the object.
        let old = old.unwrap_or_else(|| stored(act));
        events.push(event(act, "delete", events.len(), None, Some(old)));
        return;
    }
    let old = (act.verb != "create").then(|| old.unwrap_or_else(|| stored(act)));
    let mut new = old.clone().unwrap_or_else(|| stored(act));
    merge(&mut new, act.body.as_ref().unwrap_or(&json!({})));
    let new = named(new, &act.namespace, &act.name);
    if !act.is_dry_run {
        objects.insert(key, new.clone());
    }
    let verb = if act.verb == "create" { "create" } else { "update" };
    events.push(event(act, verb, events.len(), Some(&new), old));
}

/// An object of which no request says more. Its operator cleans up when it is deleted.
fn stored(act: &Act) -> Value {
    let finalizers = json!({"metadata": {"finalizers": [format!("{}/cleanup", act.group)]}});
    named(finalizers, &act.namespace, &act.name)
}

fn named(mut object: Value, namespace: &str, name: &str) -> Value {
    merge(&mut object, &json!({"metadata": {"name": name, "namespace": namespace}}));
    object
}

/// Applies a merge patch (RFC 7396).
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        object.clone_from(patch);
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in members {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut object[key], value);
        }
    }
}

fn event(act: &Act, verb: &str, id: usize, new: Option<&Value>, old: Option<Value>) -> Event {
    let act = Act { verb: verb.to_owned(), is_bodyless: false, ..act.clone() };
    let mut event = act.event(id);
    event.level = Level::Request;
    event.stage = Stage::RequestReceived;
    event.response_status = None;
    event.response_object = None;
    // A review says neither where a request came from nor which program sent it.
    event.source_ips.clear();
    event.user_agent.clear();
    event.request_object = new.map(|object| Json::serialize(object).unwrap());
    event.annotations.insert(ADMISSION.to_owned(), String::new());
    if let Some(old) = old {
        event.annotations.insert(OLD_OBJECT.to_owned(), old.to_string());
    }
    event
}
