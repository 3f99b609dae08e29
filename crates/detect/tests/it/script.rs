//! A short notation for requests, which are run against all built-in rules at once.
//!
//! A line is one kind of request: start, number, user, verb, and object. Users are also `k10` and
//! `executor`, K10's accounts in earlier and later releases, and `namespaces`, Kubernetes'
//! namespace controller. `{n}` counts from 1; `{k}` counts from 1 to the number in `of=` and starts
//! again.

use std::collections::BTreeMap;
use std::sync::Arc;

use detect::engine::UPDATE_DELAY;
use detect::{Engine, Input, Settings, SignalChange, Suppression};
use event::{Event, EventRef, Signal, Timestamp};
use expect_test::Expect;
use serde_json::{Value, json};

use super::acts::{Act, DAY, EXECUTOR, HOUR, K10, MINUTE, NAMESPACES, NAMESPACES_AGENT, SECOND};
use super::export::meaning;
use super::pack;

/// Expects the signals of a script: severity, rule, user and number of events, in the order of
/// their first event. Signals that differ only in their number are combined.
pub(super) fn check(script: &str, expected: &Expect) {
    check_suppressed(&[], script, expected);
}

/// Like [`check`], with suppressions, whose signals are not expected.
pub(super) fn check_suppressed(suppressions: &[Suppression], script: &str, expected: &Expect) {
    let mut acts: Vec<Act> =
        script.lines().filter(|line| !line.trim().is_empty()).flat_map(acts).collect();
    acts.sort_by_key(|act| act.at);
    let events: Vec<Event> = acts.iter().enumerate().map(|(id, act)| act.event(id)).collect();
    if suppressions.is_empty() {
        // Exported rules raise the same alerts.
        meaning::check("kasten", "prod", &events);
    }
    let mut summaries: Vec<(String, usize, u64)> = Vec::new();
    for signal in signals(&events, suppressions) {
        let spec = &signal.spec;
        let user = spec.actor.username.rsplit(':').next().unwrap_or_default();
        let user = if user.is_empty() { "several" } else { user };
        let what = format!("{:<8} {} {user}", spec.severity, spec.rule.id);
        match summaries.iter_mut().find(|(known, ..)| *known == what) {
            Some((_, signals, count)) => {
                *signals += 1;
                *count += spec.count;
            }
            None => summaries.push((what, 1, spec.count)),
        }
    }
    let line = |(what, signals, count): &(String, usize, u64)| match signals {
        1 => format!("{what} {count}\n"),
        _ => format!("{what} {count} in {signals} signals\n"),
    };
    let lines: String = summaries.iter().map(line).collect();
    expected.assert_eq(&lines);
}

fn signals(events: &[Event], suppressions: &[Suppression]) -> Vec<Arc<Signal>> {
    let mut engine = Engine::new(pack::all(), Settings::default());
    engine.set_suppressions(Arc::from(suppressions));
    let mut changes: Vec<SignalChange> = Vec::new();
    for event in events {
        let event = &EventRef::from(event);
        let arrival = event.stage_timestamp();
        engine.process(&Input { source: "s", cluster: "prod", arrival, event }, &mut changes);
    }
    if let Some(last) = events.last() {
        let end = last.stage_timestamp.as_micros() + UPDATE_DELAY;
        engine.advance(Timestamp::from_micros(end), &mut changes);
    }
    engine.finish(&mut changes);
    let mut latest = BTreeMap::new();
    for change in changes {
        latest.insert(change.signal.id.clone(), change.signal);
    }
    let mut signals: Vec<_> = latest.into_values().collect();
    signals.sort_by_key(|signal| (signal.spec.first_seen, signal.spec.rule.id.clone()));
    signals
}

/// `BEGIN TIMESxEVERY USER VERB RESOURCE NAMESPACE/NAME [FLAGS] [SPEC]`. Flags: `dry`, a status
/// code, `as=USER`, `of=N`, `agent=A`, `sub=SUBRESOURCE`, `request=BODY`, `response=BODY`,
/// `bodyless`.
fn acts(line: &str) -> Vec<Act> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [begin, often, user, verb, resource, object, flags @ ..] = words.as_slice() else {
        panic!("{line}");
    };
    let (times, every) = often.split_once('x').unwrap();
    let times: i64 = times.parse().unwrap();
    let flag = |name: &str| flags.iter().find_map(|flag| flag.strip_prefix(name));
    let of: i64 = flag("of=").map_or(times, |of| of.parse().unwrap());
    (0..times)
        .map(|run| {
            let (n, k) = ((run + 1).to_string(), (run % of + 1).to_string());
            let fill = |text: &str| text.replace("{n}", &n).replace("{k}", &k);
            let (namespace, name) = object.split_once('/').unwrap();
            Act {
                at: span(begin) + run * span(every),
                user: person(&fill(user)),
                acts_as: flag("as=").map(|username| person(&fill(username))).unwrap_or_default(),
                verb: (*verb).to_owned(),
                group: "",
                resource: (*resource).to_owned(),
                namespace: fill(namespace),
                name: fill(name),
                code: flags.iter().find_map(|flag| flag.parse().ok()).unwrap_or(0),
                is_dry_run: flags.contains(&"dry"),
                agent: match flag("agent=").unwrap_or_default() {
                    "namespaces" => NAMESPACES_AGENT.to_owned(),
                    agent => agent.to_owned(),
                },
                subresource: flag("sub=").unwrap_or_default().to_owned(),
                body: body(resource, &fill(name), flags),
                response: flag("response=").map(|text| serde_json::from_str(text).unwrap()),
                is_bodyless: flags.contains(&"bodyless"),
            }
        })
        .collect()
}

fn person(word: &str) -> String {
    let known = match word {
        "k10" => K10,
        "executor" => EXECUTOR,
        "namespaces" => NAMESPACES,
        other => other,
    };
    known.to_owned()
}

fn span(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => DAY,
    };
    number.parse::<i64>().unwrap() * unit
}

fn body(resource: &&str, name: &str, flags: &[&str]) -> Option<Value> {
    if let Some(text) = flags.iter().find_map(|flag| flag.strip_prefix("request=")) {
        return Some(serde_json::from_str(text).unwrap());
    }
    let spec = flags.iter().find(|flag| flag.starts_with('{'));
    let spec = spec.map(|text| serde_json::from_str::<Value>(text).unwrap());
    match *resource {
        "cancelactions" => {
            Some(json!({"spec": {"subject": {"kind": "BackupAction", "name": name}}}))
        }
        _ => spec.map(|spec| json!({"spec": spec})),
    }
}
