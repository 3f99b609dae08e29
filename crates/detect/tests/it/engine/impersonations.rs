//! Requests with an impersonated user, which one source reports with the person behind it and another
//! without.

use detect::{ChangeKind, Settings, Suppression};
use event::SignalSpec;
use serde_json::json;

use super::stream::{DAY, FIVE_DELETES, MINUTE, SECOND, Stream, TimedEvent, event_at};

const MILLI: i64 = 1000;

/// The delete of an object as `user`, from kube-apiserver's log if `person` is not empty.
fn delete(audit_id: &str, (person, user): (&str, &str), name: &str, after: i64) -> TimedEvent {
    let mut changes = json!({"auditID": audit_id, "objectRef.name": name, "user.username": user});
    if person.is_empty() {
        return TimedEvent { source: "journal", ..event_at(after, &changes) };
    }
    changes["user.username"] = json!(person);
    changes["impersonatedUser"] = json!({"username": user});
    TimedEvent { source: "kube", ..event_at(after, &changes) }
}

/// Both events of a number of deletes as each of these users, one second apart.
fn deletes_as(users: &[&str], each: i64) -> Vec<TimedEvent> {
    let mut events = Vec::new();
    for at in 0..each {
        for (index, user) in (0..).zip(users) {
            let (id, name) = (format!("{user}-{at}"), format!("rp-{user}-{at}"));
            let after = at * SECOND + index * 10 * MILLI;
            events.push(delete(&id, ("", user), &name, after));
            events.push(delete(&id, ("mallory", user), &name, after + 3 * MILLI));
        }
    }
    events
}

/// The last state of each signal.
fn signals(stream: &mut Stream, events: &[TimedEvent]) -> Vec<SignalSpec> {
    for (at, event) in events.iter().enumerate() {
        stream.send(event);
        if at % 3 == 0 {
            stream.restart();
        }
    }
    stream.advance(DAY);
    let closed = stream.changes.iter().filter(|change| change.kind == ChangeKind::Closed);
    closed.map(|change| change.signal.spec.clone()).collect()
}

/// Regression: the request counted once for the person and once for the impersonated user.
#[test]
fn deletes_as_another_user_in_two_logs_are_one_signal_that_names_the_person() {
    let check = |gte: u64, events: &[TimedEvent], expected: &[(&str, &str, u64)]| {
        let mut stream = Stream::new(&FIVE_DELETES.replace("gte: 5", &format!("gte: {gte}")));
        let actual = signals(&mut stream, events);
        let short = |signal: &SignalSpec| {
            let actor = &signal.actor;
            (actor.username.clone(), actor.impersonated_by.clone(), signal.count)
        };
        let expected: Vec<_> = expected
            .iter()
            .map(|(user, by, count)| ((*user).to_owned(), (*by).to_owned(), *count))
            .collect();
        assert_eq!(actual.iter().map(short).collect::<Vec<_>>(), expected, "{gte} {events:?}");
    };
    check(1, &deletes_as(&["victim"], 1), &[("victim", "mallory", 1)]);
    check(1, &deletes_as(&["victim"], 7), &[("victim", "mallory", 7)]);
    check(5, &deletes_as(&["victim"], 4), &[]);
    check(5, &deletes_as(&["victim"], 7), &[("victim", "mallory", 7)]);
    // kube-apiserver's event is first.
    let mut reversed = deletes_as(&["victim"], 3);
    for pair in reversed.chunks_exact_mut(2) {
        let [own, other] = pair else { unreachable!() };
        std::mem::swap(&mut own.event.stage_timestamp, &mut other.event.stage_timestamp);
        pair.reverse();
    }
    check(1, &reversed, &[("victim", "mallory", 3)]);
    // Spread over users, none of whom reaches the threshold: the signal is the person's.
    check(5, &deletes_as(&["a", "b", "c"], 2), &[("", "mallory", 6)]);
    // Only one log has them.
    let is_kube = |event: &TimedEvent| event.source == "kube";
    let (kube, own): (Vec<TimedEvent>, Vec<TimedEvent>) =
        deletes_as(&["victim"], 6).into_iter().partition(is_kube);
    check(5, &kube, &[("victim", "mallory", 6)]);
    check(5, &own, &[("victim", "", 6)]);
}

#[test]
fn an_event_of_another_request_counts_although_the_audit_id_is_reused() {
    let check = |events: &[TimedEvent], expected: &[u64]| {
        let mut stream = Stream::new(&FIVE_DELETES.replace("gte: 5", "gte: 1"));
        let counts: Vec<u64> =
            signals(&mut stream, events).iter().map(|signal| signal.count).collect();
        assert_eq!(counts, expected, "{events:?}");
    };
    let own = |after: i64| delete("a", ("", "victim"), "rp-1", after * MILLI);
    let kube = |after: i64| delete("a", ("mallory", "victim"), "rp-1", after * MILLI);
    check(&[own(0), kube(3)], &[1]);
    // As many as the other log has are the same requests.
    check(&[own(0), own(1), kube(3), kube(4)], &[2]);
    check(&[own(0), kube(3), kube(4), kube(5)], &[1, 2]);
    // Another object, user, time, or the same source.
    check(&[own(0), delete("a", ("mallory", "victim"), "rp-2", 3)], &[1, 1]);
    check(&[own(0), delete("a", ("mallory", "other"), "rp-1", 3)], &[1, 1]);
    check(&[own(0), kube(6000)], &[1, 1]);
    check(&[own(0), TimedEvent { source: "journal", ..kube(3) }], &[1, 1]);
    // Two persons as one user.
    check(
        &[kube(0), TimedEvent { source: "other", ..delete("a", ("eve", "victim"), "rp-1", 3) }],
        &[1, 1],
    );
}

/// A suppression for the impersonated user says nothing about the person.
#[test]
fn a_suppression_of_the_impersonated_user_does_not_hide_the_person() {
    let mut stream = Stream::with(&FIVE_DELETES.replace("gte: 5", "gte: 1"), Settings::default());
    let matcher = json!({"s": {"user.username": "victim"}, "condition": "s"});
    let events = detect::EventMatcher::parse("t", &matcher, stream.rules.options()).unwrap();
    stream.engine.set_suppressions(std::sync::Arc::from([Suppression {
        name: "maintenance".to_owned(),
        rules: Vec::new(),
        events: Some(events),
        expires: None,
    }]));
    stream.send_all(&deletes_as(&["victim"], 3));
    stream.advance(MINUTE);
    let actors: Vec<_> = stream
        .changes
        .iter()
        .map(|change| change.signal.spec.actor.impersonated_by.clone())
        .collect();
    assert_eq!(actors, ["mallory"; 3]);
}

/// Regression: each user's signal contained the events, so that the person's severity was never
/// reached.
#[test]
fn a_person_who_spreads_deletes_over_users_reaches_the_severity_of_all_of_them() {
    let rule = format!(
        "{FIVE_DELETES}keepwatch:\n  cases: [{{name: very many, severity: critical, at-least: 15}}]\n"
    );
    let mut events = deletes_as(&["a", "b", "c"], 10);
    let actual = |events: &[TimedEvent]| {
        let mut by_user: Vec<_> = signals(&mut Stream::new(&rule), events)
            .iter()
            .map(|signal| {
                (signal.severity.as_str(), signal.count, signal.actor.impersonated_by.clone())
            })
            .collect();
        by_user.sort();
        by_user
    };
    let mallory = "mallory".to_owned();
    let expected = |count| ("critical", count, mallory.clone());
    assert!(actual(&events).contains(&expected(30)), "{:?}", actual(&events));
    // kube-apiserver's events come after all others.
    events.sort_by_key(|event| event.source == "kube");
    assert!(actual(&events).contains(&expected(30)), "{:?}", actual(&events));
}

/// Regression: the event was dropped because of the signal of a superseding rule, which then did not
/// name the person.
#[test]
fn the_signal_of_a_superseding_rule_names_the_person() {
    let rules = "title: With a body\nid: with\nname: with\ndetection:\n  \
        s: {requestObject|exists: true}\n  condition: s\nkeepwatch: {supersedes: [without]}\n---\n\
        title: Without a body\nid: without\nname: without\ndetection:\n  \
        s: {verb: delete, requestObject|exists: false}\n  condition: s\n";
    let mut events = deletes_as(&["victim"], 1);
    events[0].event.request_object = Some(event::Json::serialize(&json!({"a": 1})).unwrap());
    let actual = signals(&mut Stream::new(rules), &events);
    let short: Vec<_> = actual
        .iter()
        .map(|signal| (signal.rule.id.as_str(), signal.actor.impersonated_by.as_str()))
        .collect();
    assert_eq!(short, [("with", "mallory")]);
}

/// Regression: a rule about all users reached its threshold with half of the requests.
#[test]
fn a_request_counts_once_in_a_group_that_both_events_have() {
    let check = |rule: &str, events: &[TimedEvent], expected: &[(u64, &str)]| {
        let actual = signals(&mut Stream::new(rule), events);
        let short: Vec<_> = actual
            .iter()
            .map(|signal| (signal.count, signal.actor.impersonated_by.as_str()))
            .collect();
        assert_eq!(short, expected, "{events:?}");
    };
    let all = FIVE_DELETES.replace("group-by: [user.username]", "group-by: [cluster]");
    check(&all, &deletes_as(&["victim"], 4), &[]);
    check(&all, &deletes_as(&["victim"], 5), &[(5, "mallory")]);
    check(&all, &deletes_as(&["a", "b"], 3), &[(6, "mallory")]);
}
