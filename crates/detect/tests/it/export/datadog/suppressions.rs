//! Suppressions for Datadog hide the same events as ours.

use detect::export::{self, Choice, File, Format, Profile, Suppression, suppression};
use detect::{Document, Fields, LoadOptions};
use event::{Event, EventRef};
use serde_json::Value;

use super::search;
use crate::export::dashboards::events;

/// Two suppressions: as written by a user, and as printed by `kubectl get suppressions -o yaml`.
const OBJECTS: &str = "
apiVersion: siem.keepwatch.io/v1alpha1
kind: Suppression
metadata: {name: migration-of-the-shop}
spec:
  rules: [kasten-restorepoints-manually-deleted, kasten-restorepoints-excessive-deletion]
  match:
    who: {user.username: alice}
    where: {objectRef.namespace: [shop, blog]}
    other: {objectRef.name|startswith: rp-keep}
    condition: who and where and not other
  expiresAt: '2026-12-31T12:00:00.5Z'
  reason: The shop moves to another cluster.
  ticket: https://tickets.example.com/4711
---
apiVersion: v1
kind: List
items:
  - apiVersion: siem.keepwatch.io/v1alpha1
    kind: Suppression
    metadata: {name: nightly-cleanup, uid: 0a, resourceVersion: '7'}
    spec:
      rules: ['*']
      match: {cleanup: {actor.username: 'system:serviceaccount:ops:cleanup', succeeded: true}}
      expiresAt: '2027-06-30T00:00:00Z'
      reason: Expired copies are removed every night.
    status: {state: active}
";

fn read(text: &str) -> Vec<Suppression> {
    let document = Document::new("suppressions.yaml", text);
    Suppression::read(&document, &LoadOptions::default()).unwrap()
}

/// The exported files of all suppressions.
pub(in crate::export) fn exported(profile: &'static Profile, format: &'static Format) -> Vec<File> {
    let target = export::named("datadog").unwrap();
    let options = LoadOptions::default();
    let choice = Choice { profile, format, options: &options, has_suppressions: true };
    let all = read(OBJECTS);
    all.iter()
        .flat_map(|suppression| suppression::export(suppression, target, &choice, true).files)
        .collect()
}

#[test]
fn exported_suppressions_hide_the_same_events() {
    let target = export::named("datadog").unwrap();
    let events = events();
    for profile in target.profiles() {
        let files = exported(profile, &target.formats()[0]);
        let logs = super::logs(profile.name, "prod-eu", &events);
        assert_eq!(files.len(), 2);
        for (suppression, file) in read(OBJECTS).iter().zip(&files) {
            let json: Value = serde_json::from_str(&file.text).unwrap();
            let query = json["data"]["attributes"]["data_exclusion_query"].as_str().unwrap();
            let search = search::read(query).unwrap();
            let mut count = 0;
            for (event, log) in events.iter().zip(&logs) {
                let hides = hides(suppression, event);
                assert_eq!(search.matches(log), hides, "{query}: {event:?}");
                count += usize::from(hides);
            }
            let made_up = made_up(suppression, &events[0]);
            let log = &super::logs(profile.name, "prod-eu", std::slice::from_ref(&made_up))[0];
            assert!(search.matches(log) && hides(suppression, &made_up), "{query}");
            assert!(count < events.len());
        }
    }
}

/// Whether the engine hides the event. It never hides requests about suppressions.
fn hides(suppression: &Suppression, event: &Event) -> bool {
    let view = EventRef::from(event);
    let of = event.object_ref.as_ref();
    let is_exempt = of.is_some_and(|reference| reference.resource == "suppressions");
    !is_exempt && suppression.events.matches(&Fields::new(&view))
}

/// A copy of an event that the suppression matches.
fn made_up(suppression: &Suppression, event: &Event) -> Event {
    let mut event = event.clone();
    let is_cleanup = suppression.rules.is_empty();
    let user = if is_cleanup { "system:serviceaccount:ops:cleanup" } else { "alice" };
    event.user.username = user.into();
    event.impersonated_user = None;
    if let Some(object) = &mut event.object_ref {
        object.namespace = "shop".into();
        object.name = "rp-1".into();
    }
    event
}

#[test]
fn requests_about_suppressions_are_never_hidden() {
    let text = OBJECTS
        .split("---")
        .next()
        .unwrap()
        .replace("condition: who and where and not other", "condition: who or where or other");
    let target = export::named("datadog").unwrap();
    let options = LoadOptions::default();
    let (profile, format) = (&target.profiles()[0], &target.formats()[0]);
    let choice = Choice { profile, format, options: &options, has_suppressions: true };
    let draft = suppression::export(&read(&text)[0], target, &choice, true);
    assert!(draft.files[0].text.contains("-(@ObjectRef.APIGroup:siem.keepwatch.io"), "{draft:?}");
}

#[test]
fn rules_have_the_tag_for_suppressions_only_if_there_are_some() {
    let target = export::named("datadog").unwrap();
    let rules = crate::pack::all();
    let rule = &rules.rules()[rules.find("kasten-passkey-changed").unwrap()];
    for has_suppressions in [false, true] {
        let (profile, format) = (&target.profiles()[0], &target.formats()[0]);
        let choice = Choice { profile, format, options: rules.options(), has_suppressions };
        let exported = export::export(&rules, rule, target, &choice, true);
        let is_tagged =
            exported.files[0].text.contains("\"keepwatch_rule:kasten-passkey-changed\"");
        assert_eq!(is_tagged, has_suppressions);
    }
}

#[test]
fn targets_without_suppressions_suggest_an_alternative() {
    let options = LoadOptions::default();
    for target in export::all().iter().filter(|target| target.name() != "datadog") {
        let (profile, format) = (&target.profiles()[0], &target.formats()[0]);
        let choice = Choice { profile, format, options: &options, has_suppressions: true };
        let exported = suppression::export(&read(OBJECTS)[0], *target, &choice, true);
        assert!(exported.fidelity.is_refused() && exported.files.is_empty());
        assert!(exported.fidelity.reasons()[0].to_string().contains("filter"));
    }
}

#[test]
fn an_error_in_a_suppression_has_a_position() {
    for (from, to, expected) in [
        ("kind: Suppression", "kind: Silence", "the kind is \"Silence\""),
        ("12:00:00.5Z", "noon", "must be a time"),
        ("who: {user.username", "who: {user.nmae", "user.nmae"),
        ("  match:", "  matched:", "`match` is missing"),
    ] {
        let text = OBJECTS.replacen(from, to, 1);
        let document = Document::new("suppressions.yaml", text);
        let errors = Suppression::read(&document, &LoadOptions::default()).unwrap_err();
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(
            messages.iter().any(|message| message.contains(expected)),
            "{expected}: {messages:?}"
        );
    }
}
