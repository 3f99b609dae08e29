//! The life cycle of a signal: it opens, is updated, becomes more severe, and closes.

use std::sync::Arc;

use detect::{ChangeKind, Document, EventMatcher, LoadOptions, RuleSet, Suppression};
use event::{Severity, Timestamp};
use expect_test::{Expect, expect};
use serde_json::json;

use super::super::support::load;
use super::stream::{
    DAY, FIVE_DELETES, HOUR, MINUTE, SECOND, START, Stream, TimedEvent, delete, event_at,
};

/// Each delete raises a signal; ten are more severe.
const EACH_DELETE: &str = "title: A delete\nid: each\nlevel: low\ntags: [attack.impact, attack.t1490]\n\
    detection:\n  s: {verb: delete}\n  condition: s\nkeepwatch:\n  query: deleted\n  keep-alive: 10m\n  \
    max-duration: 1h\n  cases:\n    - {name: very many, severity: critical, at-least: 10}\n    - {name: many, severity: high, at-least: 3}\n  \
    message: '{{@user.username}} from {{@sourceIPs}}: {{events_matched_per_query.deleted}} until {{last_seen}}{{#is_match \"severity\" \"critical\"}} !{{/is_match}}'\n";

fn severities(stream: &Stream) -> Vec<(u64, Severity)> {
    let specs = stream.changes.iter().map(|change| &change.signal.spec);
    specs.map(|spec| (spec.count, spec.severity)).collect()
}

#[test]
fn a_rule_on_single_events_opens_at_the_first_and_updates_at_each_further_one() {
    let mut stream = Stream::new(EACH_DELETE);
    for at in 0..4 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at * MINUTE));
    }
    let ids: Vec<_> = stream.changes.iter().map(|change| &change.signal.id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(
        stream.take_changes(),
        ["opened each 1", "updated each 2", "updated each 3", "updated each 4"]
    );
    stream.advance(13 * MINUTE - 1);
    assert_eq!(stream.take_changes(), [""; 0]);
    stream.advance(HOUR);
    let closed = stream.changes.first().unwrap();
    assert_eq!(
        closed.at.as_micros() - START,
        13 * MINUTE,
        "when it was due, not when it was noticed"
    );
    assert_eq!(stream.take_changes(), ["closed each 4"]);
    stream.send(&delete("mallory", "again", 2 * HOUR));
    assert_eq!(stream.take_changes(), ["opened each 1"]);
}

#[test]
fn a_signal_closes_at_its_maximum_duration_and_the_next_event_opens_another() {
    let mut stream = Stream::new(EACH_DELETE);
    for at in 0..14 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at * 5 * MINUTE));
    }
    assert_eq!(stream.opened("each"), 2);
    let closed = stream.changes.iter().find(|change| change.kind == ChangeKind::Closed).unwrap();
    assert_eq!(closed.at.as_micros() - START, HOUR);
    assert_eq!(closed.signal.spec.count, 12);
    let ids: std::collections::BTreeSet<_> =
        stream.changes.iter().map(|change| change.signal.id.clone()).collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn severity_follows_the_cases_and_never_decreases() {
    let mut stream = Stream::new(EACH_DELETE);
    for at in 0..11 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at * SECOND));
    }
    let steps = severities(&stream);
    assert_eq!(steps[1], (2, Severity::Low));
    assert_eq!(steps[2], (3, Severity::High));
    assert_eq!(steps[9], (10, Severity::Critical));
    let mut stream = Stream::new(
        &FIVE_DELETES.replace(
            "condition: {gte: 5}\n",
            "condition: {gte: 2}\nkeepwatch:\n  cases: [{name: many, severity: critical, at-least: 4}]\n",
        ),
    );
    for at in [0, 1, 2, 3, 20, 21] {
        stream.send(&delete("mallory", &format!("rp-{at}"), at * MINUTE));
    }
    assert_eq!(severities(&stream)[0], (2, Severity::High));
    assert_eq!(severities(&stream)[2], (4, Severity::Critical));
    // The window now has two events, but the severity never decreases.
    assert_eq!(severities(&stream).last().unwrap(), &(6, Severity::Critical));
}

#[test]
fn a_busy_signal_is_updated_at_once_when_it_grows_and_soon_otherwise() {
    let mut stream = Stream::new(EACH_DELETE);
    for at in 0..10_000 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at * 10));
    }
    assert!(stream.changes.len() < 120, "{}", stream.changes.len());
    stream.advance(2 * SECOND);
    assert_eq!(stream.changes.last().unwrap().signal.spec.count, 10_000);
}

const FIRST_SIGNAL: Expect = expect![[r#"
        {
          "rule": {
            "id": "each",
            "title": "A delete"
          },
          "severity": "high",
          "case": "many",
          "title": "mallory (impersonated by system:serviceaccount:shop:builder) deleted 2 restorepoints in namespace shop of cluster prod-eu",
          "message": "system:serviceaccount:shop:builder from 192.0.2.7, 10.0.0.5: 3 until 2026-11-29T12:00:02.000000Z",
          "actor": {
            "username": "mallory",
            "uid": "u-1",
            "groups": [
              "g"
            ],
            "impersonatedBy": "system:serviceaccount:shop:builder",
            "credentialID": "JTI=1",
            "sourceIPs": [
              "192.0.2.7",
              "10.0.0.5"
            ],
            "userAgents": [
              "kubectl/v1.37.0"
            ],
            "firstSeen": [
              "user mallory",
              "userAgent kubectl/v1.37.0",
              "sourceIP 192.0.2.7",
              "sourceIP 10.0.0.5"
            ]
          },
          "cluster": "prod-eu",
          "groupBy": [
            {
              "field": "user.username",
              "value": "system:serviceaccount:shop:builder"
            }
          ],
          "targets": {
            "count": 2,
            "items": [
              {
                "group": "apps.kio.kasten.io",
                "resource": "restorepoints",
                "namespace": "shop",
                "name": "rp-1"
              },
              {
                "group": "apps.kio.kasten.io",
                "resource": "restorepoints",
                "namespace": "shop",
                "name": "rp-2"
              }
            ]
          },
          "count": 3,
          "counts": {
            "deleted": 3
          },
          "firstSeen": "2026-11-29T12:00:00.000000Z",
          "lastSeen": "2026-11-29T12:00:02.000000Z",
          "evidence": {
            "auditIDs": [
              "0-system:serviceaccount:shop:builder-delete-rp-1",
              "1000000-system:serviceaccount:shop:builder-delete-rp-2",
              "2000000-system:serviceaccount:shop:builder-delete-rp-2"
            ],
            "events": null
          },
          "attack": {
            "tactics": [
              "TA0040"
            ],
            "techniques": [
              "T1490"
            ]
          }
        }"#]];

#[test]
fn a_signal_names_actor_verb_and_objects() {
    let mut stream = Stream::new(EACH_DELETE);
    for (at, name) in ["rp-1", "rp-2", "rp-2"].into_iter().enumerate() {
        let changes = json!({
            "user.username": "system:serviceaccount:shop:builder",
            "impersonatedUser": {"username": "mallory", "uid": "u-1", "groups": ["g"]},
            "objectRef.name": name,
            "requestURI": format!("/{at}"),
        });
        stream.send(&event_at(i64::try_from(at).unwrap() * SECOND, &changes));
    }
    let spec = &stream.changes.last().unwrap().signal.spec;
    let mut document = serde_json::to_value(spec).unwrap();
    let events = document["evidence"]["events"].take();
    assert_eq!(events.as_array().unwrap().len(), 3);
    assert_eq!(events[0]["objectRef"]["name"], "rp-1");
    FIRST_SIGNAL.assert_eq(&serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn marks_show_values_seen_for_the_first_time() {
    let mut stream = Stream::new(EACH_DELETE);
    let marks =
        |stream: &Stream| stream.changes.last().unwrap().signal.spec.actor.first_seen.clone();
    stream.send(&delete("mallory", "rp", 0));
    assert_eq!(marks(&stream).len(), 4);
    stream.send(&delete("mallory", "rp", DAY));
    assert_eq!(marks(&stream), [""; 0]);
    stream.send(&event_at(
        2 * DAY,
        &json!({"user.username": "mallory", "sourceIPs": ["192.0.2.7", "198.51.100.9"]}),
    ));
    assert_eq!(marks(&stream), ["sourceIP 198.51.100.9"]);
    stream.send(&delete("mallory", "rp", 40 * DAY));
    assert_eq!(marks(&stream).len(), 4, "forgotten after a month");
}

#[test]
fn a_new_value_raises_after_the_learning_time() {
    let rule = "title: New reader\nid: new\ndetection:\n  s: {verb: get}\n  condition: s\nkeepwatch:\n  \
        keep-alive: 1h\n  first-seen: {fields: [user.username], learning: 1d, forget-after: 30d}\n";
    let read = |user: &str, after| event_at(after, &json!({"verb": "get", "user.username": user}));
    let mut stream = Stream::new(rule);
    stream.send_all(&[read("alice", 0), read("bob", HOUR), read("alice", 2 * DAY)]);
    assert_eq!(stream.take_changes(), [""; 0]);
    stream.restart();
    stream.send(&read("mallory", 2 * DAY + HOUR));
    assert_eq!(stream.take_changes(), ["opened new 1"]);
    stream.send(&read("mallory", 2 * DAY + HOUR + MINUTE));
    stream.send(&read("mallory", 3 * DAY));
    assert_eq!(stream.take_changes(), ["closed new 1"], "it is no longer new");
    stream.send(&read("bob", 40 * DAY));
    assert_eq!(stream.take_changes(), ["opened new 1"], "it was forgotten");
}

#[test]
fn a_signal_about_one_user_hides_none_about_all_users() {
    let rules = format!(
        "{FIVE_DELETES}  generate: true\nkeepwatch: {{supersedes: [spread]}}\n---\ntitle: Spread\n\
         id: spread\nlevel: high\ncorrelation:\n  type: event_count\n  rules: [a]\n  timespan: 10m\n  \
         condition: {{gte: 10}}\n"
    );
    // Decoys by one user, then deletions by users who are each below their threshold.
    let deletes = |users: &[&str]| {
        let mut streams = [Stream::new(&rules), Stream::new(&rules)];
        for (at, user) in (0..).zip(users) {
            for stream in &mut streams {
                stream.send(&delete(user, &format!("rp-{at}"), at * SECOND));
            }
            streams[1].restart();
        }
        let opened = streams.map(|stream| (stream.opened("many"), stream.opened("spread")));
        assert_eq!(opened[0], opened[1], "with a restart after each event");
        opened[0]
    };
    assert_eq!(deletes(&["mallory"; 12]), (1, 0));
    let mut users = ["mallory"; 12];
    users[5..].copy_from_slice(&["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(deletes(&users), (1, 0), "seven by others are below the threshold");
    let others = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    assert_eq!(deletes(&[&["mallory"; 5], &others[..]].concat()), (1, 1));
    assert_eq!(deletes(&[&others[..4], &["mallory"; 5], &others[4..]].concat()), (1, 1));
    let three = ["a"; 5].into_iter().chain(["b"; 5]).chain(["c"; 5]).collect::<Vec<_>>();
    assert_eq!(deletes(&three), (3, 0), "each has a signal of its own");
}

#[test]
fn a_rule_supersedes_another_for_the_same_group() {
    let both = format!(
        "{EACH_DELETE}---\ntitle: Few\nid: few\nlevel: high\ncorrelation:\n  type: event_count\n  \
         rules: [each]\n  generate: true\n  group-by: [user.username]\n  timespan: 10m\n  \
         condition: {{gte: 1}}\nkeepwatch: {{supersedes: [each]}}\n"
    );
    let mut stream = Stream::new(&both);
    stream.send(&delete("mallory", "rp", 0));
    stream.send(&delete("mallory", "rp-2", 1));
    assert_eq!(stream.take_changes(), ["opened few 1", "updated few 2"]);
    let statistics = stream.engine.statistics();
    assert_eq!(
        statistics.iter().find(|statistics| statistics.rule == "each").unwrap().superseded,
        2
    );
}

#[test]
fn a_suppression_hides_and_counts_signals_until_it_expires() {
    let matcher = EventMatcher::parse(
        "change-17",
        &json!({"who": {"user.username": "alice"}}),
        &LoadOptions::default(),
    )
    .unwrap();
    let mut stream = Stream::new(FIVE_DELETES);
    stream.engine.set_suppressions(Arc::from([Suppression {
        name: "change-17".to_owned(),
        rules: vec!["many".to_owned()],
        events: Some(matcher),
        expires: Some(Timestamp::from_micros(START + HOUR)),
    }]));
    let deletes = |user: &str, from: i64| -> Vec<TimedEvent> {
        (0..6).map(|at| delete(user, &format!("rp-{at}"), from + at)).collect()
    };
    stream.send_all(&deletes("alice", 0));
    assert_eq!(stream.take_changes(), [""; 0]);
    let hidden = stream.engine.suppression_statistics();
    assert_eq!(
        (hidden[0].suppression.as_str(), hidden[0].signals, hidden[0].events),
        ("change-17", 1, 2)
    );
    stream.send_all(&deletes("bob", MINUTE));
    assert_eq!(stream.take_changes(), ["opened many 5", "updated many 6"]);
    stream.restart();
    // Events that the suppression hid do not count for later signals.
    stream.send_all(&deletes("alice", 2 * HOUR)[..4]);
    assert_eq!(stream.take_changes(), ["closed many 6"], "of bob, whose last was long ago");
    stream.send_all(&deletes("alice", 2 * HOUR)[4..]);
    assert_eq!(stream.take_changes(), ["opened many 5", "updated many 6"]);
}

#[test]
fn a_changed_rule_starts_without_state_and_its_signals_close() {
    let other = FIVE_DELETES.replace("gte: 5", "gte: 6");
    for restart in [false, true] {
        let mut stream = Stream::new(&format!("{EACH_DELETE}---\n{FIVE_DELETES}"));
        for at in 0..5 {
            stream.send(&delete("mallory", &format!("rp-{at}"), at * SECOND));
        }
        assert_eq!(stream.take_changes().len(), 6);
        let rules = Arc::new(load(&format!("{other}---\n{EACH_DELETE}")));
        if restart {
            stream.rules = rules;
            stream.restart();
        } else {
            stream.engine.set_rules(rules);
        }
        stream.send(&delete("mallory", "rp-5", 5 * SECOND));
        let mut changes = stream.take_changes();
        changes.sort();
        assert_eq!(changes, ["closed many 5", "updated each 6"], "{restart}");
    }
}

#[test]
fn an_empty_rule_set_matches_nothing() {
    let empty = RuleSet::load(&[] as &[Document], &LoadOptions::default()).unwrap();
    let mut stream = Stream::of(Arc::new(empty), super::stream::of_files());
    stream.send(&delete("mallory", "rp", 0));
    stream.restart();
    stream.finish();
    assert_eq!(stream.take_changes(), [""; 0]);
}
