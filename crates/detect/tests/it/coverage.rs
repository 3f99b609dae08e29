//! The page of coverage equals what rules find: the events of their examples, as each source
//! records them, raise signals exactly if the page says so.

use std::sync::Arc;

use detect::coverage::{self, Source, Visibility};
use detect::examples::{self, Step};
use detect::{Engine, Input, LoadOptions, RuleSet, Settings, builtin};
use event::annotations::{ADMISSION, OLD_OBJECT};
use event::{Event, EventRef, Level, Stage};

use super::pack;

/// The event as the source records it, if it does.
fn as_recorded(event: &Event, source: Source) -> Option<Event> {
    let reference = event.object_ref.clone().unwrap_or_default();
    if source == Source::Admission {
        return as_reviewed(event);
    }
    if event.annotations.contains_key(ADMISSION) {
        return None;
    }
    let mut event = event.clone();
    // Keepwatch's records about itself are in no other log.
    if event.user.username == "system:keepwatch" {
        return None;
    }
    event.annotations.retain(|key, _| !key.starts_with("keepwatch.io/"));
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

/// The event as the admission webhook records it. What the object was before is known only of events
/// that are from there already; of others, every field counts as new.
fn as_reviewed(event: &Event) -> Option<Event> {
    let reference = event.object_ref.clone()?;
    let is_asked = Source::Admission.records(&reference.api_group, &reference.resource).is_some();
    if event.annotations.contains_key(ADMISSION) {
        return is_asked.then(|| event.clone());
    }
    let code = event.response_status.as_ref().map_or(0, |status| status.code);
    if !is_asked || reference.subresource == "status" || !(200..300).contains(&code) {
        return None;
    }
    let (verb, sent, before) = match event.verb.as_str() {
        "create" => ("create", event.request_object.clone(), None),
        "update" | "patch" => {
            let before = r#"{"metadata":{"name":"before"}}"#;
            ("update", event.response_object.clone(), Some(before))
        }
        "delete" | "deletecollection" => ("delete", event.request_object.clone(), Some("{}")),
        _ => return None,
    };
    let mut event = event.clone();
    verb.clone_into(&mut event.verb);
    (event.stage, event.level) = (Stage::RequestReceived, Level::Request);
    (event.request_object, event.response_object, event.response_status) = (sent, None, None);
    (event.user_agent, event.source_ips) = (String::new(), Vec::new());
    // The user of a review is the impersonated one.
    if let Some(user) = event.impersonated_user.take() {
        event.user = user;
    }
    event.annotations = [(ADMISSION.to_owned(), "outcome unknown".to_owned())].into();
    event.annotations.extend(before.map(|text| (OLD_OBJECT.to_owned(), text.to_owned())));
    Some(event)
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
                let actual = is_raised(&rules, &rule.id, &document.file, source);
                if expected != actual {
                    let source = source.title();
                    differences
                        .push(format!("{} on {source}: page {expected}, actual {actual}", rule.id));
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
}
