//! The engine's clock: invalid timestamps, and jumps.

use detect::Settings;
use event::Severity;
use serde_json::json;

use super::stream::{
    DAY, FIVE_DELETES, HOUR, MINUTE, SECOND, START, Stream, TimedEvent, delete, event_at, of_files,
};

#[test]
fn a_timestamp_after_its_arrival_counts_at_its_arrival_and_is_reported() {
    let mut stream = Stream::new(FIVE_DELETES);
    let check = |stream: &mut Stream, ahead: i64, expected: u64| {
        stream.send(&delete("mallory", &format!("rp-{ahead}"), HOUR + ahead).arriving_at(HOUR));
        assert_eq!(stream.engine.engine_statistics().clamped, expected);
    };
    check(&mut stream, 10 * SECOND, 0);
    check(&mut stream, 10 * SECOND + 1, 1);
    check(&mut stream, 300 * DAY, 2);
    let spec = &stream.changes.last().unwrap().signal.spec;
    assert_eq!(spec.rule.id, "keepwatch-clock-skew");
    assert_eq!(spec.severity, Severity::Medium);
    assert_eq!(
        spec.title,
        "2 events of source journal are stamped in the future in cluster prod-eu"
    );
    assert_eq!(spec.last_seen.as_micros() - START, HOUR);
    assert_eq!(spec.evidence.events.len(), 2, "with their original timestamps");
}

#[test]
fn an_event_without_a_timestamp_counts_at_its_arrival() {
    let mut stream = Stream::new(FIVE_DELETES);
    for at in 0..5 {
        let mut timed = delete("mallory", &format!("rp-{at}"), at);
        timed.event.stage_timestamp = event::Timestamp::UNSET;
        stream.send(&timed);
    }
    assert_eq!(stream.opened("many"), 1);
    assert_eq!(stream.changes[0].signal.spec.first_seen.as_micros(), START);
}

#[test]
fn a_gap_in_a_file_is_accepted_when_further_events_confirm_it() {
    let mut stream = Stream::with(FIVE_DELETES, of_files());
    let on_day =
        |day: i64, at: i64| delete("mallory", &format!("{day}-{at}"), day * DAY + at * SECOND);
    let first: Vec<TimedEvent> = (0..4).map(|at| on_day(0, at)).collect();
    stream.send_all(&first);
    // The first event after a weekend. Two events wait for confirmation, the third confirms them.
    stream.send(&on_day(3, 0));
    stream.send(&on_day(3, 1));
    assert_eq!(stream.engine.engine_statistics().clock.unwrap().as_micros(), START + 3 * SECOND);
    stream.send(&on_day(3, 2));
    assert_eq!(
        stream.engine.engine_statistics().clock.unwrap().as_micros(),
        START + 3 * DAY + 2 * SECOND
    );
    stream.send(&on_day(3, 3));
    stream.finish();
    assert_eq!(stream.opened("many"), 0, "four on each day");
    assert_eq!(stream.engine.engine_statistics().clamped, 0);
}

/// A time within a day was accepted, so that windows ended at once.
#[test]
fn a_forged_future_time_disables_no_rule_on_files() {
    for ahead in [6 * MINUTE, 20 * MINUTE, 20 * HOUR, 300 * DAY] {
        for forged_at in 0..5 {
            for is_restarted in [false, true] {
                let mut stream = Stream::with(FIVE_DELETES, of_files());
                for at in 0..6 {
                    if at == forged_at {
                        stream.send(&delete("eve", "forged", at * SECOND + ahead));
                    }
                    if is_restarted {
                        stream.restart();
                    }
                    stream.send(&delete("mallory", &format!("rp-{at}"), at * SECOND));
                }
                stream.finish();
                assert_eq!(stream.opened("many"), 1, "{ahead} µs ahead, before event {forged_at}");
                assert_eq!(stream.engine.engine_statistics().clamped, 1);
                assert_eq!(stream.opened("keepwatch-clock-skew"), 1);
            }
        }
    }
}

#[test]
fn an_event_of_another_source_or_a_late_one_says_nothing_about_a_jump() {
    let mut stream = Stream::with(FIVE_DELETES, of_files());
    stream.send_all(&[delete("a", "rp", 0), delete("b", "rp", HOUR), delete("c", "rp", -SECOND)]);
    let other = TimedEvent { source: "other.log", ..delete("d", "rp", SECOND) };
    stream.send(&other);
    stream.finish();
    assert_eq!(stream.engine.engine_statistics().clamped, 0);
    assert_eq!(stream.engine.engine_statistics().clock.unwrap().as_micros(), START + HOUR);
}

#[test]
fn an_absence_before_the_last_event_of_a_file_raises_a_signal_despite_the_lateness_bound() {
    let quiet = "title: A heartbeat\nname: beat\ndetection:\n  s: {verb: create}\n  condition: s\n---\n\
                 title: Quiet\nid: quiet\nlevel: high\ncorrelation:\n  type: event_count\n  \
                 rules: [beat]\n  timespan: 10m\n  condition: {lt: 1}\n";
    for (last, expected) in [(9 * MINUTE, 0), (10 * MINUTE, 1), (14 * MINUTE, 1)] {
        let mut stream = Stream::with(quiet, of_files());
        let beat = event_at(0, &json!({"verb": "create"}));
        stream.send_all(&[beat, delete("alice", "rp", last)]);
        stream.finish();
        assert_eq!(stream.opened("quiet"), expected, "last event after {last} µs");
    }
}

#[test]
fn the_end_of_a_file_confirms_waiting_events() {
    let mut stream = Stream::with(FIVE_DELETES, of_files());
    stream.send(&delete("mallory", "rp-0", 0));
    stream.send(&delete("mallory", "rp-1", 5 * DAY));
    stream.finish();
    let statistics = stream.engine.engine_statistics();
    assert_eq!((statistics.hits, statistics.clamped, statistics.waiting), (2, 0, 0));
    assert_eq!(statistics.clock.unwrap().as_micros(), START + 5 * DAY);
}

#[test]
fn a_trusted_clock_may_jump() {
    let mut stream = Stream::with(FIVE_DELETES, Settings::default());
    stream.send(&delete("mallory", "rp-0", 0));
    stream.send(&delete("mallory", "rp-1", 5 * DAY));
    assert_eq!(stream.engine.engine_statistics().clock.unwrap().as_micros(), START + 5 * DAY);
    stream.advance(4 * DAY);
    assert_eq!(stream.engine.engine_statistics().clock.unwrap().as_micros(), START + 5 * DAY);
}

#[test]
fn times_beyond_the_calendar_are_bounded() {
    for settings in [Settings::default(), of_files()] {
        let mut stream = Stream::with(FIVE_DELETES, settings);
        for (at, micros) in [i64::MIN, i64::MAX, i64::MIN + 1, 0, -1].into_iter().enumerate() {
            let mut arrival = delete("mallory", &format!("rp-{at}"), 0);
            arrival.event.stage_timestamp = event::Timestamp::from_micros(micros);
            arrival.arrival = micros.min(START + MINUTE);
            stream.send(&arrival);
        }
        stream.advance(i64::MAX - START);
        stream.finish();
        stream.restart();
        assert_eq!(
            stream.engine.engine_statistics().hits,
            5 + stream.engine.engine_statistics().clamped
        );
    }
}
