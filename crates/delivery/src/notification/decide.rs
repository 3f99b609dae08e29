//! Decides what to send about one signal, and when. Pure.

use std::time::Duration;

use event::Timestamp;
use sink::notifier::{Event, Summary};

use super::Target;
use super::records::NotificationRecord;

/// The shortest time between two updates of an open signal, unless its severity rises.
pub const UPDATE_INTERVAL: Duration = Duration::from_mins(5);

/// The next notification about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send nothing until the signal changes.
    Idle,
    /// Evaluate it again at this time.
    Wait(Timestamp),
    /// Send a notification.
    Send(Event),
    /// Record that the signal is closed, and send nothing.
    MarkClosed,
}

/// Decides the next notification about a signal. `record` is the record of the last one. `resend`
/// is the interval at which an open signal is resent, if the destination requires it.
pub(super) fn decide(
    summary: &Summary,
    record: Option<&NotificationRecord>,
    target: &Target,
    resend: Option<Duration>,
    now: Timestamp,
) -> Action {
    let Some(record) = record else {
        return if matches_target(summary, target) {
            Action::Send(Event::Opened)
        } else {
            Action::Idle
        };
    };
    if record.is_closed {
        return Action::Idle;
    }
    if summary.is_closed {
        let sends_closing = target.sends_closed || resend.is_some();
        return if sends_closing { Action::Send(Event::Closed) } else { Action::MarkClosed };
    }
    if summary.severity > record.severity {
        return Action::Send(Event::Updated);
    }
    let has_more_events = summary.count > record.count;
    let update = (target.sends_updates && has_more_events).then_some(UPDATE_INTERVAL);
    match [resend, update].into_iter().flatten().min() {
        None => Action::Idle,
        Some(interval) => {
            let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
            let due = record.sent_at.as_micros().saturating_add(interval);
            // If the clock was set back, the delay is not longer than the interval.
            let is_clock_set_back = record.sent_at > now;
            if due <= now.as_micros() || is_clock_set_back {
                Action::Send(Event::Updated)
            } else {
                Action::Wait(Timestamp::from_micros(due))
            }
        }
    }
}

fn matches_target(summary: &Summary, target: &Target) -> bool {
    let rules = &target.rules;
    let is_named =
        || [&summary.rule, &summary.rule_title].into_iter().any(|name| rules.contains(name));
    summary.severity >= target.min_severity && (rules.is_empty() || is_named())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use event::signal::Severity;

    use super::*;

    const NOW: i64 = 1_795_566_600_000_000;
    const MINUTE: i64 = 60_000_000;

    fn summary(severity: Severity, count: u64, is_closed: bool) -> Summary {
        Summary {
            severity,
            rule: "restorepoints-deleted".to_owned(),
            rule_title: "RestorePoints deleted".to_owned(),
            user: "mallory".to_owned(),
            count,
            is_closed,
            is_triaged: false,
        }
    }

    fn record(minutes_ago: i64) -> NotificationRecord {
        NotificationRecord {
            revision: 7,
            severity: Severity::Medium,
            count: 5,
            sent_at: Timestamp::from_micros(NOW - minutes_ago * MINUTE),
            ..NotificationRecord::default()
        }
    }

    fn target(min_severity: Severity, rules: &[&str], options: &str) -> Target {
        Target {
            notifier: Err(String::new()),
            min_severity,
            rules: rules.iter().map(|&rule| rule.to_owned()).collect::<BTreeSet<_>>(),
            sends_updates: options.contains("updates"),
            sends_closed: options.contains("closed"),
        }
    }

    fn check(
        summary: &Summary,
        record: Option<&NotificationRecord>,
        target: &Target,
        resend: bool,
        action: &str,
    ) {
        let resend = resend.then_some(Duration::from_mins(1));
        let actual = match decide(summary, record, target, resend, Timestamp::from_micros(NOW)) {
            Action::Idle => "idle".to_owned(),
            Action::Wait(until) => format!("wait {}", (until.as_micros() - NOW) / MINUTE),
            Action::Send(event) => event.as_str().to_owned(),
            Action::MarkClosed => "mark closed".to_owned(),
        };
        assert_eq!(actual, action, "{summary:?} {record:?} {resend:?}");
    }

    #[test]
    fn a_new_signal_is_sent_if_it_matches() {
        use Severity::{High, Low, Medium};
        for (severity, min, rules, action) in [
            (Medium, Medium, vec![], "opened"),
            (Low, Medium, vec![], "idle"),
            (High, Medium, vec!["restorepoints-deleted"], "opened"),
            (High, Medium, vec!["RestorePoints deleted"], "opened"),
            (High, Medium, vec!["other"], "idle"),
        ] {
            let target = target(min, &rules, "");
            check(&summary(severity, 1, false), None, &target, false, action);
            check(&summary(severity, 1, true), None, &target, false, action);
        }
    }

    #[test]
    fn updates_and_closings_are_sent_as_configured() {
        use Severity::{High, Medium};
        for (signal, minutes, options, resend, action) in [
            (summary(Medium, 5, false), 9, "updates", false, "idle"),
            (summary(Medium, 6, false), 9, "updates", false, "updated"),
            (summary(Medium, 6, false), 2, "updates", false, "wait 3"),
            (summary(Medium, 6, false), 9, "", false, "idle"),
            (summary(High, 6, false), 0, "", false, "updated"),
            (summary(Medium, 5, false), 0, "", true, "wait 1"),
            (summary(Medium, 5, false), 1, "", true, "updated"),
            (summary(Medium, 5, false), -9, "", true, "updated"),
            (summary(Medium, 5, true), 0, "closed", false, "closed"),
            (summary(Medium, 5, true), 0, "", false, "mark closed"),
            (summary(Medium, 5, true), 0, "", true, "closed"),
        ] {
            // If a signal was sent, its closing is also sent, even if it no longer matches the
            // target.
            let target = target(Severity::Critical, &["other"], options);
            check(&signal, Some(&record(minutes)), &target, resend, action);
            let closed_record = NotificationRecord { is_closed: true, ..record(minutes) };
            check(&signal, Some(&closed_record), &target, resend, "idle");
        }
    }
}
