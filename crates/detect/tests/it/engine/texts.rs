//! The texts of signals, and the actors that they name.

use detect::Settings;
use detect::engine::Limits;
use event::SignalSpec;
use serde_json::{Value, json};

use super::stream::{
    DAY, FIVE_DELETES, HOUR, MINUTE, SECOND, Stream, TimedEvent, delete, event_at,
};

/// Three deletes in a day, by one user or by all.
fn rule(group_by: &str, title: &str) -> String {
    format!(
        "title: A delete\nname: a\ndetection:\n  s: {{verb: delete}}\n  condition: s\n---\n\
         title: Many deletes\nid: many\ncorrelation:\n  type: event_count\n  rules: [a]\n  \
         group-by: [{group_by}]\n  timespan: 1d\n  condition: {{gte: 3}}\nkeepwatch:\n  \
         title: '{title}'\n"
    )
}

/// The last signal after these events.
fn last(stream: &mut Stream, events: &[TimedEvent]) -> SignalSpec {
    stream.send_all(events);
    stream.advance(10 * DAY);
    stream.changes.last().unwrap().signal.spec.clone()
}

fn impersonating(after: i64, user: &str, other: &Value) -> TimedEvent {
    let mut changes = json!({"user.username": user, "objectRef.name": format!("rp-{after}")});
    if !other.is_null() {
        changes["impersonatedUser"] = json!({"username": other});
    }
    event_at(after, &changes)
}

#[test]
fn an_impersonator_of_several_users_is_the_impersonator_of_the_signal() {
    let check = |acts: &[(&str, Value)], username: &str, by: &str, all: &[&str], title: &str| {
        let events: Vec<TimedEvent> = (0..)
            .zip(acts)
            .map(|(at, (user, other))| impersonating(at * SECOND, user, other))
            .collect();
        let spec = last(&mut Stream::new(&rule("cluster", "{{users}}")), &events);
        let actor = &spec.actor;
        assert_eq!(
            (actor.username.as_str(), actor.impersonated_by.as_str()),
            (username, by),
            "{acts:?}"
        );
        assert_eq!(actor.impersonators, all, "{acts:?}");
        assert_eq!(spec.title, title, "{acts:?}");
        assert_eq!(actor.credential_id, "JTI=1", "the credential of the impersonator");
    };
    let (bob, carol, dave) = (json!("bob"), json!("carol"), json!("dave"));
    check(
        &[("alice", bob.clone()), ("alice", carol.clone()), ("alice", dave.clone())],
        "",
        "alice",
        &[],
        "alice",
    );
    check(
        &[("bob", Value::Null), ("alice", bob.clone()), ("bob", Value::Null)],
        "bob",
        "alice",
        &[],
        "bob and alice",
    );
    check(
        &[("alice", bob.clone()), ("eve", bob.clone()), ("alice", bob.clone())],
        "bob",
        "",
        &["alice", "eve"],
        "alice and eve",
    );
    let console = "system:serviceaccount:kasten-io:k10-k10";
    check(
        &[(console, bob), (console, carol), (console, dave)],
        "",
        console,
        &[],
        "bob, carol and dave",
    );
}

#[test]
fn variables_of_fields_have_the_values_of_the_newest_event_although_it_arrives_first() {
    let settings = || super::stream::of_files();
    let event = |user: &str, after: i64| {
        event_at(
            after,
            &json!({"user.username": user, "objectRef.namespace": user, "sourceIPs": [user]}),
        )
    };
    let title = "{{events_matched}} in {{namespaces}}, last by {{@user.username}} in \
                 {{@objectRef.namespace}} from {{@network.ip.list}} of {{source_ips}}, in {{duration}}";
    let later = 4 * MINUTE;
    let in_order = [event("a", 0), event("b", later), event("c", later + 2), event("d", 2 * later)];
    let mut swapped = in_order.clone();
    swapped.swap(1, 2);
    for events in [in_order, swapped] {
        for is_restarted in [false, true] {
            let mut stream = Stream::with(&rule("cluster", title), settings());
            stream.send_all(&events[..3]);
            if is_restarted {
                stream.restart();
            }
            assert_eq!(
                last(&mut stream, &events[3..]).title,
                "4 in a and 3 others, last by d in d from d of a, b, c, d, in 8m"
            );
        }
    }
}

#[test]
fn a_name_makes_no_link_html_or_code_in_the_message() {
    let hostile = "[c](http://evil) <b> `id` a_b \\[x";
    let rule = rule("cluster", "{{@user.username}}");
    let rule =
        rule.replace("title: '{{@", "message: '{{@user.username}} and {{users}}'\n  title: '{{@");
    let events: Vec<TimedEvent> = (0..3)
        .map(|at| {
            event_at(at, &json!({"user.username": hostile, "objectRef.name": format!("rp-{at}")}))
        })
        .collect();
    let spec = last(&mut Stream::new(&rule), &events);
    let escaped = r"\[c](http://evil) \<b> \`id\` a_b \\\[x";
    assert_eq!(spec.message, format!("{escaped} and {escaped}"));
    assert_eq!(spec.title, hostile, "the title is plain text");
}

#[test]
fn the_newest_event_is_shown_although_its_window_keeps_no_more_details() {
    let rule = rule("cluster", "last {{@objectRef.name}}").replace("gte: 3", "gte: 100");
    let events: Vec<TimedEvent> =
        (0..100).map(|at| delete("mallory", &format!("rp-{at}"), at)).collect();
    assert_eq!(last(&mut Stream::new(&rule), &events).title, "last rp-99");
}

#[test]
fn a_coarser_group_names_no_single_user_for_the_events_of_all() {
    let limits = Limits { groups_per_rule: 8, ..Limits::default() };
    let settings = || Settings { limits, ..Settings::default() };
    let title = "{{@user.username}} deleted {{targets_count}} objects of {{@objectRef.namespace}}";
    let events: Vec<TimedEvent> = (0..108)
        .map(|at| delete(&format!("u{at}"), &format!("rp-{at}"), i64::from(at) * SECOND))
        .collect();
    for (rule, title) in [
        (rule("user.username", title), "u8 and 99 others deleted 100 objects of shop"),
        (FIVE_DELETES.to_owned(), "u8 and 99 others deleted 100 restorepoints in namespace shop"),
    ] {
        let mut stream = Stream::with(&rule, settings());
        stream.send_all(&events);
        stream.advance(DAY);
        let mut of_rule =
            stream.changes.iter().filter(|change| change.signal.spec.rule.id == "many");
        let spec = &of_rule.next_back().unwrap().signal.spec;
        assert_eq!(spec.title.strip_suffix(" of cluster prod-eu").unwrap_or(&spec.title), title);
        assert_eq!(spec.actor.users.len(), 10);
    }
}

#[test]
fn an_event_with_long_fields_is_evidence_and_has_texts() {
    let long = "x".repeat(20_000);
    let check = |changes: Value, evidence_events: usize| {
        let mut events: Vec<TimedEvent> = Vec::new();
        for at in 0..3_i64 {
            let mut changes = changes.clone();
            changes["auditID"] = json!(at.to_string());
            events.push(event_at(at * SECOND, &changes));
        }
        let rule = rule("user.username", "{{@user.username}} {{@verb}} {{@objectRef.resource}}");
        let spec = last(&mut Stream::new(&rule), &events);
        assert_eq!(spec.title, "Alice delete restorepoints", "{changes:.80}");
        assert_eq!(spec.evidence.events.len(), evidence_events, "{changes:.80}");
        for event in &spec.evidence.events {
            assert!(event.get().contains(r#""username":"Alice""#));
            assert!(event.get().contains("keepwatch.io/truncated"));
        }
    };
    check(json!({"requestURI": format!("/{long}")}), 3);
    check(json!({"userAgent": long}), 3);
    check(json!({"user.groups": vec![long.clone(); 20]}), 3);
    check(json!({"user.extra": {"a": [long.clone()]}}), 3);
    check(json!({"annotations": {"a": long.clone()}}), 3);
    check(json!({"responseStatus": {"code": 200, "message": long.clone()}}), 3);
    check(json!({"sourceIPs": vec![long; 20]}), 3);
    // Each of these characters needs six bytes: the event is too long in any case.
    let escaped = "\u{1}".repeat(20_000);
    let groups = vec![escaped.clone(); 20];
    check(json!({"requestURI": escaped, "userAgent": escaped, "user.groups": groups}), 0);
}

#[test]
fn a_signal_after_the_maximum_duration_contains_the_events_that_met_its_threshold() {
    let title = "{{@user.username}} deleted {{targets_count}} restore points in {{duration}}";
    let rule = format!("{}  max-duration: 1d\n  keep-alive: 2h\n", rule("user.username", title));
    let mut stream = Stream::new(&rule);
    for at in 0..30 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at * HOUR));
        if at == 26 {
            stream.restart();
        }
    }
    let opened = stream.changes.iter().filter(|change| change.kind == detect::ChangeKind::Opened);
    let signals: Vec<_> = opened
        .map(|change| {
            let spec = &change.signal.spec;
            (spec.count, spec.evidence.audit_ids.len(), spec.title.as_str())
        })
        .collect();
    // The window keeps as many events as the threshold needs.
    assert_eq!(
        signals,
        [
            (3, 3, "mallory deleted 3 restore points in 2h"),
            (3, 3, "mallory deleted 3 restore points in 2h"),
        ]
    );
}

#[test]
fn a_create_without_a_name_counts_as_an_object_of_its_own() {
    let rule = rule("cluster", "{{targets_count}}").replace("verb: delete", "verb: create");
    let create = |at: i64, name: &str| {
        let id = at.to_string();
        event_at(at, &json!({"verb": "create", "auditID": id, "objectRef.name": name}))
    };
    let events = [create(0, ""), create(1, ""), create(2, "a"), create(MINUTE, "a")];
    let spec = last(&mut Stream::new(&rule), &events);
    assert_eq!((spec.title.as_str(), spec.targets.count), ("3", 3));
    assert_eq!(spec.targets.items.len(), 2, "without and with a name");
}
