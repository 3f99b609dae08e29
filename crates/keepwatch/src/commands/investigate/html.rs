//! A timeline as one HTML page without external resources or scripts.
//!
//! Every text from a client is escaped by [`printable::html`](crate::printable::html). In addition,
//! a content security policy in the page prevents scripts and requests.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::chart;
use super::classify::Class;
use super::html_requests;
use super::text::{counted, second};
use super::timeline::{Timeline, Values};
use crate::printable::{html, shortened};

const STYLE: &str = include_str!("page.css");
/// Maximum number of values in one table.
const VALUES_MAX: usize = 50;
/// Maximum length of a value, in characters.
const VALUE_CHARS_MAX: usize = 200;
/// Maximum length of a signal's message, in characters.
const MESSAGE_CHARS_MAX: usize = 8000;

/// The complete page.
pub(crate) fn page(timeline: &Timeline) -> String {
    let mut page = String::with_capacity(64 << 10);
    // Writing to a string does not fail.
    write(timeline, &mut page).unwrap_or_default();
    page
}

fn write(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    let name = html(&timeline.scope.name);
    writeln!(
        to,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{name} - Keepwatch</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>"
    )?;
    header(timeline, to)?;
    if timeline.range().is_none() {
        writeln!(to, "<p class=\"card empty\">Nothing is recorded in this time range.</p>")?;
    } else {
        tiles(timeline, to)?;
        if let Some(svg) = chart::svg(timeline) {
            writeln!(to, "<section class=\"card\">\n<h2>Activity</h2>\n{svg}</section>")?;
        }
        signals(timeline, to)?;
        html_requests::section(timeline, to)?;
        writeln!(to, "<div class=\"columns\">\n<div>")?;
        namespaces(timeline, to)?;
        related(timeline, to)?;
        writeln!(to, "</div>\n<div>")?;
        values(to, "Addresses", &timeline.addresses)?;
        values(to, "Clients", &timeline.agents)?;
        values(to, "Credentials", &timeline.credentials)?;
        writeln!(to, "</div>\n</div>")?;
    }
    writeln!(to, "</main>\n</body>\n</html>")
}

fn header(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    writeln!(to, "<header>\n<h1>{}</h1>", html(&timeline.scope.name))?;
    if let Some((first, last)) = timeline.range() {
        writeln!(to, "<span class=\"when\">{} to {} UTC</span>", second(first), second(last))?;
    }
    writeln!(to, "<div class=\"chips\">")?;
    for group in &timeline.groups {
        writeln!(to, "<span class=\"chip\">{}</span>", html(&shortened(group, VALUE_CHARS_MAX)))?;
    }
    writeln!(to, "<span class=\"chip\">from {}</span>", html(&timeline.origin))?;
    writeln!(to, "</div>\n</header>")
}

fn tiles(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    let of = |class: Class| timeline.by_class.get(class as usize).copied().unwrap_or(0);
    let sessions = timeline.sessions.all().count() as u64;
    let tiles = [
        ("", timeline.count, "requests"),
        ("alarm", of(Class::Destructive), "destructive"),
        ("security", of(Class::Security), "security-relevant"),
        ("", timeline.refused, "refused"),
        ("", timeline.failed, "failed"),
        (
            "",
            timeline.namespaces.keys().filter(|name| !name.is_empty()).count() as u64,
            "namespaces",
        ),
        ("", timeline.addresses.0.len() as u64, "addresses"),
        ("", sessions, if sessions == 1 { "session" } else { "sessions" }),
    ];
    writeln!(to, "<div class=\"tiles\">")?;
    for (class, count, what) in tiles {
        let class = if count == 0 { "" } else { class };
        writeln!(to, "<div class=\"tile {class}\"><b>{count}</b><span>{what}</span></div>")?;
    }
    writeln!(to, "</div>")
}

fn signals(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    if timeline.signals.is_empty() {
        return Ok(());
    }
    writeln!(to, "<section class=\"card\">\n<h2>Signals</h2>")?;
    let mut signals: Vec<_> = timeline.signals.iter().collect();
    signals.sort_by_key(|signal| (Reverse(signal.spec.severity), signal.spec.first_seen));
    for signal in signals {
        let spec = &signal.spec;
        let severity = spec.severity.as_str();
        writeln!(
            to,
            "<details class=\"finding\"><summary><span class=\"pill {severity}\">{severity}</span>\
             <span class=\"what\">{}</span><span class=\"aside\">{} to {}</span>\
             <span class=\"rule\">{} &middot; {} &middot; {} &middot; {}{}</span></summary>",
            html(&shortened(&spec.title, VALUE_CHARS_MAX)),
            second(spec.first_seen),
            second(spec.last_seen).get(11..).unwrap_or_default(),
            html(&spec.rule.title),
            counted(spec.count, "event"),
            counted(spec.targets.count, "object"),
            signal.state.as_str(),
            attack(&spec.attack.techniques)
        )?;
        if !spec.message.is_empty() {
            let message: String = spec.message.chars().take(MESSAGE_CHARS_MAX).collect();
            let lines: Vec<String> = message.lines().map(html).collect();
            writeln!(to, "<pre>{}</pre>", lines.join("\n"))?;
        }
        writeln!(to, "</details>")?;
    }
    writeln!(to, "</section>")
}

fn attack(techniques: &[String]) -> String {
    let parts: Vec<String> = techniques.iter().map(|technique| html(technique)).collect();
    if parts.is_empty() { String::new() } else { format!(" &middot; {}", parts.join(" &middot; ")) }
}

fn namespaces(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    writeln!(to, "<section class=\"card\">\n<h2>Namespaces</h2>\n<table>\n<tr><th>Namespace</th>")?;
    for class in Class::ALL {
        writeln!(
            to,
            "<th class=\"number\"><i class=\"dot {}\"></i>{}</th>",
            class.as_str(),
            class.short()
        )?;
    }
    writeln!(to, "</tr>")?;
    for (namespace, counts) in timeline.namespaces.iter().take(VALUES_MAX) {
        let name = if namespace.is_empty() {
            "<span class=\"names\">no namespace</span>".to_owned()
        } else {
            html(&shortened(namespace, VALUE_CHARS_MAX))
        };
        write!(to, "<tr><td>{name}</td>")?;
        for count in counts {
            let class = if *count == 0 { " zero" } else { "" };
            write!(to, "<td class=\"number{class}\">{count}</td>")?;
        }
        writeln!(to, "</tr>")?;
    }
    writeln!(to, "</table>\n{}</section>", more(timeline.namespaces.len()))
}

fn related(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    let related = timeline.related();
    writeln!(to, "<section class=\"card\">\n<h2>Related identities</h2>")?;
    if related.is_empty() {
        writeln!(
            to,
            "<p class=\"note\">No other identity shares an address or a credential, or impersonates \
             this one.</p></section>"
        )?;
        return Ok(());
    }
    writeln!(to, "<table>\n<tr><th>User</th><th>Connection</th></tr>")?;
    for identity in &related {
        writeln!(
            to,
            "<tr><td>{}</td><td class=\"names\">{}</td></tr>",
            html(&shortened(&identity.user, VALUE_CHARS_MAX)),
            html(&shortened(&identity.why, VALUE_CHARS_MAX))
        )?;
    }
    writeln!(to, "</table>\n</section>")
}

fn values(to: &mut String, title: &str, values: &Values) -> std::fmt::Result {
    if values.0.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<_> = values.0.iter().collect();
    sorted.sort_by_key(|(_, value)| value.first);
    writeln!(
        to,
        "<section class=\"card\">\n<h2>{title}</h2>\n<table>\n<tr><th></th>\
         <th class=\"number\">Requests</th><th class=\"number\">First (UTC)</th></tr>"
    )?;
    for (text, value) in sorted.iter().take(VALUES_MAX) {
        let badge =
            if value.is_known { "" } else { " <span class=\"badge new\">first seen</span>" };
        writeln!(
            to,
            "<tr><td>{}{badge}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            html(&shortened(text, VALUE_CHARS_MAX)),
            value.count,
            second(value.first)
        )?;
    }
    writeln!(to, "</table>\n{}</section>", more(sorted.len()))
}

fn more(count: usize) -> String {
    match count.checked_sub(VALUES_MAX) {
        Some(more @ 1..) => format!("<p class=\"note\">and {more} more</p>"),
        _ => String::new(),
    }
}
