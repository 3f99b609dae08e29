//! Hostile input costs bounded memory and time, and a corrupt checkpoint is an error.

use std::sync::Arc;

use bytes::Bytes;
use detect::engine::{CHUNK_LEN_MAX, CheckpointError, Limits};
use detect::{Engine, Settings};
use event::Severity;
use serde_json::json;

use super::stream::{FIVE_DELETES, HOUR, MINUTE, Stream, delete, event_at, of_files};

const EACH_DELETE: &str =
    "title: A delete\nid: each\ndetection:\n  s: {verb: delete}\n  condition: s\n";

fn small() -> Settings {
    let limits = Limits {
        groups_per_rule: 50,
        signals_per_rule: 20,
        waiting_events: 100,
        identities: 1000,
        values_per_rule: 100,
        ..Limits::default()
    };
    Settings { limits, ..Settings::default() }
}

#[test]
fn a_flood_of_users_raises_few_signals_and_a_state_pressure_signal() {
    let mut stream = Stream::with(EACH_DELETE, small());
    for at in 0..3000 {
        stream.send(&delete(&format!("user-{at}"), "rp", at));
    }
    assert_eq!(stream.opened("each"), 21, "twenty, and one of all others");
    assert_eq!(stream.opened("keepwatch-state-pressure"), 1);
    stream.advance(MINUTE);
    let of = |rule: &str| {
        let mut signals = stream.changes.iter().rev().map(|change| &change.signal.spec);
        signals.find(|spec| spec.rule.id == rule).unwrap()
    };
    let rest = of("each");
    assert_eq!(rest.count, 2980);
    assert_eq!(rest.group_by[0].value, "(any)");
    assert_eq!(rest.actor.username, "");
    assert_eq!(rest.actor.users.len(), 10);
    let pressure = of("keepwatch-state-pressure");
    assert_eq!(pressure.severity, Severity::High);
    assert_eq!(pressure.group_by[0].value, "each");
    let each = &stream.engine.statistics()[0];
    assert_eq!((each.matched, each.open), (3000, 21));
}

#[test]
fn at_the_limit_the_last_group_by_value_is_dropped_first() {
    let rule = FIVE_DELETES
        .replace("[user.username]", "[user.username, objectRef.name]")
        .replace("gte: 5", "gte: 2");
    let mut stream = Stream::with(&rule, small());
    for at in 0..60 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at));
    }
    let opened = stream.changes.iter().find(|change| change.signal.spec.rule.id == "many").unwrap();
    let values: Vec<_> =
        opened.signal.spec.group_by.iter().map(|pair| pair.value.as_str()).collect();
    assert_eq!(values, ["mallory", "(any)"]);
}

#[test]
fn the_size_of_windows_is_bounded() {
    let limits = Limits { state_bytes: 100_000, evidence_bytes: 50_000, ..Limits::default() };
    let mut stream = Stream::with(FIVE_DELETES, Settings { limits, ..Settings::default() });
    for at in 0..3000 {
        stream.send(&delete(&format!("user-{at}"), "rp", at));
    }
    assert_eq!(stream.opened("keepwatch-state-pressure"), 1);
    let state_bytes = stream.engine.engine_statistics().state_bytes;
    assert!(state_bytes < 200_000, "{state_bytes}");
    stream.advance(HOUR);
    assert_eq!(stream.engine.engine_statistics().state_bytes, 0, "all windows are over");
}

#[test]
fn waiting_events_are_bounded() {
    let mut stream = Stream::with(FIVE_DELETES, Settings { lateness: HOUR_LATE, ..small() });
    for at in 0..500 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at));
    }
    let statistics = stream.engine.engine_statistics();
    assert_eq!((statistics.waiting, statistics.released_early), (100, 400));
    assert_eq!(stream.opened("many"), 1);
    assert_eq!(stream.opened("keepwatch-state-pressure"), 1);
}

const HOUR_LATE: std::time::Duration = std::time::Duration::from_hours(1);

#[test]
fn identities_are_bounded_and_evictions_are_counted() {
    let mut stream = Stream::with(EACH_DELETE, small());
    for at in 0..1500 {
        stream.send(&delete("mallory", &format!("rp-{at}"), at));
    }
    let statistics = stream.engine.engine_statistics();
    assert_eq!((statistics.identities, statistics.identities_forgotten), (1000, 500));
}

#[test]
fn huge_texts_and_bodies_are_truncated_and_stay_distinct() {
    let mut stream = Stream::new(EACH_DELETE);
    let long = "x".repeat(1 << 20);
    for (at, end) in (0..).zip(["1", "2"]) {
        stream.send(&event_at(
            at,
            &json!({
                "auditID": format!("{at}"),
                "user.username": format!("{long}{end}"),
                "userAgent": long,
                "objectRef.name": long,
                "requestObject": {"spec": long},
            }),
        ));
    }
    assert_eq!(stream.opened("each"), 2, "two users");
    let len = serde_json::to_string(&*stream.changes[0].signal).unwrap().len();
    assert!(len < 8192, "{len}");
    assert!(stream.engine.checkpoint().iter().map(Bytes::len).sum::<usize>() < 16_384);
}

#[test]
fn evidence_is_bounded() {
    let mut stream = Stream::new(EACH_DELETE);
    let body = "x".repeat(9 << 10);
    for at in 0..40 {
        let name = format!("rp-{at}");
        stream
            .send(&event_at(at, &json!({"objectRef.name": name, "requestObject": {"spec": body}})));
    }
    stream.advance(MINUTE);
    let evidence = &stream.changes.last().unwrap().signal.spec.evidence;
    assert_eq!(evidence.audit_ids.len(), 20);
    let len: usize = evidence.events.iter().map(|event| event.get().len()).sum();
    assert!(evidence.events.len() <= 10 && len <= 64 << 10, "{len}");
    assert!(evidence.events[0].get().contains("xxxxxxxx"), "bodies are evidence");
}

#[test]
fn a_damaged_checkpoint_is_an_error() {
    let mut stream = Stream::with(FIVE_DELETES, of_files());
    for at in 0..50 {
        stream.send(&delete(&format!("user-{}", at % 7), &format!("rp-{at}"), at * MINUTE));
    }
    let checkpoint = stream.engine.checkpoint().concat();
    let restore = |bytes: Vec<u8>| {
        let chunks = [Bytes::from(bytes)];
        Engine::restore(Arc::clone(&stream.rules), stream.settings.clone(), &chunks).map(drop)
    };
    assert_eq!(restore(checkpoint.clone()), Ok(()));
    assert_eq!(restore(Vec::new()), Err(CheckpointError::Version(None)));
    for at in (0..checkpoint.len()).step_by(97) {
        assert!(restore(checkpoint[..at].to_vec()).is_err(), "cut at {at}");
        let mut damaged = checkpoint.clone();
        damaged[at] ^= 0x40;
        assert!(restore(damaged).is_err(), "changed at {at}");
    }
    let mut other = checkpoint;
    other[8] = 9;
    assert_eq!(restore(other), Err(CheckpointError::Version(Some(9))));
}

#[test]
fn a_checkpoint_is_split_into_chunks() {
    let mut stream = Stream::new(FIVE_DELETES);
    for at in 0..2000 {
        stream.send(&delete(&format!("user-{at}"), "rp", at));
    }
    let chunks = stream.engine.checkpoint();
    assert!(chunks.len() > 1);
    assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_LEN_MAX));
    assert_eq!(chunks, stream.engine.checkpoint(), "the same state, the same bytes");
    stream.restart();
    assert_eq!(stream.engine.checkpoint(), chunks);
}
