//! The keys of all annotations. Their reference page is generated from this list.
//!
//! Upstream's keys are constants of the crates that set them.

/// One row of the reference page.
#[derive(Clone, Copy, Debug)]
pub struct Annotation {
    /// The key, or its prefix if it ends in `/`.
    pub key: &'static str,
    /// The object or event that has it.
    pub on: &'static str,
    /// The doc comment of the constant: the value, and which component sets it.
    pub text: &'static [&'static str],
}

/// The value of [`OUTCOME`] if it is not known whether the request had an effect.
pub const OUTCOME_UNKNOWN: &str = "unknown";
/// The value of [`OUTCOME`] if the request cannot have had an effect.
pub const OUTCOME_NOT_FORWARDED: &str = "not-forwarded";

/// Defines the constants. A macro, because it can use doc comments as the texts of the reference
/// too.
macro_rules! annotations {
    ($($(#[doc = $text:literal])+ $name:ident = $key:literal, on $on:literal;)+) => {
        $($(#[doc = $text])+ pub const $name: &str = $key;)+

        /// All keys, in the order of the page.
        pub const ALL: &[Annotation] =
            &[$(Annotation { key: $key, on: $on, text: &[$($text),+] }),+];
    };
}

/// The name of the admission webhook in its configuration: kube-apiserver puts it before the keys
/// of the audit annotations that the webhook returns.
pub const ADMISSION_WEBHOOK: &str = "admission.keepwatch.io";

annotations! {
    /// Sequence number of the record in the journal. The same in every destination; a client cannot
    /// choose it.
    JOURNAL_SEQ = "keepwatch.io/journal-seq", on "every line of an event";
    /// Audit ID of the request that made the server change the object.
    CAUSED_BY = "audit.keepwatch.io/caused-by", on "event of a change by the server";
    /// The fields of the request and response bodies that are not recorded because they can be
    /// secret.
    WITHHELD = "keepwatch.io/withheld", on "event";
    /// The parts that were removed from the line because it was too long: bodies, fields.
    TRUNCATED = "keepwatch.io/truncated", on "line that was too long";
    /// Length of the complete line in bytes.
    FULL_BYTES = "keepwatch.io/full-bytes", on "line that was too long";
    /// SHA-256 of the complete line. On standard output and in files only if fields were truncated:
    /// a replaced body has its own digest.
    FULL_SHA256 = "keepwatch.io/full-sha256", on "line that was too long";
    /// The last sequence number in the journal before the heartbeat.
    HEARTBEAT = "keepwatch.io/heartbeat", on "heartbeat event";
    /// The name of a destination follows the slash. The value has the last sequence number that was
    /// delivered to it, and the number of events that are not delivered yet.
    HEARTBEAT_SINK = "keepwatch.io/sink/", on "heartbeat event";
    /// Why records are missing.
    GAP = "keepwatch.io/gap", on "gap event";
    /// The missing sequence number, or the first and the last one.
    GAP_SEQ = "keepwatch.io/seq", on "gap event";
    /// Number of missing records.
    GAP_RECORDS = "keepwatch.io/gap-records", on "gap event";
    /// Beginning and end of a period in which Keepwatch recorded nothing from the source, longer
    /// than its sender repeats events. Events of this period may be lost; their number is unknown.
    GAP_TIME = "keepwatch.io/gap-time", on "gap event about a source";
    /// Number of requests that were rejected because they could not be recorded.
    REJECTED_REQUESTS = "keepwatch.io/requests-refused-without-record", on "gap event";
    /// Host and port of the API server to which the request was forwarded, by `keepwatch proxy`.
    UPSTREAM = "keepwatch.io/upstream", on "event of a forwarded request";
    /// `unknown`: it is not known whether the request had an effect. The proxy ended before it recorded
    /// the outcome, or the API server did not respond. `not-forwarded`: nothing of it was sent.
    OUTCOME = "keepwatch.io/outcome", on "event of a forwarded request";
    /// Why the response ended early.
    INTERRUPTED = "keepwatch.io/response-interrupted", on "event of a forwarded request";
    /// Name of the source that sent the event. Events without it are those of this server.
    SOURCE = "keepwatch.io/source", on "event from a source";
    /// Kind of the source that sent the event: `AuditWebhook`, `AuditLog`, `Bucket` or
    /// `AdmissionWebhook`.
    SOURCE_KIND = "keepwatch.io/source-kind", on "event from a source";
    /// Name of the cluster in which the request was made.
    SOURCE_CLUSTER = "keepwatch.io/cluster", on "event from a source";
    /// The first 16 bytes of the SHA-256 of the cluster's name, a zero byte and the event as it was
    /// received. An event that is sent again has the same value, and is recorded once.
    SOURCE_DIGEST = "keepwatch.io/source-digest", on "event from a source";
    /// Why the text that a source sent is not an event. The beginning of the text is the request
    /// body.
    QUARANTINE = "keepwatch.io/quarantine", on "quarantine event";
    /// Length in bytes of the text that is not an event.
    QUARANTINE_BYTES = "keepwatch.io/quarantined-bytes", on "quarantine event";
    /// Where the text is from: the key of an object, and the offset in its decompressed content.
    QUARANTINE_PLACE = "keepwatch.io/quarantine-place", on "quarantine event of a bucket";
    /// The event was recorded when kube-apiserver called the admission webhook, before it executed
    /// the request: the request was allowed until then, and its outcome is unknown.
    ADMISSION = "keepwatch.io/admission", on "event from the admission webhook";
    /// The object before the change, as JSON, without its managed fields. Above 128 KiB only its
    /// length and its SHA-256.
    OLD_OBJECT = "keepwatch.io/old-object", on "event from the admission webhook";
    /// The audit ID of the admission webhook's event of the same request. kube-apiserver writes it.
    ADMISSION_RECORD = "admission.keepwatch.io/record", on "event of kube-apiserver";
    /// Number of events of the source that were recorded since the server started.
    SOURCE_EVENTS = "keepwatch.io/source-events", on "event with the verb receive";
    /// Beginning and end of the time before the start in which Keepwatch did not run. It does not
    /// count as a silence of the source.
    DOWNTIME = "keepwatch.io/downtime", on "event with the verb receive";
    /// The reader whose cursor changed, with its old and new position.
    CURSOR = "keepwatch.io/cursor", on "event with the verb skip, rewind, release or resume";
    /// Where delivery to a new destination starts: `oldest` for all events that the journal still
    /// has. Without it, with the events recorded since the `AuditConfig` was created. You set it.
    START_FROM = "audit.keepwatch.io/start-from", on "AuditConfig";
    /// `governance` or `compliance`: uploads request Object Lock retention in this mode for the
    /// Profile's protection period. You set it.
    RETENTION = "audit.keepwatch.io/retention", on "Profile";
}
