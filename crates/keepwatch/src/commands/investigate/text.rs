//! A timeline for a terminal.

use std::fmt::Write as _;

use event::Timestamp;

use super::classify::Class;
use super::runs::{Run, runs};
use super::timeline::{Timeline, Values};
use crate::printable::{plain, shortened};

/// Maximum number of lines of the timeline. JSON and HTML output contain all of it.
const LINES_MAX: usize = 400;
/// Maximum number of object names in one line.
const NAMES_MAX: usize = 3;
/// Maximum number of values in one list.
const VALUES_MAX: usize = 10;
/// Maximum number of characters of a value.
const VALUE_CHARS_MAX: usize = 100;

/// The complete text.
pub(crate) fn page(timeline: &Timeline) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    write(timeline, &mut text).unwrap_or_default();
    text
}

fn write(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    writeln!(to, "{}", plain(&timeline.scope.name))?;
    if !timeline.groups.is_empty() {
        let groups: Vec<String> = timeline.groups.iter().map(|group| plain(group)).collect();
        writeln!(to, "  groups {}", groups.join(", "))?;
    }
    let Some((first, last)) = timeline.range() else {
        return writeln!(to, "  nothing is recorded ({})", timeline.origin);
    };
    let requests = counted(timeline.count, "request");
    writeln!(to, "  {requests}, {} to {}", second(first), second(last))?;
    let classes = Class::ALL.iter().zip(timeline.by_class);
    let classes: Vec<String> = classes
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| format!("{count} {}", class.as_str()))
        .collect();
    let (refused, failed) = (timeline.refused, timeline.failed);
    writeln!(to, "  {}; {refused} refused, {failed} failed", classes.join(", "))?;
    writeln!(to, "  from {}", timeline.origin)?;
    signals(timeline, to)?;
    write_requests(timeline, to)?;
    namespaces(timeline, to)?;
    values(to, "Addresses", &timeline.addresses)?;
    values(to, "Clients", &timeline.agents)?;
    values(to, "Credentials", &timeline.credentials)?;
    let related = timeline.related();
    if !related.is_empty() {
        writeln!(to, "\nRelated identities")?;
    }
    for identity in &related {
        writeln!(to, "  {}: {}", plain(&identity.user), plain(&identity.why))?;
    }
    Ok(())
}

fn signals(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    if timeline.signals.is_empty() {
        return Ok(());
    }
    writeln!(to, "\nSignals")?;
    for signal in &timeline.signals {
        let spec = &signal.spec;
        writeln!(
            to,
            "  {:<13} {}  {} ({}, {})",
            spec.severity.as_str(),
            second(spec.first_seen),
            plain(&spec.title),
            counted(spec.count, "event"),
            signal.state.as_str()
        )?;
    }
    Ok(())
}

fn write_requests(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    let requests = timeline.requests();
    let runs = runs(&requests);
    if runs.is_empty() {
        return Ok(());
    }
    writeln!(to, "\nTimeline")?;
    let mut day = String::new();
    for run in runs.iter().take(LINES_MAX) {
        let time = run.request.time.to_string();
        let (date, rest) = time.split_once('T').unwrap_or((&time, ""));
        if date != day {
            writeln!(to, "  {date}")?;
            date.clone_into(&mut day);
        }
        let clock = rest.get(..12).unwrap_or(rest);
        writeln!(to, "  {clock} {}", line(run))?;
    }
    if runs.len() > LINES_MAX {
        let more = runs.len() - LINES_MAX;
        writeln!(to, "  … and {more} more: --output html or json shows them")?;
    }
    let listed = requests.len() as u64;
    if timeline.count > listed {
        let dropped = timeline.count - listed;
        writeln!(to, "  {dropped} requests are counted above and not listed")?;
    }
    Ok(())
}

/// `delete       shop          delete restorepoints x10 a, b, c …  403`.
fn line(run: &Run<'_>) -> String {
    let request = run.request;
    let value = |text: &str| shortened(text, VALUE_CHARS_MAX);
    let mut parts = vec![format!(
        "{:<11} {:<16} {} {}",
        request.class.as_str(),
        shortened(&request.namespace, 16),
        plain(&request.verb),
        value(&request.resource)
    )];
    if run.count > 1 {
        parts.push(format!("×{}", run.count));
    }
    if !run.names.is_empty() {
        let names: Vec<String> = run.names.iter().take(NAMES_MAX).map(|name| value(name)).collect();
        parts.push(names.join(", "));
    }
    if run.names.len() > NAMES_MAX {
        parts.push(format!("and {} more", run.names.len() - NAMES_MAX));
    }
    if request.code >= 400 {
        let what = if request.is_refused() { "refused" } else { "failed" };
        parts.push(format!("[{} {what}]", request.code));
    }
    if let Some((word, user)) = run.impersonation() {
        parts.push(format!("({word} {})", value(user)));
    }
    if !run.firsts.is_empty() {
        let firsts: Vec<String> = run.firsts.iter().map(|first| value(first)).collect();
        parts.push(format!(" first: {}", firsts.join("; ")));
    }
    parts.join(" ")
}

fn namespaces(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    if timeline.namespaces.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "\n{:<30} {:>9} {:>12} {:>9} {:>9}",
        "Namespaces", "security", "destructive", "create", "read"
    )?;
    for (namespace, [security, destructive, change, read]) in &timeline.namespaces {
        let name =
            if namespace.is_empty() { "(none)".to_owned() } else { shortened(namespace, 28) };
        writeln!(to, "  {name:<28} {security:>9} {destructive:>12} {change:>9} {read:>9}")?;
    }
    Ok(())
}

fn values(to: &mut String, title: &str, values: &Values) -> std::fmt::Result {
    if values.0.is_empty() {
        return Ok(());
    }
    writeln!(to, "\n{title}")?;
    let mut sorted: Vec<_> = values.0.iter().collect();
    sorted.sort_by_key(|(_, value)| value.first);
    for (text, value) in sorted.iter().take(VALUES_MAX) {
        let text = shortened(text, VALUE_CHARS_MAX);
        let new = if value.is_known { "" } else { ", new" };
        writeln!(
            to,
            "  {text}: {} since {}{new}",
            counted(value.count, "request"),
            second(value.first)
        )?;
    }
    if sorted.len() > VALUES_MAX {
        writeln!(to, "  … and {} more", sorted.len() - VALUES_MAX)?;
    }
    Ok(())
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// `2026-11-23 09:30:00`, UTC.
pub(crate) fn second(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}
