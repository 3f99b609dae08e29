//! `keepwatch reference`: pages of the documentation that are made from the program itself.

mod rules;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Command, CommandFactory as _};
use kasten::Installation;
use kasten::domain::DOMAIN;

use crate::app;
use crate::args::{Args, Page};
use crate::standalone::{core_events, secrets};

/// Prints one page: Markdown, or a manifest.
pub(crate) fn run(page: Page) -> Result<ExitCode> {
    let text = match page {
        Page::Kinds => kasten::reference() + &siem::reference(),
        Page::Cli => cli()?,
        Page::Limits => limits()?,
        Page::Apiservices => api_services()?,
        Page::PolicyK10 => audit::Builtin::K10.text(DOMAIN),
        Page::PolicyK10V7 => audit::Builtin::K10V7.text(DOMAIN),
        Page::PolicyExtended => audit::Builtin::Extended.text(DOMAIN),
        Page::Crds => kasten::config::definitions(),
        Page::RulesKasten => rules::page()?,
        Page::RulesExport => rules::exports()?,
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The groups and versions that kube-apiserver hands on to this server.
fn api_services() -> Result<String> {
    let mut page =
        String::from("# Made from the program: `cargo xtask codegen` writes this file.\n");
    let mut known = BTreeSet::new();
    let kinds = kasten::resources(&Installation::DEFAULT)
        .into_iter()
        .chain(siem::resources(&siem::Services::default()));
    for resource in kinds {
        if known.insert((resource.group, resource.version)) {
            writeln!(page, "- group: {}\n  version: {}", resource.group, resource.version)?;
        }
    }
    Ok(page)
}

/// Every command with its help.
fn cli() -> Result<String> {
    let mut page = String::from(
        "# Command line\n\nMade from the program: `cargo xtask codegen` writes this page.\n",
    );
    let mut command = Args::command().term_width(100);
    command.build();
    section(&mut page, &mut command, "keepwatch")?;
    Ok(page)
}

fn section(page: &mut String, command: &mut Command, name: &str) -> Result<()> {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end())?;
    for subcommand in command.get_subcommands_mut() {
        if subcommand.get_name() == "help" || subcommand.is_hide_set() {
            continue;
        }
        let name = format!("{name} {}", subcommand.get_name());
        section(page, subcommand, &name)?;
    }
    Ok(())
}

/// Every bound of the program: nothing in it grows without one.
fn limits() -> Result<String> {
    let mut page = String::from(
        "# Limits\n\nMade from the program: `cargo xtask codegen` writes this page. What a flag \
         changes stands in the [command line](cli.md).\n\n| what | limit |\n|---|---|\n",
    );
    for (what, limit) in
        rows().into_iter().chain(request_rows()).chain(detection_rows()).chain(index_rows())
    {
        writeln!(page, "| {what} | {limit} |")?;
    }
    Ok(page)
}

/// Those of the index of events, of objects that wait, and of lines for people.
fn index_rows() -> Vec<(&'static str, String)> {
    use store::event_index as index;
    let gather_time = format!("{} ms", delivery::INDEX_GATHER_TIME.as_millis());
    vec![
        ("Records in a segment of the index of events", index::SEGMENT_RECORDS.to_string()),
        (
            "Values of a column of a segment that are told apart exactly",
            index::VALUES_MAX.to_string(),
        ),
        ("Combinations of verb, resource and code in a segment", index::REQUESTS_MAX.to_string()),
        ("Bytes of the index for an event", index::EVENT_BYTES_MAX.to_string()),
        ("Addresses of an event that are in the index", event::term::ADDRESSES_MAX.to_string()),
        (
            "Bytes of the journal that are read again each second, to find damage",
            format!("{} bytes", crate::journal_gaps::VERIFY_BYTES),
        ),
        ("Segments that one call of the index looks through", index::SEGMENTS_MAX.to_string()),
        ("Time records gather before they are indexed", gather_time),
        (
            "Time a deletion waits for its object",
            format!("{} ms", delivery::DELETION_AGE.as_millis()),
        ),
        (
            "Time that what an idle cluster makes waits for its object",
            format!("{} ms", delivery::IDLE_AGE.as_millis()),
        ),
        (
            "Columns of a line for people, however wide the terminal",
            event::short::COLUMNS_MAX.to_string(),
        ),
    ]
}

fn rows() -> Vec<(&'static str, String)> {
    use apiserver::limits as front;
    use store::settings as disk;
    let seconds = |time: std::time::Duration| format!("{} ms", time.as_millis());
    let bytes = |bytes: usize| format!("{bytes} bytes");
    let defaults = store::Settings::default();
    let flags = front::Limits::default();
    vec![
        ("Body of a request", bytes(front::BODY_BYTES_MAX)),
        ("Pause within a body", seconds(front::BODY_PAUSE_MAX)),
        ("Path and query of a request; longer ones get 414", bytes(front::URI_BYTES_MAX)),
        ("Headers of an HTTP/2 request", bytes(front::HEADER_BYTES_MAX as usize)),
        (
            "Bytes of headers of HTTP/2 requests held until they are complete",
            bytes(front::HELD_HEADERS_BYTES_MAX),
        ),
        ("Head of an HTTP/1 request", bytes(front::HEAD_BYTES_MAX)),
        ("Time for the head of an HTTP/1 request", seconds(front::HEADER_TIME_MAX)),
        ("Time for a TLS handshake", seconds(front::HANDSHAKE_TIME_MAX)),
        ("Connections", front::CONNECTIONS_MAX.to_string()),
        ("Connections from one address", front::ADDRESS_CONNECTIONS_MAX.to_string()),
        ("Streams of an HTTP/2 connection", front::STREAMS_MAX.to_string()),
        ("Time a connection may be idle", seconds(front::IDLE_TIME_MAX)),
        ("Reading requests at a time (default); of one user 3/4", flags.reads_max.to_string()),
        ("Changing requests at a time (default); of one user 3/4", flags.mutations_max.to_string()),
        ("Time for a request (default)", seconds(flags.request_time_max)),
        ("Time for a record to become durable", seconds(front::RECORD_TIME_MAX)),
        ("Requests that wait for the store", disk::WAITING_MAX.to_string()),
        ("Requests in one commit", disk::GROUP_MAX.to_string()),
        ("Bytes in one commit", bytes(disk::GROUP_BYTES_MAX)),
        ("Changes handed to a watch at a time", disk::CHANGES_MAX.to_string()),
        ("Memory for objects and their keys", bytes(defaults.objects_bytes)),
        ("Objects read from disk in one go", disk::OBJECTS_MAX.to_string()),
        ("Superseded revisions kept", defaults.history_rows.to_string()),
        ("Records kept in memory for readers", bytes(defaults.recent_bytes)),
        ("Size of the store at which requests are refused (default)", {
            format!("{} bytes", defaults.limit_bytes)
        }),
        ("Records in a batch for a sink", delivery::BATCH_ROWS_MAX.to_string()),
        ("Bytes in a batch for a sink", bytes(delivery::BATCH_BYTES_MAX)),
        ("Bytes of lines in an object (default)", bytes(objectstore::SEAL_BYTES)),
        ("Time an event waits for its object (default)", seconds(objectstore::SEAL_AGE)),
        ("Bytes of a line, as the Forwarder counts them", bytes(objectstore::LINE_BYTES)),
        ("Bytes of a line on standard output and in a file (default)", {
            bytes(delivery::LINE_BYTES_MAX)
        }),
        ("Bytes of a prefix of keys", bytes(objectstore::PREFIX_BYTES_MAX)),
        ("Wait that a store may ask for", seconds(delivery::RETRY_AFTER_MAX)),
        ("Time between two looks of a sink that has everything", seconds(delivery::GATHER_TIME)),
        (
            "Time between two objects that are sealed for a signal of high severity",
            seconds(delivery::URGENT_PERIOD),
        ),
        ("Time for the sinks at shutdown", seconds(delivery::DRAIN_MAX)),
        (
            "Time for the last delivery of a deleted AuditConfig",
            seconds(controller::settings::DRAIN_TIME),
        ),
        ("Events for people kept in a namespace (keepwatch up)", core_events::KEPT_MAX.to_string()),
        ("Values of a Secret together (keepwatch up)", bytes(secrets::DATA_BYTES_MAX)),
        ("AuditEvents in a page", siem::audit_event::PAGE_MAX.to_string()),
        ("Bytes at which a page of AuditEvents ends", bytes(siem::audit_event::PAGE_BYTES)),
        ("Records that one list of AuditEvents looks at", {
            siem::audit_event::SCAN_MAX.to_string()
        }),
        ("Audit policy", bytes(audit::POLICY_LEN_MAX)),
        ("Threads for requests", app::WORKERS.1.to_string()),
        ("Threads that wait for the disk", app::BLOCKING_MAX.to_string()),
    ]
}

/// Those of what one request may take and make long.
fn request_rows() -> Vec<(&'static str, String)> {
    use apiserver::{limits as front, registry};
    let seconds = |time: std::time::Duration| format!("{} ms", time.as_millis());
    let bytes = |bytes: usize| format!("{bytes} bytes");
    vec![
        ("Bytes of bodies under way; of one user a quarter", bytes(front::BODIES_BYTES_MAX)),
        ("Bytes of memory for the values of a body", bytes(registry::TREE_BYTES_MAX)),
        ("Bytes of a YAML body", bytes(registry::YAML_BYTES_MAX)),
        ("Values in a YAML body", registry::YAML_VALUES_MAX.to_string()),
        ("Bytes of long answers under way; of one user a quarter", {
            bytes(front::ANSWERS_BYTES_MAX)
        }),
        ("Watches at a time; of one user 3/4", front::WATCHES_MAX.to_string()),
        ("Bytes of changes handed to a watch at a time", {
            bytes(store::settings::CHANGES_BYTES_MAX)
        }),
        ("Bytes of long events of watches under way; of one user a quarter", {
            bytes(front::WATCHES_BYTES_MAX)
        }),
        ("Wrong fields of one object that are told", front::FIELD_ERRORS_MAX.to_string()),
        ("Unknown fields of one object that are told", front::UNKNOWN_FIELDS_MAX.to_string()),
        ("Lists that are rendered at a time", front::LISTS_MAX.to_string()),
        ("Time in which a client takes nothing of an answer", seconds(front::ANSWER_PAUSE_MAX)),
        ("Bytes that a client may send over a WebSocket at a time", {
            bytes(front::WEBSOCKET_FRAME_BYTES_MAX)
        }),
        ("Bytes of an audit ID", bytes(event::limit::AUDIT_ID_BYTES_MAX)),
        ("Bytes of a URI in an event", bytes(event::limit::URI_BYTES_MAX)),
        ("Bytes of a name in an event", bytes(event::limit::NAME_BYTES_MAX)),
        ("Bytes of a message in an event", bytes(event::limit::MESSAGE_BYTES_MAX)),
        ("Bytes of the groups of a user in an event", bytes(event::limit::USER_BYTES_MAX)),
        ("Bytes of the body of a refusal in an event", bytes(event::limit::REFUSAL_BYTES_MAX)),
    ]
}

fn detection_rows() -> Vec<(&'static str, String)> {
    use detect::engine;
    let seconds = |time: std::time::Duration| format!("{} ms", time.as_millis());
    let micros = |time: i64| format!("{} ms", time / 1000);
    let bytes = |bytes: usize| format!("{bytes} bytes");
    let limits = engine::Limits::default();
    vec![
        ("Signals kept", siem::signal::retention::COUNT_MAX.to_string()),
        ("Time a closed signal is kept", seconds(siem::signal::retention::AGE_MAX)),
        ("DetectionRules that people make", siem::detection_rule::RULES_MAX.to_string()),
        ("Characters of a DetectionRule", siem::detection_rule::SIGMA_LEN_MAX.to_string()),
        ("Rules that are evaluated together", detect::ruleset::RULES_MAX.to_string()),
        ("Filters of rules", detect::ruleset::FILTERS_MAX.to_string()),
        ("Bytes of a text that a template makes", bytes(detect::template::RENDERED_LEN_MAX)),
        ("Time by which a stamp may be ahead of its arrival", micros(engine::FUTURE_SKEW_MAX)),
        ("Time an event is remembered, so that it counts once", micros(engine::IDENTITY_MEMORY)),
        ("Events that are remembered, so that they count once", limits.identities.to_string()),
        ("Groups of a rule before it counts by fewer fields", limits.groups_per_rule.to_string()),
        ("Values that a first-seen rule remembers", limits.values_per_rule.to_string()),
        ("Open signals of a rule", limits.signals_per_rule.to_string()),
        ("Events that one window remembers", engine::WINDOW_EVENTS_MAX.to_string()),
        ("Memory for the windows of all rules", bytes(limits.state_bytes)),
        ("Events that wait for earlier ones", limits.waiting_events.to_string()),
        ("Memory for events that wait for earlier ones", bytes(limits.waiting_bytes)),
        ("Events that a signal carries as evidence", engine::EVIDENCE_EVENTS_MAX.to_string()),
        ("Bytes of the events that a signal carries", bytes(engine::EVIDENCE_LEN_MAX)),
        ("Objects that a signal names", engine::TARGETS_MAX.to_string()),
        ("Objects that a signal counts exactly", engine::TARGETS_COUNTED_MAX.to_string()),
        ("Time between two writes of a signal that goes on", seconds(delivery::UPDATE_PERIOD)),
        ("Records after which the detector's state is saved", {
            delivery::CHECKPOINT_RECORDS.to_string()
        }),
        ("Time after which the detector's state is saved", seconds(delivery::CHECKPOINT_PERIOD)),
        ("The same in a journal of which half is used", seconds(delivery::CHECKPOINT_PERIOD_MIN)),
        ("Notifiers", delivery::notification::NOTIFIERS_MAX.to_string()),
        ("Time for the answer of a notifier", seconds(sink::notifier::RESPONSE_TIME_MAX)),
        ("Time between two notifications of a signal that goes on", {
            seconds(delivery::notification::UPDATE_INTERVAL)
        }),
        ("Bytes of a signal in a webhook", bytes(sink::notifier::SIGNAL_BYTES_MAX)),
    ]
}
