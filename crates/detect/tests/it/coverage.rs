//! The page of coverage equals what rules find: the events of their examples, as each source
//! records them, raise signals exactly if the page says so.

use std::sync::Arc;

use detect::coverage::{self, Source, Visibility};
use detect::examples::{self, Step};
use detect::{Engine, Input, LoadOptions, RuleSet, Settings, builtin};
use event::annotations::ADMISSION;
use event::{Event, EventRef, Json, Level, Stage};
use serde_json::{Map, Value};

use super::pack;

/// The event as the source records it, if it does.
fn as_recorded(event: &Event, source: Source) -> Option<Event> {
    let reference = event.object_ref.clone().unwrap_or_default();
    let mut event = event.clone();
    // Keepwatch's records about itself are in no other log.
    if event.user.username == "system:keepwatch" {
        return None;
    }
    event.annotations.retain(|key, _| !key.starts_with("keepwatch.io/"));
    if source == Source::Admission {
        source.records(&reference.api_group, &reference.resource)?;
        return as_reviewed(event);
    }
    if !source.records(&reference.api_group, &reference.resource)? {
        event.level = Level::Metadata;
        (event.request_object, event.response_object) = (None, None);
    }
    if source == Source::Gke {
        event.request_uri.clear();
        event.user.groups.clear();
        event.user.uid.clear();
        event.user.extra.clear();
    }
    Some(event)
}

/// The event as the admission webhook records it: before the outcome, with the object as it will be.
fn as_reviewed(mut event: Event) -> Option<Event> {
    let is_refused = event.response_status.take().is_some_and(|status| status.code >= 400);
    let is_status =
        event.object_ref.as_ref().is_some_and(|reference| reference.subresource == "status");
    if is_refused || is_status {
        return None;
    }
    let response = event.response_object.take();
    match event.verb.as_str() {
        "create" | "update" => event.request_object = response.or(event.request_object),
        "patch" => {
            event.verb = "update".to_owned();
            event.request_object = Some(patched(response, event.request_object)?);
        }
        "delete" => {}
        _ => return None,
    }
    event.stage = Stage::RequestReceived;
    event.user = event.impersonated_user.take().unwrap_or(event.user);
    event.source_ips.clear();
    event.user_agent.clear();
    event.annotations.clear();
    event.annotations.insert(ADMISSION.to_owned(), "reviewed".to_owned());
    Some(event)
}

/// The object of the response, with what a merge patch adds: the examples have responses in short.
fn patched(response: Option<Json>, request: Option<Json>) -> Option<Json> {
    let value = |json: Option<Json>| -> Value {
        json.and_then(|json| serde_json::from_slice(json.as_bytes()).ok()).unwrap_or_default()
    };
    let (mut object, patch) = (value(response), value(request));
    if patch.is_object() {
        merge(&mut object, &patch);
    }
    Json::serialize(&object).ok()
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (key, value) in members {
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(key)),
            value => merge(&mut object[key], value),
        }
    }
}

/// Whether the rule raises a signal for an example of its file, as the source records it.
fn is_raised(rules: &Arc<RuleSet>, id: &str, file: &str, source: Source) -> bool {
    let document = builtin::documents().iter().find(|document| document.file == file).unwrap();
    examples::read(&pack::events(document)).unwrap().iter().any(|example| {
        let mut engine = Engine::new(Arc::clone(rules), Settings::default());
        let mut changes = Vec::new();
        for step in &example.steps {
            let Step::Event(event) = step else { continue };
            let Some(event) = as_recorded(event, source) else { continue };
            let (arrival, event) = (event.stage_timestamp, &EventRef::from(&event));
            let cluster = example.cluster.as_str();
            engine.process(&Input { source: "s", cluster, arrival, event }, &mut changes);
        }
        engine.finish(&mut changes);
        changes.iter().any(|change| change.signal.spec.rule.id == id)
    })
}

#[test]
fn a_rule_fires_on_its_examples_exactly_on_the_sources_that_the_page_names() {
    let mut differences = Vec::new();
    for document in builtin::documents() {
        // Alone, so that no other rule supersedes it.
        let documents = std::slice::from_ref(document);
        let Ok(rules) = RuleSet::load(documents, &LoadOptions::default()) else { continue };
        let rules = Arc::new(rules);
        for rule in rules.rules().iter().filter(|rule| rule.raises) {
            for source in Source::ALL {
                let expected = coverage::of(&rules, rule, source) != Visibility::Hidden;
                let is_seen = is_raised(&rules, &rule.id, &document.file, source);
                if expected != is_seen {
                    let source = source.title();
                    differences
                        .push(format!("{} on {source}: page {expected}, found {is_seen}", rule.id));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn bodies_of_custom_resources_are_missing_on_managed_clusters_and_seen_at_kube_apiserver() {
    let rules = pack::all();
    let of =
        |id: &str, source| coverage::of(&rules, &rules.rules()[rules.find(id).unwrap()], source);
    for managed in [Source::Eks, Source::Gke, Source::Aks] {
        assert_eq!(of("velero-schedule-changed", managed), Visibility::Hidden);
        assert_eq!(of("velero-backup-data-deleted", managed), Visibility::WithoutBody);
        assert_eq!(of("backup-operator-stopped", managed), Visibility::Seen);
        assert_eq!(of("backup-credentials-read-location-repointed", managed), Visibility::Hidden);
    }
    assert_eq!(of("velero-schedule-changed", Source::KubeApiserver), Visibility::Seen);
    assert_eq!(of("kasten-bulk-deletion", Source::KubeApiserver), Visibility::WithoutBody);
    assert_eq!(of("kasten-bulk-deletion", Source::Aggregated), Visibility::Seen);
    assert_eq!(of("velero-backups-deleted", Source::Aggregated), Visibility::Hidden);
    assert_eq!(of("velero-schedule-changed", Source::Admission), Visibility::Seen);
    assert_eq!(of("kasten-bulk-deletion", Source::Admission), Visibility::Hidden);
    assert_eq!(of("backup-operator-stopped", Source::Admission), Visibility::Hidden);
}
