//! The list of requests in the page, grouped by session. Repetitions share a row, and each kind can
//! be hidden.

use std::fmt::Write as _;

use super::classify::Class;
use super::runs::{NAMES_MAX, Run, runs};
use super::sessions::Session;
use super::text::{counted, second};
use super::timeline::Timeline;
use crate::printable::{html, shortened};

/// Maximum number of rows of the table.
const ROWS_MAX: usize = 3000;
/// Number of names that are shown before the row is expanded.
const NAMES_SHOWN: usize = 3;
/// Maximum length of a value, in characters.
const VALUE_CHARS_MAX: usize = 120;

/// The section.
pub(crate) fn section(timeline: &Timeline, to: &mut String) -> std::fmt::Result {
    let requests = timeline.requests();
    let runs = runs(&requests);
    writeln!(to, "<section class=\"card long\">\n<div class=\"filters\">")?;
    for class in Class::ALL {
        let (name, title) = (class.as_str(), class.short());
        writeln!(
            to,
            "<label><input type=\"checkbox\" id=\"show-{name}\" checked> \
             <i class=\"dot {name}\"></i>{title}</label>"
        )?;
    }
    writeln!(
        to,
        "</div>\n<h2>Timeline</h2>\n<table class=\"acts\">\n\
         <colgroup><col class=\"bar\"><col class=\"time\"><col class=\"where\"><col>\
         <col class=\"from\"></colgroup>"
    )?;
    let mut sessions = timeline.sessions.all().peekable();
    for run in runs.iter().take(ROWS_MAX) {
        while let Some(session) = sessions.next_if(|session| session.first <= run.request.time) {
            head(session, to)?;
        }
        row(run, to)?;
    }
    writeln!(to, "</table>")?;
    let hidden = runs.len().saturating_sub(ROWS_MAX);
    let dropped = timeline.count.saturating_sub(requests.len() as u64);
    if hidden > 0 || dropped > 0 {
        writeln!(
            to,
            "<p class=\"note\">{hidden} rows and {dropped} further requests are counted and drawn \
             above, and not listed. A shorter time range shows them.</p>"
        )?;
    }
    writeln!(to, "</section>")
}

/// The row before a session.
fn head(session: &Session, to: &mut String) -> std::fmt::Result {
    let (first, last) = (second(session.first), second(session.last));
    let until = if first.get(..10) == last.get(..10) { last.get(11..) } else { Some(&*last) };
    writeln!(
        to,
        "<tr class=\"session\"><td colspan=\"5\">{first} to {} &middot; {}</td></tr>",
        until.unwrap_or_default(),
        counted(session.count, "request")
    )
}

fn row(run: &Run<'_>, to: &mut String) -> std::fmt::Result {
    let request = run.request;
    let time = request.time.to_string();
    let namespace = if request.namespace.is_empty() {
        String::new()
    } else {
        html(&shortened(&request.namespace, VALUE_CHARS_MAX))
    };
    write!(
        to,
        "<tr class=\"act {}\"><td class=\"bar\"><i title=\"{}\"></i></td><td class=\"time\">{}</td>\
         <td class=\"where\">{namespace}</td><td><span class=\"verb\">{}</span> {}",
        request.class.as_str(),
        request.class.title(),
        time.get(11..23).unwrap_or(&time),
        html(&shortened(&request.verb, VALUE_CHARS_MAX)),
        html(&shortened(&request.resource, VALUE_CHARS_MAX))
    )?;
    if run.count > 1 {
        write!(to, "<span class=\"times\">&times;{}</span>", run.count)?;
    }
    names(run, to)?;
    badges(run, to)?;
    writeln!(
        to,
        "</td><td class=\"from\">{}</td></tr>",
        html(&shortened(&request.address, VALUE_CHARS_MAX))
    )
}

fn names(run: &Run<'_>, to: &mut String) -> std::fmt::Result {
    let listed = |names: &[&str]| {
        let names: Vec<String> =
            names.iter().map(|name| html(&shortened(name, VALUE_CHARS_MAX))).collect();
        names.join(", ")
    };
    if run.names.is_empty() {
        return Ok(());
    }
    if run.names.len() <= NAMES_SHOWN {
        return write!(to, " <span class=\"names\">{}</span>", listed(&run.names));
    }
    let (first, rest) = run.names.split_at(NAMES_SHOWN);
    let more = rest.len();
    let or_more = if run.names.len() == NAMES_MAX { " or more" } else { "" };
    write!(
        to,
        "<details class=\"names\"><summary>{} and {more}{or_more} more</summary>{}</details>",
        listed(first),
        listed(rest)
    )
}

fn badges(run: &Run<'_>, to: &mut String) -> std::fmt::Result {
    let request = run.request;
    let mut badges = Vec::new();
    if request.is_refused() {
        badges.push(("refused", format!("refused {}", request.code)));
    } else if request.is_failed() {
        badges.push(("failed", format!("failed {}", request.code)));
    }
    if let Some((word, user)) = run.impersonation() {
        badges.push(("acting", format!("{word} {}", shortened(user, VALUE_CHARS_MAX))));
    }
    for first in &run.firsts {
        badges.push(("new", format!("first {}", shortened(first, VALUE_CHARS_MAX))));
    }
    for (class, text) in badges {
        write!(to, "<span class=\"badge {class}\">{}</span>", html(&text))?;
    }
    Ok(())
}
