//! The encoding `short`: one line for a person at a terminal.
//!
//! ```text
//! 22:44:12Z 200 X delete restorepointcontents blog-scheduled-284fv mallory 127.0.0.1
//! 22:44:13Z 403 ! delete passkeys             k10-passkey          mallory 127.0.0.1
//! 22:44:14Z SIGNAL critical opened mallory deleted 15 restorepointcontents
//! ```
//!
//! The columns are: time of day (UTC), status code, mark, verb, resource, namespace and name, user,
//! addresses. `!` marks a denied or failed request, `X` a destructive request, so
//! that the output does not depend on colors alone. A line is never wider than the terminal. The
//! object, the user and the addresses share the remaining columns, so that a long name cannot push
//! the user off the line. No client input can control the terminal (see [`TerminalText`]).
//!
//! Deliberately absent: bodies, groups, user agents, and a parser for these lines. For
//! machine-readable logs, see [`kasten`](crate::k10) and [`v1`](crate::v1).

mod row;
mod terminal_text;

use std::ops::ControlFlow;

use serde::Deserialize;

use crate::fields::{ObjectRefFields, UserFields};
use crate::record::SignalRecord;
use crate::signal::ChangeKind;
use crate::{EventRef, Severity, Stage, Timestamp};

use row::Row;
use terminal_text::TerminalText;

/// The number of columns of a terminal of unknown width.
pub const COLUMNS_DEFAULT: usize = 80;
/// The maximum number of columns of a line, for any output.
pub const COLUMNS_MAX: usize = 512;

/// The minimum number of columns at which verb and resource are aligned to the longest values.
const COLUMNS_WIDE: usize = 100;
/// The width of verbs and of resources, if there is space: `delete`, `restorepointcontents`.
const VERB_COLUMNS: usize = 6;
const RESOURCE_COLUMNS: usize = 20;
/// The width of namespace and name, if there is space, so that users are aligned.
const OBJECT_COLUMNS: usize = 20;
/// The maximum width of a verb and of a resource, on a narrow and on a wide terminal.
const VERB_COLUMNS_MAX: [usize; 2] = [10, 16];
const RESOURCE_COLUMNS_MAX: [usize; 2] = [22, 32];
/// The maximum size of a response body that is searched for the name of a created object, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// The prefix of the annotations on internal events.
const INTERNAL_ANNOTATION: &str = "keepwatch.io/";
/// Resources whose creation destroys backups or prevents new ones.
const DESTRUCTIVE_ACTIONS: [&str; 2] = ["cancelactions", "retireactions"];

/// The format of lines for an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The maximum number of columns of a line.
    pub columns: usize,
    /// Whether to write escape sequences for colors.
    pub is_colored: bool,
}

/// Append the line of an event, without the newline.
pub fn write(event: &EventRef<'_>, style: Style, line: &mut Vec<u8>) {
    let columns = style.columns.min(COLUMNS_MAX);
    let is_wide = columns >= COLUMNS_WIDE;
    let emphasis = Emphasis::for_event(event);
    let colors = emphasis.colors(style.is_colored);
    let mut row = Row::new(columns, line);
    row.put(&time(event), colors.dim, 0);
    row.put(&code(event), colors.code, 0);
    row.put(&TerminalText::word(emphasis.mark()), colors.action, 0);
    let verb = TerminalText::field(event.verb()).shortened(VERB_COLUMNS_MAX[usize::from(is_wide)]);
    row.put(&verb, colors.action, VERB_COLUMNS);
    let user = user(event);
    let from = addresses(event);
    let object = match event.object_ref() {
        Some(reference) => {
            let resource =
                resource(&reference).shortened(RESOURCE_COLUMNS_MAX[usize::from(is_wide)]);
            row.put(&resource, colors.action, if is_wide { RESOURCE_COLUMNS } else { 0 });
            if is_internal(event) { internal_annotations(event) } else { object(event, &reference) }
        }
        None => without_object(event),
    };
    let object_need = object.columns().max(if is_wide { OBJECT_COLUMNS } else { 0 });
    let needs = [object_need, user.columns(), from.columns()];
    let [object_max, user_max, from_max] = shares(row.columns_left(), needs);
    let spare = row.columns_left().saturating_sub(3 + object_max + user_max + from_max);
    let padded = (object_max + spare).min(OBJECT_COLUMNS);
    row.put(&object.shortened(object_max), colors.action, padded);
    row.put(&user.shortened(user_max), colors.user, 0);
    row.put(&from.shortened(from_max), colors.dim, 0);
    match event.stage() {
        Stage::ResponseComplete => {}
        stage => row.put(&TerminalText::word(stage.as_str()), colors.dim, 0),
    }
}

/// Append the line of a signal's change, without the newline.
pub fn write_signal(signal: &SignalRecord, style: Style, line: &mut Vec<u8>) {
    let color = match (style.is_colored, signal.change, signal.severity) {
        (false, ..) => "",
        (true, ChangeKind::Closed, _) => "2",
        (true, _, Severity::Critical | Severity::High) => "1;97;41",
        (true, _, Severity::Medium) => "1;33",
        (true, _, Severity::Low | Severity::Informational) => "1",
    };
    let title = match signal.signal() {
        Ok(signal) => TerminalText::sentence(&signal.spec.title),
        Err(_) => TerminalText::word("(unreadable)"),
    };
    let mut row = Row::new(style.columns.min(COLUMNS_MAX), line);
    row.put(&time_of_day(signal.time), if style.is_colored { "2" } else { "" }, 0);
    row.put(&TerminalText::word("SIGNAL"), color, 0);
    row.put(&TerminalText::word(signal.severity.as_str()), color, 0);
    row.put(&TerminalText::word(signal.change.as_str()), color, 0);
    row.put(&title, color, 0);
}

/// Shorten a text to a number of columns, and escape everything that could control the terminal.
pub fn fit(text: &str, columns: usize) -> String {
    TerminalText::sentence(text).cut(columns.min(COLUMNS_MAX)).as_str().to_owned()
}

/// The importance of an event for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emphasis {
    /// A read request.
    Read,
    /// A request that changed something.
    Changed,
    /// A request that deleted something, or prevented its creation.
    Destroyed,
    /// The request was denied.
    Refused,
    /// The server failed, or events are missing.
    Failed,
}

/// The parameters of the color escape sequences of one line; empty for none.
#[derive(Default)]
struct Colors {
    code: &'static str,
    action: &'static str,
    user: &'static str,
    dim: &'static str,
}

impl Emphasis {
    fn for_event(event: &EventRef<'_>) -> Self {
        let code = event.response_status().map_or(0, |status| status.code());
        let is_gap = event.stage() == Stage::Panic || is_internal_gap(event);
        match (code, event.verb()) {
            (500.., _) => Self::Failed,
            _ if is_gap => Self::Failed,
            (400..500, _) => Self::Refused,
            _ if destroys(event) => Self::Destroyed,
            (_, "get" | "list" | "watch" | "head" | "options" | "heartbeat" | "receive") => {
                Self::Read
            }
            _ => Self::Changed,
        }
    }

    const fn mark(self) -> &'static str {
        match self {
            Self::Read | Self::Changed => " ",
            Self::Destroyed => "X",
            Self::Refused | Self::Failed => "!",
        }
    }

    fn colors(self, is_colored: bool) -> Colors {
        if !is_colored {
            return Colors::default();
        }
        let colors = Colors { code: "32", action: "", user: "36", dim: "2" };
        match self {
            Self::Read => Colors { action: "2", ..colors },
            Self::Changed => colors,
            Self::Destroyed => Colors { action: "1;31", user: "1;36", ..colors },
            Self::Refused => Colors { code: "1;33", action: "1;33", user: "1;36", ..colors },
            Self::Failed => Colors { code: "1;31", action: "1;31", user: "1;36", ..colors },
        }
    }
}

/// Whether a completed request destroyed something, permanently or temporarily.
fn destroys(event: &EventRef<'_>) -> bool {
    let uri = event.request_uri();
    let is_dry_run = ["?dryRun=", "&dryRun="].iter().any(|part| uri.contains(part));
    let is_destructive = match event.verb() {
        "delete" | "deletecollection" => true,
        "create" => event
            .object_ref()
            .is_some_and(|reference| DESTRUCTIVE_ACTIONS.contains(&reference.resource)),
        _ => false,
    };
    is_destructive && !is_dry_run && event.stage() != Stage::RequestReceived
}

/// Whether the event reports missing events.
fn is_internal_gap(event: &EventRef<'_>) -> bool {
    let mut is_gap = false;
    if is_internal(event) {
        event.for_each_annotation(|key, _| {
            let key = key.strip_prefix(INTERNAL_ANNOTATION).unwrap_or_default();
            is_gap |= key.starts_with("gap") || key.starts_with("requests-refused-without-record");
        });
    }
    is_gap
}

/// Whether the event belongs to no request.
fn is_internal(event: &EventRef<'_>) -> bool {
    event.internal().is_some() || (event.request_uri().is_empty() && event.object_ref().is_none())
}

fn time(event: &EventRef<'_>) -> TerminalText {
    match event.stage_timestamp() {
        Timestamp::UNSET => time_of_day(event.request_received_timestamp()),
        time => time_of_day(time),
    }
}

fn time_of_day(time: Timestamp) -> TerminalText {
    let time = time.to_string();
    TerminalText::word(&format!("{}Z", time.get(11..19).unwrap_or("--:--:--")))
}

fn code(event: &EventRef<'_>) -> TerminalText {
    match event.response_status().map_or(0, |status| status.code()) {
        0 => TerminalText::word("---"),
        code => TerminalText::word(&format!("{code:03}")),
    }
}

fn resource(reference: &ObjectRefFields<'_>) -> TerminalText {
    let resource = TerminalText::field(reference.resource);
    if reference.subresource.is_empty() {
        return resource;
    }
    resource.joined("/", &TerminalText::field(reference.subresource))
}

/// The namespace and name, as far as they are set.
fn object(event: &EventRef<'_>, reference: &ObjectRefFields<'_>) -> TerminalText {
    let created = created_name(event, reference).unwrap_or_default();
    let name = if reference.name.is_empty() { created.as_str() } else { reference.name };
    match (reference.namespace, name) {
        ("", "") => TerminalText::word("-"),
        ("", name) => TerminalText::field(name),
        // In a request for a namespace, upstream sets the name twice.
        (_, name) if reference.resource == "namespaces" && reference.subresource.is_empty() => {
            TerminalText::field(name)
        }
        (namespace, "") => TerminalText::field(namespace).joined("/", &TerminalText::word("")),
        (namespace, name) => TerminalText::field(namespace).joined("/", &TerminalText::field(name)),
    }
}

/// The name that the server generated for a created object, from the response body.
fn created_name(event: &EventRef<'_>, reference: &ObjectRefFields<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
    }
    let is_nameless_create = event.verb() == "create" && reference.name.is_empty();
    let body = event.response_object().filter(|body| body.len() <= BODY_BYTES_MAX);
    let object: Object = serde_json::from_slice(body.filter(|_| is_nameless_create)?).ok()?;
    Some(object.metadata.name)
}

/// The URI of a request without an object, or the annotations of an internal event.
fn without_object(event: &EventRef<'_>) -> TerminalText {
    if is_internal(event) {
        internal_annotations(event)
    } else {
        TerminalText::field(event.request_uri())
    }
}

/// The annotations of an internal event.
fn internal_annotations(event: &EventRef<'_>) -> TerminalText {
    let mut annotations = Vec::new();
    event.for_each_annotation(|key, value| {
        if let Some(key) = key.strip_prefix(INTERNAL_ANNOTATION) {
            annotations.push(format!("{key}={value}"));
        }
    });
    TerminalText::sentence(&annotations.join(" "))
}

fn user(event: &EventRef<'_>) -> TerminalText {
    let name = |user: UserFields<'_, '_>| match user.username() {
        "" => TerminalText::word("-"),
        name => TerminalText::field(name),
    };
    match event.impersonated_user() {
        None => name(event.user()),
        Some(other) => name(event.user()).joined(" as ", &name(other)),
    }
}

fn addresses(event: &EventRef<'_>) -> TerminalText {
    let mut all = Vec::new();
    event.for_each_source_ip(|address| {
        all.push(address);
        ControlFlow::Continue(())
    });
    if all.is_empty() { TerminalText::word("-") } else { TerminalText::field(&all.join(",")) }
}

/// Distribute the columns: each field gets the columns that it needs, or an equal share of the
/// remaining columns. One column separates each field from the previous field.
fn shares<const N: usize>(columns: usize, needs: [usize; N]) -> [usize; N] {
    let mut left = columns.saturating_sub(N);
    let mut shares = [0; N];
    let mut by_need: Vec<(usize, &mut usize)> = needs.into_iter().zip(&mut shares).collect();
    by_need.sort_by_key(|(need, _)| *need);
    for (served, (need, share)) in by_need.into_iter().enumerate() {
        *share = need.min(left / (N - served));
        left -= *share;
    }
    shares
}

#[cfg(test)]
mod tests;
