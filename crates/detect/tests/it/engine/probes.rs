//! Attacks on the detector: out-of-order events, duplicates, floods and forged timestamps must not
//! hide events.

use detect::Settings;
use detect::engine::Limits;
use serde_json::json;

use super::stream::{
    DAY, FIVE_DELETES, HOUR, MINUTE, SECOND, Stream, TimedEvent, delete, event_at, of_files,
};

/// `count` deletes by mallory, one second apart. The first one is `from` microseconds after the
/// start.
fn deletes(count: i64, from: i64) -> Vec<TimedEvent> {
    (0..count).map(|at| delete("mallory", &format!("rp-{at}"), from + at * SECOND)).collect()
}

#[test]
fn a_late_event_of_another_hour_does_not_complete_a_window() {
    let mut stream = Stream::new(FIVE_DELETES);
    stream.send_all(&deletes(4, 3 * HOUR));
    stream.send(&delete("mallory", "old", 0).arriving_at(3 * HOUR + MINUTE));
    assert_eq!(stream.take_changes(), [""; 0]);
    stream.send(&delete("mallory", "new", 3 * HOUR + 2 * MINUTE));
    assert_eq!(stream.take_changes(), ["opened many 5"]);
}

#[test]
fn a_future_timestamp_does_not_disable_a_rule_and_is_reported() {
    for settings in [Settings::default(), of_files()] {
        let mut stream = Stream::with(FIVE_DELETES, settings);
        stream.send_all(&deletes(4, 0));
        let forged = delete("mallory", "forged", 4 * 365 * DAY);
        // With the settings for files, an arrival more than a day ahead waits for confirmation.
        let arrival = if stream.settings.lateness.is_zero() { 5 * SECOND } else { 2 * DAY };
        stream.send(&forged.arriving_at(arrival));
        stream.send(&delete("mallory", "last", 6 * SECOND));
        stream.finish();
        assert_eq!(stream.opened("many"), 1, "{:?}", stream.take_changes());
        assert_eq!(stream.opened("keepwatch-clock-skew"), 1);
        assert_eq!(stream.engine.engine_statistics().clamped, 1);
    }
}

#[test]
fn after_a_forged_timestamp_slow_deletes_raise_nothing() {
    let mut stream = Stream::with(FIVE_DELETES, of_files());
    stream.send_all(&deletes(2, 0));
    stream.send(&delete("mallory", "forged", 4 * 365 * DAY));
    for day in 0..8 {
        stream.send(&delete("mallory", &format!("slow-{day}"), HOUR + day * DAY));
    }
    stream.finish();
    assert_eq!(stream.opened("many"), 0);
    assert!(stream.engine.statistics().iter().all(|rule| rule.groups <= 1));
}

#[test]
fn a_forged_first_timestamp_does_not_set_the_clock() {
    let mut stream = Stream::with(FIVE_DELETES, of_files());
    stream.send(&delete("mallory", "forged", 4 * 365 * DAY));
    stream.send_all(&deletes(5, 0));
    stream.finish();
    assert_eq!(stream.opened("many"), 1);
    let closed_early =
        stream.changes.iter().any(|change| change.kind == detect::ChangeKind::Closed);
    assert!(!closed_early, "{:?}", stream.take_changes());
}

#[test]
fn order_is_compared_in_microseconds() {
    const READ_THEN_DELETE: &str = "title: Read\nname: read\ndetection:\n  s: {verb: get}\n  \
        condition: s\n---\ntitle: Delete\nname: delete\ndetection:\n  s: {verb: delete}\n  condition: s\n\
        ---\ntitle: Read, then deleted\nid: chain\ncorrelation:\n  type: temporal_ordered\n  \
        rules: [read, delete]\n  group-by: [user.username]\n  timespan: 10m\n";
    let check = |read: i64, deleted: i64, expected: usize| {
        for swapped in [false, true] {
            let mut both =
                [event_at(read, &json!({"verb": "get"})), delete("Alice", "rp-7", deleted)];
            if swapped {
                both.swap(0, 1);
            }
            let mut stream = Stream::with(READ_THEN_DELETE, of_files());
            stream.send_all(&both);
            stream.finish();
            assert_eq!(stream.opened("chain"), expected, "{read} {deleted} {swapped}");
        }
    };
    check(800_000, 0, 0);
    check(0, 800_000, 1);
    check(1, 0, 0);
    check(0, 1, 1);
    check(0, 0, 1);
    check(0, 10 * MINUTE, 0);
    check(0, 10 * MINUTE - 1, 1);
}

#[test]
fn a_rule_can_test_an_annotation_whose_key_has_dots() {
    let rule = "title: t\nid: t\ndetection:\n  s:\n    \
        'annotations[\"authorization.k8s.io/decision\"]': forbid\n  condition: s\n";
    let mut stream = Stream::new(rule);
    stream.send(&delete("mallory", "rp", 0));
    assert_eq!(stream.take_changes(), [""; 0]);
    stream.send(&event_at(1, &json!({"annotations": {"authorization.k8s.io/decision": "forbid"}})));
    assert_eq!(stream.take_changes(), ["opened t 1"]);
}

#[test]
fn a_rule_that_a_correlation_counts_raises_nothing_itself() {
    let mut stream = Stream::new(FIVE_DELETES);
    stream.send_all(&deletes(5, 0));
    assert_eq!(stream.opened("a"), 0);
    assert_eq!(stream.opened("many"), 1);
}

#[test]
fn an_event_that_is_delivered_five_times_counts_once() {
    let mut stream = Stream::new(FIVE_DELETES);
    for _ in 0..5 {
        stream.send(&delete("mallory", "rp", 0));
    }
    assert_eq!(stream.take_changes(), [""; 0]);
    assert_eq!(stream.engine.engine_statistics().duplicates, 4);
    assert_eq!(stream.matches(), []);
}

/// The documented bound: identities are remembered for a day, and a late event is not refused,
/// because an attacker could delay it.
#[test]
fn duplicates_after_more_than_a_day_open_a_signal_of_the_same_name() {
    let rule = "title: A delete\nid: one\ndetection:\n  s: {verb: delete}\n  condition: s\n";
    let mut stream = Stream::new(rule);
    let again = |after: i64| deletes(5, 0).into_iter().map(move |event| event.arriving_at(after));
    stream.send_all(&deletes(5, 0));
    stream.advance(2 * HOUR);
    let id = stream.changes[0].signal.id.clone();
    assert_eq!(stream.take_changes().last().unwrap(), "closed one 5");
    stream.send_all(&again(DAY - HOUR).collect::<Vec<_>>());
    assert_eq!(stream.take_changes(), [""; 0], "within a day, duplicates are dropped");
    stream.send_all(&again(DAY + HOUR).take(1).collect::<Vec<_>>());
    assert_eq!(stream.opened("one"), 1);
    assert!(stream.changes.iter().all(|change| change.signal.id == id));
}

#[test]
fn a_reused_audit_id_does_not_hide_requests() {
    let mut stream = Stream::new(FIVE_DELETES);
    for at in 0..5 {
        let name = format!("rp-{at}");
        stream.send(&event_at(at * SECOND, &json!({"auditID": "same", "objectRef.name": name})));
    }
    assert_eq!(stream.take_changes(), ["opened many 5"]);
}

#[test]
fn a_storm_is_one_signal() {
    let mut stream = Stream::new(FIVE_DELETES);
    stream.send_all(&deletes(59, 0));
    assert_eq!(stream.opened("many"), 1);
    assert_eq!(stream.changes.first().unwrap().signal.id, stream.changes.last().unwrap().signal.id);
    stream.advance(2 * HOUR);
    assert_eq!(stream.take_changes().last().unwrap(), "closed many 59");
}

#[test]
fn events_without_a_group_by_value_are_not_counted_together() {
    let rule = FIVE_DELETES.replace("user.username", "objectRef.namespace");
    let mut stream = Stream::new(&rule);
    for at in 0..9 {
        let name = format!("rp-{at}");
        stream.send(&event_at(at, &json!({"objectRef.namespace": "", "objectRef.name": name})));
    }
    assert_eq!(stream.take_changes(), [""; 0]);
}

#[test]
fn each_value_of_a_list_can_be_a_group() {
    let rule = FIVE_DELETES.replace("user.username", "user.groups");
    let mut stream = Stream::new(&rule);
    for at in 0..5 {
        let own = format!("team-{at}");
        stream.send(&event_at(at, &json!({"user.groups": [own, "contractors"]})));
    }
    assert_eq!(stream.take_changes(), ["opened many 5"]);
    stream.advance(2 * HOUR);
    let closed = stream.changes.first().unwrap();
    assert_eq!(closed.signal.spec.group_by.first().unwrap().value, "contractors");
}

#[test]
fn an_absence_is_detected_by_a_timer() {
    let rule = "title: Beat\nname: beat\ndetection:\n  s: {verb: heartbeat}\n  condition: s\n---\n\
        title: Silence\nid: silence\nlevel: high\ncorrelation:\n  type: event_count\n  rules: [beat]\n  \
        group-by: [cluster]\n  timespan: 5m\n  condition: {lt: 1}\n";
    let heartbeat = |after| event_at(after, &json!({"verb": "heartbeat"}));
    let mut stream = Stream::new(rule);
    stream.send_all(&[heartbeat(0), heartbeat(MINUTE), heartbeat(4 * MINUTE)]);
    stream.advance(9 * MINUTE - 1);
    assert_eq!(stream.take_changes(), [""; 0], "the first event does not raise");
    stream.advance(30 * MINUTE);
    let opened = stream.changes.first().unwrap().clone();
    assert_eq!(opened.at.as_micros() - super::stream::START, 9 * MINUTE, "when it was due");
    assert_eq!(stream.take_changes(), ["opened silence 1"]);
    stream.send(&heartbeat(40 * MINUTE));
    assert_eq!(stream.take_changes(), ["closed silence 1"]);
    stream.restart();
    stream.advance(46 * MINUTE);
    assert_eq!(stream.take_changes(), ["opened silence 1"]);
}

#[test]
fn a_flood_of_identities_does_not_reset_a_counter() {
    let limits = Limits { groups_per_rule: 100, ..Limits::default() };
    let mut stream = Stream::with(FIVE_DELETES, Settings { limits, ..Settings::default() });
    stream.send_all(&deletes(4, 0));
    for at in 0..1100 {
        let user = format!("flood-{at}");
        stream.send(&event_at(MINUTE + at, &json!({"user.username": user, "verb": "delete"})));
    }
    assert_eq!(stream.opened("keepwatch-state-pressure"), 1);
    let before = stream.opened("many");
    stream.send(&delete("mallory", "fifth", 2 * MINUTE));
    assert_eq!(stream.opened("many"), before + 1);
    let signal =
        &stream.changes.iter().rfind(|change| change.signal.spec.rule.id == "many").unwrap().signal;
    assert_eq!(signal.spec.actor.username, "mallory");
    assert!(stream.engine.statistics().iter().all(|rule| rule.groups <= 113));
}

#[test]
fn an_ordered_correlation_costs_one_step_per_event() {
    let base = |verb| {
        format!(
            "title: {verb}\nname: {verb}\ndetection:\n  s: {{verb: {verb}}}\n  condition: s\n---\n"
        )
    };
    let verbs = ["get", "list", "update", "delete"];
    let rule = verbs.map(base).concat()
        + "title: Chain\nid: chain\ncorrelation:\n  type: temporal_ordered\n  \
           rules: [get, list, update, delete]\n  group-by: [user.username]\n  timespan: 1h\n";
    let mut stream = Stream::new(&rule);
    // Thousands of events of each rule in reverse order: a search through all combinations would
    // take too long.
    for (round, verb) in (0..).zip(verbs.iter().rev()) {
        for at in 0..2000 {
            let name = format!("rp-{at}");
            let after = round * MINUTE + at;
            stream.send(&event_at(after, &json!({"verb": verb, "objectRef.name": name})));
        }
    }
    assert_eq!(stream.take_changes(), [""; 0]);
    for (at, verb) in (0..).zip(&verbs[1..]) {
        stream.send(&event_at(5 * MINUTE + at, &json!({"verb": verb})));
    }
    assert_eq!(stream.opened("chain"), 1);
}

#[test]
fn thousands_of_distinct_values_are_counted_quickly() {
    let rule = FIVE_DELETES
        .replace("event_count", "value_count")
        .replace("{gte: 5}", "{field: objectRef.name, gte: 4000}");
    let mut stream = Stream::new(&rule);
    for at in 0..3_999 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at));
        // A known value does not change the count.
        stream.send(&delete("mallory", "rp-0", at));
    }
    assert_eq!(stream.take_changes(), [""; 0]);
    stream.send(&delete("mallory", "rp-last", 4_000));
    assert_eq!(stream.opened("many"), 1);
}

#[test]
fn a_filter_can_reference_a_rule_by_its_name() {
    let rule = format!(
        "{FIVE_DELETES}---\ntitle: Not the robot\nfilter:\n  rules: [a]\n  \
         robot: {{user.username: robot}}\n  condition: not robot\n"
    );
    let mut stream = Stream::new(&rule);
    for at in 0..9 {
        stream.send(&delete("robot", &format!("rp-{at}"), at));
    }
    assert_eq!(stream.take_changes(), [""; 0]);
    stream.send_all(&deletes(5, MINUTE));
    assert_eq!(stream.take_changes(), ["opened many 5"]);
}

#[test]
fn events_a_year_apart_do_not_count_together() {
    for settings in [Settings::default(), of_files()] {
        let mut stream = Stream::with(FIVE_DELETES, settings);
        for year in 0..9 {
            stream.send(&delete("mallory", &format!("rp-{year}"), year * 365 * DAY));
        }
        stream.finish();
        assert_eq!(stream.opened("many"), 0);
        assert_eq!(stream.engine.engine_statistics().clamped, 0);
    }
}

#[test]
fn a_correlation_can_reference_a_rule_without_an_id_by_its_name() {
    assert!(!FIVE_DELETES.split("---").next().unwrap().contains("id:"));
    let mut stream = Stream::new(FIVE_DELETES);
    stream.send_all(&deletes(5, 0));
    assert_eq!(stream.take_changes(), ["opened many 5"]);
}
