//! The limits of sources in one place. `docs/reference/limits.md` lists them.

use std::time::Duration;

/// Maximum size of an event as it is received, in bytes. A longer event loses bodies; without
/// bodies it is quarantined.
pub const EVENT_BYTES_MAX: usize = 4 << 20;
/// An event above this size, in bytes, is long: only [`LONG_EVENTS_MAX`] are held at a time.
pub const LONG_EVENT_BYTES: usize = 256 << 10;
/// Maximum number of long events that are received or decoded at a time.
pub const LONG_EVENTS_MAX: usize = 2;
/// Maximum size of a request body, in bytes. A longer body is rejected with 413. It is never held
/// as a whole.
pub const BODY_BYTES_MAX: u64 = 1 << 30;
/// Maximum number of request bodies that are received at a time; others wait.
pub const BODIES_MAX: usize = 16;
/// Time that a request waits for other bodies, or for long events. After it, the sender gets 503.
pub const WAIT_MAX: Duration = Duration::from_secs(10);
/// Maximum pause while a sender sends a body.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Maximum number of events in one transaction …
pub const CHUNK_EVENTS_MAX: usize = 256;
/// … and of bytes of their records. The record that exceeds it is still included.
pub const CHUNK_BYTES_MAX: usize = 512 << 10;
/// Number of events of all sources whose identities are remembered, to record an event that is sent
/// again only once. Each source has an equal share, and more while others need less.
pub const IDENTITIES_MAX: usize = 1 << 18;
/// At the start, identities of events are read from the records of this time before the last
/// record. Longer than a sender repeats an event: kube-apiserver gives up after 248 seconds.
pub const IDENTITY_AGE_MAX: Duration = Duration::from_mins(10);
/// Maximum number of records that are read at the start …
pub const REFILL_RECORDS_MAX: u64 = 1 << 20;
/// … of their bytes …
pub const REFILL_BYTES_MAX: u64 = 256 << 20;
/// … and of time, in which the server is not ready yet. Older identities are not known then.
pub const REFILL_TIME_MAX: Duration = Duration::from_secs(5);
/// Size of one of these reads, in bytes.
pub(crate) const REFILL_BYTES: usize = 4 << 20;
/// Maximum size of the beginning of a quarantined text that is recorded, in bytes.
pub const QUARANTINE_BYTES_MAX: usize = 8 << 10;
/// Maximum number of quarantined texts of one request that are recorded one by one; one more record
/// counts the others.
pub const QUARANTINED_MAX: usize = 64;
/// Time limit for records to become durable. After it, the sender gets 503.
pub const RECORD_TIME_MAX: Duration = Duration::from_secs(15);
/// Maximum time that a rejected sender is asked to wait. kube-apiserver waits that long within the
/// 30 seconds of an attempt.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// Divisor of the store's limit: this fraction of the store is reserved for the server's own
/// requests, so that a source cannot keep them from being recorded.
pub const OWN_RESERVE: u64 = 8;
/// Maximum number of connections of a listener. Further connections are closed at once.
pub const CONNECTIONS_MAX: usize = 256;
/// Maximum number of connections from one address (with IPv6, from one /64 network): one client must
/// not keep others from sending. kube-apiserver needs only a few.
pub const ADDRESS_CONNECTIONS_MAX: usize = 32;
/// A connection is closed if its client has sent no request with valid credentials for this long.
pub const UNAUTHENTICATED_TIME_MAX: Duration = Duration::from_secs(15);
/// Time limit to receive a body. The sender gives up after 30 seconds anyway, and a slow body must
/// not keep others waiting.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(35);
/// Maximum number of concurrent streams of one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 16;
/// Window of a stream, in bytes. The windows of all streams fit into that of the connection, so
/// that streams that wait do not keep the others from sending.
pub const STREAM_WINDOW: u32 = 64 << 10;
/// Window of a connection, in bytes.
pub const CONNECTION_WINDOW: u32 = STREAMS_MAX * STREAM_WINDOW;
/// Time limit of the head of a request, and of the wait for the next request of a connection.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(90);
/// Time that requests in flight have to complete at shutdown.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Time in which a reason to refuse senders is logged at most once.
pub const REFUSAL_LOG_PERIOD: Duration = Duration::from_mins(1);
/// Maximum number of tokens in a token file.
pub const TOKENS_MAX: usize = 16;
/// Maximum number of names of client certificates, of all clusters.
pub const CLIENT_NAMES_MAX: usize = 256;
/// Minimum length of a token, in bytes.
pub const TOKEN_BYTES_MIN: usize = 16;
/// Maximum length of the name of a cluster, in bytes.
pub const CLUSTER_BYTES_MAX: usize = 63;
/// Maximum number of clusters of a listener.
pub const CLUSTERS_MAX: usize = 64;
/// Maximum number of logs that are read.
pub const LOGS_MAX: usize = 32;
/// Bytes of a log file that are read at a time.
pub const LOG_READ_BYTES: usize = 256 << 10;
/// Maximum part of a line that is read before other files and the end of the program are looked at,
/// in bytes.
pub const LINE_READ_MAX: usize = 4 << 20;
/// Maximum part of the first line by which a log file is known, in bytes. Longer than the parts of a
/// line that a client can choose.
pub const HEAD_BYTES_MAX: usize = 16 << 20;
/// Maximum number of rotated files of a log that are looked at.
pub const LOG_FILES_MAX: usize = 4096;
/// Maximum number of files of a log that are opened before they are read.
pub const LOG_OPEN_MAX: usize = 64;
/// Maximum number of stored positions in files of a log that no longer exist, and others.
pub const LOG_POSITIONS_MAX: usize = 2 * LOG_FILES_MAX;
/// Time without a change after which nothing is expected to be added to a rotated or removed file: it
/// is closed, and a line without a newline at its end is complete.
pub const LOG_IDLE: Duration = Duration::from_mins(5);
/// Pause between two looks at the files of a log.
pub const LOG_POLL_PERIOD: Duration = Duration::from_millis(250);
/// Maximum pause before lines that could not be recorded are read again.
pub const LOG_RETRY_MAX: Duration = Duration::from_secs(10);
/// Maximum number of bucket prefixes and folders that are read.
pub const BUCKETS_MAX: usize = 32;
/// Maximum number of objects of one bucket source that are read at a time …
pub const BUCKET_READS_MAX: usize = 4;
/// … and of all of them.
pub const BUCKETS_READS_MAX: usize = 8;
/// Maximum pause while a store sends an object. After it, the object is requested again.
pub const BUCKET_PAUSE_MAX: Duration = Duration::from_mins(1);
/// Default pause between two listings of a bucket.
pub const BUCKET_POLL_PERIOD: Duration = Duration::from_mins(1);
/// Default time in which it is normal that a bucket has no new object: Google writes one an hour.
pub const BUCKET_QUIET_PERIOD: Duration = Duration::from_hours(2);
/// Maximum pause before objects that could not be read or recorded are read again.
pub const BUCKET_RETRY_MAX: Duration = Duration::from_mins(2);
/// Objects are remembered that were modified in this time before the newest one, so that one which
/// appears late is read. An upload in parts has the time of its start.
pub const BUCKET_WINDOW: Duration = Duration::from_hours(6);
/// Maximum number of objects that are remembered for each source. If more were modified within
/// [`BUCKET_WINDOW`], the window is shorter. Twice as many if one cannot be read; then the others wait
/// for it.
pub const BUCKET_SEEN_MAX: usize = 50_000;
/// Maximum number of objects that are read between two listings, the oldest first.
pub const BUCKET_BATCH_MAX: usize = 10_000;
/// Time without a change after which nothing is expected to be added to an object: what it ends with
/// is recorded although it is not complete.
pub const BUCKET_IDLE: Duration = Duration::from_hours(2);
/// Maximum number of bytes of an object that wait to be decoded. The portion that exceeds it is
/// still included.
pub const PORTION_BYTES: usize = 256 << 10;
/// Maximum number of layers of gzip and zstd around an object.
pub const LAYERS_MAX: u32 = 2;
/// Maximum window of zstd, as its binary logarithm: 8 MiB.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// An object may be decompressed to this multiple of its size …
pub const EXPANSION_MAX: u64 = 256;
/// … and this number of bytes. The rest is not read.
pub const EXPANSION_BYTES_MIN: u64 = 64 << 20;
/// If an object is compressed twice, the content of the first layer may have this multiple of its size
/// …
pub const INNER_EXPANSION_MAX: u64 = 4;
/// … and this number of bytes. What is compressed becomes hardly shorter if it is compressed again, and
/// an empty member of gzip takes much more time than its 20 bytes. The rest is not read.
pub const INNER_EXPANSION_BYTES_MIN: u64 = 4 << 20;
/// Maximum length of a text before a JSON object on its line, in bytes.
pub const PREFIX_BYTES_MAX: u64 = 256;
/// Maximum number of items in the containers of one item of a list.
pub const INNER_ITEMS_MAX: usize = 65_536;
/// Maximum number of containers around an event in one item of a list.
pub const CONTAINERS_MAX: usize = 3;
/// Maximum size of an admission review, in bytes. It has an object twice, and kube-apiserver accepts
/// objects of 3 MiB. A longer review is allowed, and its beginning is quarantined.
pub const REVIEW_BYTES_MAX: usize = 8 << 20;
/// Maximum size of all admission reviews that are received at a time, in bytes; others wait.
pub const REVIEWS_BYTES_MAX: usize = 32 << 20;
/// Time within which an admission review is answered, whether or not it is recorded: the user's
/// request waits for it. Shorter than the shortest timeout of `keepwatch source admission-config`.
pub const REVIEW_TIME_MAX: Duration = Duration::from_millis(1500);
/// Maximum size of the object before a change that is recorded, in bytes. A longer one is replaced by
/// its length and digest.
pub const OLD_OBJECT_BYTES_MAX: usize = 128 << 10;
