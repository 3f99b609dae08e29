//! The page of the limits of queues, buffers, caches and waits.

mod proxied;

mod doctor;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::app;
use crate::commands::forward::{
    BUFFER_BYTES_MIN, HEALTH_CONNECTION_TIME_MAX, HEALTH_CONNECTIONS_MAX,
};
use crate::detection::remaining::APPLICATIONS_MAX;
use crate::standalone::{core_events, secrets};

const HEAD: &str = "# Limits\n\n\
    Generated from the code: `cargo xtask codegen` writes this page. \"Default\" means that a flag \
    changes the limit; see the [command line](cli.md).\n";

/// The description and the value of a limit.
type Row = (&'static str, String);

/// The page.
pub(super) fn page() -> Result<String> {
    let mut page = HEAD.to_owned();
    let sections = [
        ("Connections and requests", requests()),
        ("Responses and watches", responses()),
        ("Proxy", proxied::proxied()),
        ("Store", store()),
        ("Sources of events", sources()),
        ("Buckets that are read", buckets()),
        ("Delivery", delivery()),
        ("Events", events()),
        ("Index of events", index()),
        ("Rules and signals", rules()),
        ("State of the detector", detector()),
        ("Notifiers", notifiers()),
        ("Doctor", doctor::rows()),
    ];
    for (title, rows) in sections {
        write!(page, "\n## {title}\n\n| Limit | Value |\n|---|---|\n")?;
        for (what, limit) in rows {
            writeln!(page, "| {what} | {limit} |")?;
        }
    }
    Ok(page)
}

fn requests() -> Vec<Row> {
    use apimachinery::serializer;
    use apiserver::limits;
    let flags = limits::Limits::default();
    vec![
        ("Connections", limits::CONNECTIONS_MAX.to_string()),
        ("Connections from one address", limits::ADDRESS_CONNECTIONS_MAX.to_string()),
        ("Streams of an HTTP/2 connection", limits::STREAMS_MAX.to_string()),
        ("Time for a TLS handshake", time(limits::HANDSHAKE_TIME_MAX)),
        ("Idle time of a connection", time(limits::IDLE_TIME_MAX)),
        ("Size of the head of an HTTP/1 request", bytes(limits::HEAD_BYTES_MAX)),
        (
            "Size of the heads of all HTTP/1 requests that are not complete, beyond 16 KiB each",
            bytes(limits::HELD_HEADS_BYTES_MAX),
        ),
        ("Of these, the heads from one address", bytes(limits::ADDRESS_HEADS_BYTES_MAX)),
        ("Time to receive the head of an HTTP/1 request", time(limits::HEADER_TIME_MAX)),
        ("Size of the headers of an HTTP/2 request", bytes(limits::HEADER_BYTES_MAX as usize)),
        (
            "Size of the headers of all HTTP/2 requests that are not complete",
            bytes(limits::HELD_HEADERS_BYTES_MAX),
        ),
        (
            "Size of the path and query of a request; a longer one gets 414",
            bytes(limits::URI_BYTES_MAX),
        ),
        ("Size of a request body", bytes(limits::BODY_BYTES_MAX)),
        (
            "Size of a JSON body or stored object that is decoded on the threads for requests",
            bytes(limits::JSON_INLINE_BYTES_MAX),
        ),
        (
            "Size of a YAML or protobuf body that is decoded there",
            bytes(limits::OTHER_INLINE_BYTES_MAX),
        ),
        ("Larger bodies that are decoded at the same time", limits::READERS_MAX.to_string()),
        (
            "Size of an object to which a change is applied again after a concurrent change; \
             for a larger one, the response is 409",
            bytes(limits::REAPPLIED_BYTES_MAX),
        ),
        ("Pause between two parts of a request body", time(limits::BODY_PAUSE_MAX)),
        (
            "Size of all request bodies in flight; a quarter of it for one user",
            bytes(limits::BODIES_BYTES_MAX),
        ),
        ("Memory for the values of a decoded body", bytes(serializer::TREE_BYTES_MAX)),
        ("Size of a YAML body", bytes(serializer::YAML_BYTES_MAX)),
        ("Values in a YAML body", serializer::YAML_VALUES_MAX.to_string()),
        ("Texts of a YAML body with its aliases", bytes(serializer::YAML_TEXT_BYTES_MAX)),
        (
            "Read-only requests in flight (default); three quarters of it for one user",
            flags.reads_max.to_string(),
        ),
        (
            "Mutating requests in flight (default); three quarters of it for one user",
            flags.mutations_max.to_string(),
        ),
        ("Duration of a request (default)", time(flags.request_time_max)),
        ("Time to commit an audit event", time(limits::RECORD_TIME_MAX)),
        ("Threads for requests", app::WORKERS.1.to_string()),
        ("Threads for disk I/O", app::BLOCKING_MAX.to_string()),
        ("Size of an audit policy", bytes(audit::POLICY_LEN_MAX)),
    ]
}

fn responses() -> Vec<Row> {
    use apiserver::limits;
    use siem::audit_event;
    vec![
        (
            "Size of all large responses in flight; a quarter of it for one user",
            bytes(limits::RESPONSES_BYTES_MAX),
        ),
        (
            "Size of the objects of one list; half of it as a table, a quarter as YAML",
            bytes(limits::LIST_BYTES_MAX),
        ),
        (
            "Size of the objects of a page, at which it ends; the same fractions",
            bytes(limits::LIST_PAGE_BYTES_MAX),
        ),
        ("Lists that are read and encoded at the same time", limits::LISTS_MAX.to_string()),
        ("Time in which a client reads nothing of a response", time(limits::RESPONSE_PAUSE_MAX)),
        (
            "Invalid fields that an error response lists",
            apimachinery::api_error::FIELD_ERRORS_MAX.to_string(),
        ),
        (
            "Unknown fields that a warning lists",
            apimachinery::schema::UNKNOWN_FIELDS_MAX.to_string(),
        ),
        ("Open watches; three quarters of it for one user", limits::WATCHES_MAX.to_string()),
        ("Changes in one batch to a watch", store::settings::WATCH_CHANGES_MAX.to_string()),
        ("Size of one batch of changes to a watch", bytes(store::settings::WATCH_BYTES_MAX)),
        (
            "Size of all large watch events in flight; a quarter of it for one user",
            bytes(limits::WATCHES_BYTES_MAX),
        ),
        ("Size of a WebSocket frame from a client", bytes(limits::WEBSOCKET_FRAME_BYTES_MAX)),
        ("AuditEvents in a page", audit_event::PAGE_MAX.to_string()),
        (
            "Size at which a page of AuditEvents ends; half of it as a table, a quarter as YAML",
            bytes(audit_event::PAGE_BYTES),
        ),
        (
            "Lists of AuditEvents that are read and encoded at the same time; half of them for one user",
            limits::LISTS_MAX.to_string(),
        ),
        ("Records that a list of AuditEvents reads", audit_event::SCAN_MAX.to_string()),
        ("Events (`v1`) kept in a namespace (`keepwatch up`)", core_events::EVENTS_MAX.to_string()),
        ("Size of the values of a Secret (`keepwatch up`)", bytes(secrets::DATA_BYTES_MAX)),
    ]
}

fn store() -> Vec<Row> {
    use store::settings;
    let defaults = store::Settings::default();
    vec![
        ("Size of the store at which requests are rejected (default)", size(defaults.limit_bytes)),
        ("Requests that wait for the writer", settings::QUEUE_MAX.to_string()),
        ("Requests in a group commit", settings::GROUP_MAX.to_string()),
        ("Size of a group commit", bytes(settings::GROUP_BYTES_MAX)),
        ("Memory for cached objects and all keys", bytes(defaults.object_cache_bytes)),
        ("Objects read from disk at a time", settings::READ_OBJECTS_MAX.to_string()),
        ("Superseded revisions kept", defaults.history_rows.to_string()),
        ("Memory for recent records", bytes(defaults.tail_cache_bytes)),
        ("Time that a read waits for a newer revision", time(defaults.revision_wait)),
        (
            "Size of the records that are verified per second",
            size(crate::journal_gaps::VERIFY_BYTES as u64),
        ),
    ]
}

fn sources() -> Vec<Row> {
    use source::limits;
    vec![
        ("Connections to the audit webhook", limits::CONNECTIONS_MAX.to_string()),
        ("Connections to it from one address", limits::ADDRESS_CONNECTIONS_MAX.to_string()),
        (
            "Time of a connection to it without valid credentials",
            time(limits::UNAUTHENTICATED_TIME_MAX),
        ),
        (
            "Time in which a reason to refuse its senders is logged once",
            time(limits::REFUSAL_LOG_PERIOD),
        ),
        ("Clusters that may send events to it", limits::CLUSTERS_MAX.to_string()),
        ("Tokens in one of its token files", limits::TOKENS_MAX.to_string()),
        ("Names of its client certificates", limits::CLIENT_NAMES_MAX.to_string()),
        ("Size of a request to it", size(limits::BODY_BYTES_MAX)),
        ("Requests to it that are received at a time", limits::BODIES_MAX.to_string()),
        ("Time to receive it", time(limits::BODY_TIME_MAX)),
        ("Streams of an HTTP/2 connection to it", limits::STREAMS_MAX.to_string()),
        ("Time that a request waits for others", time(limits::WAIT_MAX)),
        ("Size of an event above which it loses bodies", bytes(limits::EVENT_BYTES_MAX)),
        (
            "Events of more than 256 KiB that are received at a time",
            limits::LONG_EVENTS_MAX.to_string(),
        ),
        ("Size of an admission review", bytes(limits::REVIEW_BYTES_MAX)),
        (
            "Size of the admission reviews that are received at a time",
            bytes(limits::REVIEWS_BYTES_MAX),
        ),
        ("Time in which an admission review is answered", time(limits::REVIEW_TIME_MAX)),
        ("Size of the object before a change in its event", bytes(limits::OLD_OBJECT_BYTES_MAX)),
        ("Audit logs that are read (`--audit-log-source`)", limits::LOGS_MAX.to_string()),
        ("Smallest buffer of `keepwatch forward` (`--buffer-size`)", size(BUFFER_BYTES_MIN)),
        ("Time for an answer to `keepwatch forward`", time(sink::event_list::RESPONSE_TIME_MAX)),
        ("Connections to `--health-address`; others wait", HEALTH_CONNECTIONS_MAX.to_string()),
        ("Time for such a connection", time(HEALTH_CONNECTION_TIME_MAX)),
        ("Time between two looks at the files of a log", time(limits::LOG_POLL_PERIOD)),
        ("Rotated files of a log", limits::LOG_FILES_MAX.to_string()),
        ("Files of a log that are opened before they are read", limits::LOG_OPEN_MAX.to_string()),
        ("Positions in files of a log that are stored", limits::LOG_POSITIONS_MAX.to_string()),
        (
            "Time without a change after which a rotated file of a log is closed",
            time(limits::LOG_IDLE),
        ),
        (
            "Time after which a log is read again when its lines could not be recorded",
            time(limits::LOG_RETRY_MAX),
        ),
        ("Events in a transaction", limits::CHUNK_EVENTS_MAX.to_string()),
        ("Size of the records in a transaction", bytes(limits::CHUNK_BYTES_MAX)),
        ("Events among which duplicates are detected", limits::IDENTITIES_MAX.to_string()),
        (
            "Age of the records among which duplicates are detected after a restart",
            time(limits::IDENTITY_AGE_MAX),
        ),
        ("Records that are read for it at the start", limits::REFILL_RECORDS_MAX.to_string()),
        ("Size of these records", size(limits::REFILL_BYTES_MAX)),
        ("Time to read them", time(limits::REFILL_TIME_MAX)),
        ("Size of a quarantined text that is recorded", bytes(limits::QUARANTINE_BYTES_MAX)),
        ("Quarantined texts of a request that are recorded", limits::QUARANTINED_MAX.to_string()),
        ("`Retry-After` that a sender gets", time(limits::RETRY_AFTER_MAX)),
    ]
}

fn buckets() -> Vec<Row> {
    use source::limits;
    vec![
        ("Bucket prefixes that are read (`--bucket-source`)", limits::BUCKETS_MAX.to_string()),
        ("Objects of a prefix that are read at a time", limits::BUCKET_READS_MAX.to_string()),
        ("Objects of all prefixes that are read at a time", limits::BUCKETS_READS_MAX.to_string()),
        ("Pause while a store sends an object", time(limits::BUCKET_PAUSE_MAX)),
        ("Time between two listings of a bucket (default)", time(limits::BUCKET_POLL_PERIOD)),
        ("Quiet period of a bucket (default)", time(limits::BUCKET_QUIET_PERIOD)),
        (
            "Time before its newest object in which a bucket's objects are remembered",
            time(limits::BUCKET_WINDOW),
        ),
        ("Objects of a prefix that are remembered", limits::BUCKET_SEEN_MAX.to_string()),
        (
            "Objects of a prefix that are read between two listings",
            limits::BUCKET_BATCH_MAX.to_string(),
        ),
        (
            "Time without a change after which the incomplete end of an object is recorded",
            time(limits::BUCKET_IDLE),
        ),
        (
            "Time after which an object is read again that could not be read or recorded",
            time(limits::BUCKET_RETRY_MAX),
        ),
        ("Layers of gzip and zstd around an object", limits::LAYERS_MAX.to_string()),
        ("Window of zstd", bytes(1 << limits::ZSTD_WINDOW_LOG_MAX)),
        (
            "Decompressed size of an object, as a multiple of its size",
            format!("{}, and {}", limits::EXPANSION_MAX, size(limits::EXPANSION_BYTES_MIN)),
        ),
        ("… of what is between two layers", limits::INNER_EXPANSION_MAX.to_string()),
        ("… and", size(limits::INNER_EXPANSION_BYTES_MIN)),
        ("Containers around an event in an item of a list", limits::CONTAINERS_MAX.to_string()),
        ("Items in the containers of an item of a list", limits::INNER_ITEMS_MAX.to_string()),
    ]
}

fn delivery() -> Vec<Row> {
    vec![
        ("Records in a batch for a sink", delivery::BATCH_ROWS_MAX.to_string()),
        ("Size of a batch for a sink", bytes(delivery::BATCH_BYTES_MAX)),
        ("Time between two reads of a sink without a backlog", time(delivery::GATHER_TIME)),
        (
            "Length of a line on standard output and in a file (default)",
            bytes(delivery::LINE_BYTES_MAX),
        ),
        (
            "Length of a line in a bucket, as the Datadog Forwarder counts it",
            bytes(objectstore::LINE_BYTES),
        ),
        ("Size of the lines in an object (default)", bytes(objectstore::SEAL_BYTES)),
        ("Time that an event waits for its object (default)", time(objectstore::SEAL_AGE)),
        ("Time that a deletion waits for its object", time(delivery::DELETION_AGE)),
        (
            "Time that heartbeats and requests of an idle cluster wait for their object",
            time(delivery::IDLE_AGE),
        ),
        ("Time between two objects for signals of high severity", time(delivery::URGENT_PERIOD)),
        ("Length of a key prefix", bytes(objectstore::PREFIX_BYTES_MAX)),
        ("`Retry-After` that is honored", time(delivery::RETRY_AFTER_MAX)),
        ("Time to deliver at shutdown", time(delivery::DRAIN_MAX)),
        ("Time to deliver when an AuditConfig is deleted", time(controller::settings::DRAIN_TIME)),
    ]
}

fn events() -> Vec<Row> {
    use event::limit;
    vec![
        ("Length of an audit ID", bytes(limit::AUDIT_ID_BYTES_MAX)),
        ("Length of a request URI", bytes(limit::URI_BYTES_MAX)),
        ("Length of a name", bytes(limit::NAME_BYTES_MAX)),
        ("Length of a message", bytes(limit::MESSAGE_BYTES_MAX)),
        ("Size of the groups of a user", bytes(limit::USER_BYTES_MAX)),
        ("Size of the body of an error response", bytes(limit::ERROR_BODY_BYTES_MAX)),
        ("Columns of a line in the encoding `short`", event::short::COLUMNS_MAX.to_string()),
    ]
}

fn index() -> Vec<Row> {
    use store::event_index;
    vec![
        ("Records in a segment", event_index::SEGMENT_RECORDS.to_string()),
        ("Distinct values of a column in a segment", event_index::VALUES_MAX.to_string()),
        (
            "Combinations of verb, resource and status code in a segment",
            event_index::REQUESTS_MAX.to_string(),
        ),
        ("Size of the index per event", size(event_index::EVENT_BYTES_MAX)),
        ("Source addresses of an event in the index", event::term::ADDRESSES_MAX.to_string()),
        ("Segments that one search reads at a time", event_index::SEGMENTS_MAX.to_string()),
        ("Time that records wait to be indexed", time(delivery::INDEX_GATHER_TIME)),
    ]
}

fn rules() -> Vec<Row> {
    use detect::{engine, ruleset};
    vec![
        ("DetectionRules", siem::detection_rule::RULES_MAX.to_string()),
        ("Characters of a DetectionRule", siem::detection_rule::SIGMA_LEN_MAX.to_string()),
        ("Steps to compile the rules of a file", detect::COMPILATION_STEPS_MAX.to_string()),
        (
            "Steps to search the rules of a file for conditions that cannot be met",
            detect::EXAMINATION_STEPS_MAX.to_string(),
        ),
        ("Texts of a rule file with its aliases", bytes(detect::sigma::EXPANDED_LEN_MAX)),
        ("Rules that are evaluated together", ruleset::RULES_MAX.to_string()),
        ("Filters", ruleset::FILTERS_MAX.to_string()),
        ("Size of a rendered template", bytes(detect::template::RENDERED_LEN_MAX)),
        ("Signals kept", siem::signal::retention::COUNT_MAX.to_string()),
        ("Time that a closed signal is kept", time(siem::signal::retention::AGE_MAX)),
        ("Events in a signal", engine::EVIDENCE_EVENTS_MAX.to_string()),
        ("Size of the events in a signal", bytes(engine::EVIDENCE_LEN_MAX)),
        ("Objects that a signal names", engine::TARGETS_MAX.to_string()),
        ("Applications that a signal names", APPLICATIONS_MAX.to_string()),
        ("Objects that a signal counts exactly", engine::TARGETS_COUNTED_MAX.to_string()),
        (
            "Users, namespaces and addresses that a signal lists",
            engine::ACTOR_VALUES_MAX.to_string(),
        ),
        (
            "Users, namespaces and addresses that a signal counts exactly",
            engine::NAMES_COUNTED_MAX.to_string(),
        ),
        ("Time between two writes of an open signal", time(delivery::UPDATE_PERIOD)),
    ]
}

fn detector() -> Vec<Row> {
    use detect::engine;
    let limits = engine::Limits::default();
    vec![
        (
            "Time by which an event's timestamp may be after its arrival",
            micros(engine::FUTURE_SKEW_MAX),
        ),
        ("Time for which duplicates are detected", micros(engine::IDENTITY_RETENTION)),
        ("Events among which duplicates are detected", limits.identities.to_string()),
        (
            "Time between the events of one request in the logs of two sources",
            micros(engine::REQUEST_TOLERANCE.cast_signed()),
        ),
        (
            "Events of the last seconds that are compared with those of other sources, by rule",
            limits.identities.to_string(),
        ),
        (
            "Impersonated requests that wait for the event of another source",
            engine::IMPERSONATIONS_MAX.to_string(),
        ),
        (
            "Groups of a rule before it counts new ones by a coarser key",
            limits.groups_per_rule.to_string(),
        ),
        ("Values that a first-seen rule remembers", limits.values_per_rule.to_string()),
        ("Open signals of a rule", limits.signals_per_rule.to_string()),
        ("Events in a window", engine::WINDOW_EVENTS_MAX.to_string()),
        ("Memory for the windows of all rules", bytes(limits.state_bytes)),
        ("Events in the reorder buffer", limits.waiting_events.to_string()),
        ("Memory for the reorder buffer", bytes(limits.waiting_bytes)),
        ("Records between two checkpoints", delivery::CHECKPOINT_RECORDS.to_string()),
        ("Time between two checkpoints", time(delivery::CHECKPOINT_PERIOD)),
        (
            "Time between two checkpoints when half of the store is used",
            time(delivery::CHECKPOINT_PERIOD_MIN),
        ),
    ]
}

fn notifiers() -> Vec<Row> {
    use delivery::notification;
    use sink::notifier;
    vec![
        ("Notifiers", notification::NOTIFIERS_MAX.to_string()),
        ("Time for a response", time(notifier::RESPONSE_TIME_MAX)),
        ("Time between two updates of a signal", time(notification::UPDATE_INTERVAL)),
        ("Size of a signal in a webhook", bytes(notifier::SIGNAL_BYTES_MAX)),
    ]
}

/// A duration in its largest unit without a fraction.
fn time(time: Duration) -> String {
    const UNITS: [(u128, &str); 4] =
        [(86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    let millis = time.as_millis();
    let fits = |unit: u128| {
        let least = if unit == 1000 { unit } else { 2 * unit };
        millis >= least && millis.is_multiple_of(unit)
    };
    UNITS
        .into_iter()
        .find(|(unit, _)| fits(*unit))
        .map_or_else(|| format!("{millis} ms"), |(unit, name)| format!("{} {name}", millis / unit))
}

fn micros(micros: i64) -> String {
    time(Duration::from_micros(micros.unsigned_abs()))
}

fn bytes(bytes: usize) -> String {
    size(bytes as u64)
}

/// A number of bytes in its largest unit without a fraction.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = |unit: u64| bytes >= unit && bytes.is_multiple_of(unit);
    UNITS
        .into_iter()
        .find(|(unit, _)| fits(*unit))
        .map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_the_largest_whole_unit() {
        let times = [1, 1000, 60_000, 90_000, 120_000, 86_400_000, 7_776_000_000];
        let times = times.map(|millis| time(Duration::from_millis(millis)));
        assert_eq!(times.join(", "), "1 ms, 1 s, 60 s, 90 s, 2 min, 24 h, 90 days");
        let sizes = [10, 1024, 1536, 16 << 20, 16 << 30].map(size);
        assert_eq!(sizes.join(", "), "10 bytes, 1 KiB, 1536 bytes, 16 MiB, 16 GiB");
    }
}
