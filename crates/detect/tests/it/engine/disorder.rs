//! Any order of arrival within the lateness bound, duplicates and restarts give the same signals.

use std::sync::{Arc, LazyLock};

use detect::engine::Arrival;
use detect::{ChangeKind, RuleSet, Settings, SignalChange};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::support::load;
use super::stream::{
    FIVE_DELETES, HOUR, MINUTE, SECOND, Stream, TimedEvent, bytes, delete, event_at, of_files,
};

/// One rule of each kind.
const RULES: &str = "\
title: A delete\nname: a\nlevel: low\ndetection:\n  s: {verb: delete}\n  condition: s\n\
keepwatch:\n  query: deletes\n  group-by: [user.username]\n  keep-alive: 5m\n  max-duration: 30m\n  \
cases:\n    - {name: many, severity: critical, at-least: 6}\n    - {name: some, severity: high, at-least: 3}\n  \
message: '{{@User.username}} {{events_matched}} {{#is_match \"severity\" \"critical\"}}!{{/is_match}}'\n---\n\
title: A read\nname: r\ndetection:\n  s: {verb: get}\n  condition: s\n---\n\
title: Many\nid: many\nlevel: high\ncorrelation:\n  type: event_count\n  rules: [a, r]\n  \
group-by: [user.username]\n  timespan: 2m\n  generate: true\n  condition: {gte: 4}\n\
keepwatch: {keep-alive: 3m, supersedes: [few]}\n---\n\
title: Few\nid: few\ncorrelation:\n  type: event_count\n  rules: [a, r]\n  group-by: [user.username]\n  \
timespan: 2m\n  generate: true\n  condition: {gte: 2}\nkeepwatch: {keep-alive: 2m}\n---\n\
title: Values\nid: values\ncorrelation:\n  type: value_count\n  rules: [a]\n  group-by: [objectRef.namespace]\n  \
timespan: 3m\n  generate: true\n  condition: {field: objectRef.name, gte: 3}\n---\n\
title: Both\nid: both\ncorrelation:\n  type: temporal\n  rules: [a, r]\n  group-by: [user.username]\n  \
timespan: 1m\n  generate: true\n---\n\
title: Chain\nid: chain\ncorrelation:\n  type: temporal_ordered\n  rules: [r, a]\n  \
group-by: [user.username]\n  timespan: 1m\n  generate: true\n---\n\
title: New\nid: new\ndetection:\n  s: {verb: get}\n  condition: s\nkeepwatch:\n  \
first-seen: {fields: [user.username], learning: 2m, forget-after: 10m}\n---\n\
title: Quiet\nid: quiet\ncorrelation:\n  type: event_count\n  rules: [r]\n  group-by: [user.username]\n  \
timespan: 4m\n  generate: true\n  condition: {lt: 1}\n";

/// An event, its delay, and the number of its duplicates.
type Part = (TimedEvent, i64, i64);

fn event() -> impl Strategy<Value = Part> {
    let time = prop_oneof![
        (0..40_i64).prop_map(|minutes| minutes * 30 * SECOND),
        0..20 * MINUTE,
        // Close together, so that windows fill.
        (0..40_i64).prop_map(|at| 10 * MINUTE + at * SECOND),
    ];
    (time, 0..3_u8, any::<bool>(), 0..5_u8, 0..2_u8, 0..=5 * MINUTE, 0..3_i64).prop_map(
        |(time, user, is_delete, name, namespace, delay, repeated)| {
            let verb = if is_delete { "delete" } else { "get" };
            let event = event_at(
                time,
                &json!({
                    "user.username": format!("user-{user}"),
                    "verb": verb,
                    "objectRef.name": format!("rp-{name}"),
                    "objectRef.namespace": format!("ns-{namespace}"),
                    "requestURI": format!("/{user}{verb}{name}{namespace}"),
                }),
            );
            (event, delay, (repeated - 1).max(0))
        },
    )
}

/// All changes of signals for events in order of arrival, until an hour after the last event.
fn play(settings: &Settings, order: &[TimedEvent], cut: Option<usize>) -> String {
    static LOADED: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(load(RULES)));
    let mut stream = Stream::of(Arc::clone(&LOADED), settings.clone());
    for (index, timed) in order.iter().enumerate() {
        if cut == Some(index) {
            stream.restart();
        }
        stream.send(timed);
    }
    stream.finish();
    stream.advance(2 * HOUR);
    bytes(&stream.changes)
}

fn in_order(parts: &[Part]) -> Vec<TimedEvent> {
    let mut order: Vec<TimedEvent> = parts.iter().map(|(timed, ..)| timed.clone()).collect();
    order.sort_by_key(|timed| timed.arrival);
    order
}

/// In order of arrival: each event with its delay, and duplicates later.
fn disordered(parts: &[Part]) -> Vec<TimedEvent> {
    let mut order: Vec<(i64, &TimedEvent)> = Vec::new();
    for (timed, delay, repeated) in parts {
        for time in 0..=*repeated {
            order.push((timed.arrival + delay + 7 * MINUTE * time, timed));
        }
    }
    order.sort_by_key(|(at, _)| *at);
    order.into_iter().map(|(_, timed)| timed.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_duplicates_make_no_difference(parts in prop::collection::vec(event(), 1..60)) {
        let expected = play(&of_files(), &in_order(&parts), None);
        prop_assert_eq!(play(&of_files(), &disordered(&parts), None), expected);
    }

    #[test]
    fn a_restart_at_any_event_makes_no_difference(
        parts in prop::collection::vec(event(), 1..60),
        cut in any::<prop::sample::Index>(),
        is_observed in any::<bool>(),
    ) {
        let settings = if is_observed { Settings::default() } else { of_files() };
        let order = disordered(&parts);
        let expected = play(&settings, &order, None);
        prop_assert_eq!(play(&settings, &order, Some(cut.index(order.len()))), expected);
    }
}

#[test]
fn the_rules_of_these_tests_all_match() {
    let mut order = Vec::new();
    for round in 0..4_i64 {
        for at in 0..8 {
            let verb = if at % 2 == 0 { "get" } else { "delete" };
            order.push(event_at(
                round * 5 * MINUTE + at * SECOND,
                &json!({
                    "user.username": format!("user-{round}"), "verb": verb,
                    "objectRef.name": format!("rp-{at}"),
                }),
            ));
        }
    }
    let changes = play(&of_files(), &order, None);
    for rule in ["a", "many", "few", "values", "both", "chain", "new", "quiet"] {
        let opened = format!("\"rule\":{{\"id\":\"{rule}\"");
        // A rule that another one counts and supersedes may raise no signal.
        assert!(changes.contains(&opened) || rule == "a", "{rule}: {changes}");
    }
}

#[test]
fn an_event_beyond_the_lateness_bound_counts_at_its_own_time_and_is_reported_as_late() {
    let mut stream = Stream::with(FIVE_DELETES, of_files());
    for at in 0..4 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at * SECOND));
    }
    // Three events confirm the jump.
    for user in ["other", "another", "third"] {
        stream.send(&delete(user, "rp", 20 * MINUTE));
    }
    assert_eq!(stream.opened("many"), 0);
    // Its window ended long ago, but is still kept: the horizon is the time span plus the lateness
    // bound.
    stream.send(&delete("other", "rp-2", 14 * MINUTE));
    stream.send(&delete("mallory", "late", 2 * SECOND));
    stream.finish();
    assert_eq!(stream.engine.engine_statistics().late, 2);
}

/// A backlog of an hour, such as the older of two files or a source that was away.
#[test]
fn events_that_all_come_too_late_still_count_together() {
    let unordered = Settings { arrival: Arrival::Stamped, ..Settings::default() };
    for settings in [of_files(), unordered] {
        for is_restarted in [false, true] {
            check_backlog(&settings, is_restarted);
        }
    }
}

fn check_backlog(settings: &Settings, is_restarted: bool) {
    let mut stream = Stream::with(FIVE_DELETES, settings.clone());
    stream.send_all(&[2, 1, 0].map(|at| delete("other", &format!("rp-{at}"), HOUR - at)));
    for at in 0..6 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at * MINUTE));
        // The clock goes on meanwhile.
        stream.send(&delete("other", &format!("rp-{at}"), HOUR + at * SECOND));
        if is_restarted {
            stream.restart();
        }
    }
    let check_last = |stream: &Stream, kind: ChangeKind| {
        let own = |change: &&SignalChange| change.signal.spec.actor.username == "mallory";
        let last = stream.changes.iter().rfind(own).unwrap();
        assert_eq!((last.kind, last.signal.spec.count), (kind, 6));
    };
    stream.advance(HOUR + 10 * MINUTE);
    assert_eq!(stream.opened("many"), 2);
    check_last(&stream, ChangeKind::Updated);
    stream.advance(3 * HOUR);
    check_last(&stream, ChangeKind::Closed);
    // Its state is removed when the backlog is over.
    assert_eq!(stream.engine.engine_statistics().state_bytes, 0);
}

#[test]
fn a_late_event_completes_a_window_that_ended_after_it() {
    let mut stream = Stream::new(FIVE_DELETES);
    for at in [0, 1, 3, 4] {
        stream.send(&delete("mallory", &format!("rp-{at}"), at * MINUTE));
    }
    stream.send(&delete("mallory", "late", 2 * MINUTE).arriving_at(5 * MINUTE));
    assert_eq!(stream.opened("many"), 1);
    let signal = &stream.changes.first().unwrap().signal;
    assert_eq!(signal.spec.count, 5);
    assert_eq!(signal.spec.first_seen.as_micros(), super::stream::START);
}

#[test]
fn each_source_has_its_own_lateness_bound() {
    let mut settings = Settings::default();
    let minutes = |minutes| std::time::Duration::from_mins(minutes);
    settings.lateness_by_source.insert("webhook".to_owned(), minutes(5));
    let mut stream = Stream::with(FIVE_DELETES, settings);
    let webhook = |name: &str, at, arrival| TimedEvent {
        source: "webhook",
        ..delete("mallory", name, at).arriving_at(arrival)
    };
    // The four events of the webhook wait. Those of the journal do not.
    for at in 0..4 {
        stream.send(&webhook(&format!("rp-{at}"), at * SECOND, MINUTE));
    }
    assert_eq!(stream.engine.engine_statistics().waiting, 4);
    stream.send(&delete("mallory", "here", 2 * MINUTE));
    assert_eq!(stream.opened("many"), 0);
    stream.advance(5 * MINUTE + 3 * SECOND);
    assert_eq!(stream.opened("many"), 1);
    assert_eq!(stream.engine.engine_statistics().late, 0);
}

/// Updates, creations and reads, of which one verb is listed twice; and reads by any name.
const ORDERED: &str = "title: U\nname: u\ndetection:\n  s: {verb: update}\n  condition: s\n---\n\
    title: C\nname: c\ndetection:\n  s: {verb: create}\n  condition: s\n---\n\
    title: G\nname: g\ndetection:\n  s: {verb: get}\n  condition: s\n---\n\
    title: Of one name\nname: o\ndetection:\n  s: {verb: get, objectRef.name: one}\n  condition: s\n---\n\
    title: Four\nid: four\ncorrelation:\n  type: temporal_ordered\n  rules: [u, c, g, u]\n  \
    timespan: 1m\n---\n\
    title: Two\nid: two\ncorrelation:\n  type: temporal_ordered\n  rules: [g, o]\n  timespan: 1m\n";

/// Regression: the order of arrival decided, and some orders found nothing.
#[test]
fn events_of_one_time_are_in_order_in_any_order_of_arrival() {
    let check = |rule: &str, events: &[(i64, &str, &str)], expected: usize| {
        for run in 0..events.len() {
            let mut order = events.to_vec();
            order.rotate_left(run);
            for _ in 0..2 {
                order.reverse();
                let mut stream = Stream::with(ORDERED, of_files());
                for (at, verb, name) in &order {
                    let changes = json!({"verb": verb, "objectRef.name": name});
                    stream.send(&event_at(at * SECOND, &changes));
                }
                stream.finish();
                assert_eq!(stream.opened(rule), expected, "{order:?}");
            }
        }
    };
    let [start, create, get] = [(0, "update", "a"), (1, "create", "b"), (1, "get", "c")];
    check("four", &[start, create, get, (1, "update", "d")], 1);
    check("four", &[(1, "update", "a"), create, get, (1, "update", "d")], 1);
    check("four", &[(1, "update", "a"), create, get], 0);
    check("two", &[(1, "get", "one"), (1, "get", "other")], 1);
    check("two", &[(1, "get", "one")], 0);
    check("two", &[(1, "get", "one"), (2, "get", "other")], 0);
}

const MILLI: i64 = 1000;

#[test]
fn a_request_in_the_logs_of_two_sources_counts_once_and_a_reused_audit_id_hides_none() {
    let check = |events: &[(&'static str, &str, i64)], expected: u64| {
        let mut stream = Stream::new(&FIVE_DELETES.replace("gte: 5", "gte: 1"));
        for (at, (source, id, after)) in events.iter().enumerate() {
            let changes = json!({"auditID": id, "user.username": "mallory"});
            stream.send(&TimedEvent { source, ..event_at(*after, &changes) });
            if at == 0 {
                stream.restart();
            }
        }
        stream.advance(MINUTE);
        assert_eq!(stream.changes.last().unwrap().signal.spec.count, expected, "{events:?}");
    };
    check(&[("kube", "a", 0), ("k10", "a", 3 * MILLI)], 1);
    check(&[("k10", "a", 0), ("kube", "a", 2 * MILLI), ("webhook", "a", 4 * MILLI)], 1);
    check(&[("kube", "a", 0), ("k10", "b", 3 * MILLI)], 2);
    check(&[("kube", "a", 0), ("k10", "a", 6 * SECOND)], 2);
    check(&[("kube", "a", 0), ("kube", "a", 3 * MILLI)], 2);
    // Five requests that bypass kube-apiserver, with the audit ID of one that does not.
    let reused: Vec<_> = std::iter::once(("kube", "a", 0))
        .chain((1..=5).map(|at| ("k10", "a", at * MILLI)))
        .collect();
    check(&reused, 5);
}

/// kube-apiserver's own event names the record that the admission webhook made before.
#[test]
fn a_request_that_admission_and_an_audit_log_have_counts_once() {
    let rule =
        FIVE_DELETES.replace("gte: 5", "gte: 1").replace("verb: delete", "verb: [update, patch]");
    let check = |admitted: &Value, logged: &Value, expected: u64| {
        let mut stream = Stream::new(&rule);
        let changes = json!({"auditID": "u-1", "verb": "update", "stage": "RequestReceived",
            "responseStatus": null, "annotations": {"keepwatch.io/admission": "outcome unknown"}});
        let merged = |mut changes: Value, more: &Value| {
            for (key, value) in more.as_object().unwrap() {
                changes[key] = value.clone();
            }
            changes
        };
        let admitted = merged(changes, admitted);
        stream.send(&TimedEvent { source: "admission", ..event_at(0, &admitted) });
        let changes = json!({"auditID": "a-1", "verb": "patch",
            "annotations": {"admission.keepwatch.io/record": "u-1"}});
        let logged = merged(changes, logged);
        stream.send(&TimedEvent { source: "kube", ..event_at(3 * MILLI, &logged) });
        stream.advance(MINUTE);
        assert_eq!(stream.changes.last().unwrap().signal.spec.count, expected, "{logged}");
    };
    check(&json!({}), &json!({}), 1);
    check(&json!({}), &json!({"verb": "update"}), 1);
    check(&json!({"auditID": "u-2"}), &json!({}), 2);
    check(&json!({}), &json!({"annotations": {}}), 2);
    check(&json!({}), &json!({"objectRef.name": "other"}), 2);
}
