//! Writes a search as a stanza of `savedsearches.conf`.

use std::time::Duration;

use event::Severity;

use super::search::Search;
use crate::export::fidelity::{Effect, Reason, ReasonKind, format_duration};
use crate::export::model::RuleModel;

/// Writes the stanza, and returns the differences.
pub(super) fn text(model: &RuleModel<'_>, search: &Search) -> (String, Vec<Reason>) {
    let signal = &model.rule.signal;
    let severity = model.cases.iter().map(|case| case.severity).max();
    let severity = severity.unwrap_or(model.rule.severity);
    let detail = format!(
        "an alert is not repeated for {}, with or without further events",
        format_duration(signal.keep_alive)
    );
    let reasons = vec![Reason::new(ReasonKind::Lifetime, Effect::None, detail)];
    // Throttle per severity, so that a rising severity raises a new alert.
    let fields =
        [vec!["cluster".to_owned()], search.groups.clone(), vec!["severity".to_owned()]].concat();
    let mut text = format!("[{}]\n", plain(&model.rule.title, &['[', ']']));
    let mut set = |key: &str, value: &str| text.extend([key, " = ", value, "\n"]);
    set("description", &plain(&model.description(), &[]));
    set("search", &search.lines.join(" \\\n"));
    for (key, value) in [
        ("enableSched", "1"),
        ("cron_schedule", cron(search.frequency)),
        ("dispatch.earliest_time", &format!("-{}m", search.period.as_secs() / 60)),
        ("dispatch.latest_time", "now"),
        // Run missed intervals later.
        ("realtime_schedule", "0"),
        ("counttype", "number of events"),
        ("relation", "greater than"),
        ("quantity", "0"),
        ("alert.track", "1"),
        ("alert.digest_mode", "0"),
        ("alert.severity", number(severity)),
        ("alert.suppress", "1"),
        ("alert.suppress.fields", &fields.join(",")),
        ("alert.suppress.period", &format!("{}m", signal.keep_alive.as_secs().div_ceil(60))),
    ] {
        set(key, value);
    }
    (text, reasons)
}

fn cron(frequency: Duration) -> &'static str {
    if frequency < Duration::from_hours(1) { "*/5 * * * *" } else { "7 * * * *" }
}

/// Splunk's number of a severity: information, low, medium, high, critical.
const fn number(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "1",
        Severity::Low => "2",
        Severity::Medium => "3",
        Severity::High => "4",
        Severity::Critical => "5",
    }
}

/// Converts a text to one line.
fn plain(text: &str, without: &[char]) -> String {
    let text: String = text.chars().filter(|char| !without.contains(char)).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('\\').to_owned()
}
