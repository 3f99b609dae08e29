//! All limits and periods of the store, with their defaults.
//!
//! The store reads neither a configuration file nor the environment: the binary fills in
//! [`Settings`].

use std::time::Duration;

/// The maximum number of requests in the writer's queue. One more fails with `StoreError::Busy`.
pub const QUEUE_MAX: usize = 4096;
/// The maximum number of requests in one commit.
pub const GROUP_MAX: usize = 512;
/// The maximum bytes in one commit. The request that exceeds it is still included.
pub const GROUP_BYTES_MAX: usize = 4 << 20;
/// The maximum number of objects per read from disk, during which no other reader uses the
/// connection.
pub const READ_OBJECTS_MAX: usize = 256;
/// The maximum number of changes that one call of a watch returns.
pub const WATCH_CHANGES_MAX: usize = 256;
/// The maximum bytes of these changes, previous states included. The change that exceeds it is
/// still included.
pub const WATCH_BYTES_MAX: usize = 4 << 20;
/// The number of rows that one commit removes at least, when rows are due for removal.
pub const TRIM_ROWS_MIN: usize = 64;
/// The number of rows that a separate commit removes while no request waits.
pub const TRIM_ROWS_IDLE: usize = 512;
/// The length of the write-ahead log, in pages, from which it is checkpointed.
pub const CHECKPOINT_PAGES: i32 = 500;
/// The maximum number of pages not yet checkpointed that the writer copies itself, so that the log
/// can restart.
pub const CHECKPOINT_REMAINDER_PAGES: i32 = 64;
/// The length of the write-ahead log, in pages, at which the writer waits for the checkpoint.
pub const CHECKPOINT_PAGES_MAX: i32 = 8 * CHECKPOINT_PAGES;
/// The page size of the file, in bytes: large, because rows are large.
pub const PAGE_SIZE: u32 = 16 << 10;
/// The maximum size of a file that is checked completely at start-up. Only the ends of larger ones
/// are checked.
pub const CHECK_WHOLE_BYTES_MAX: u64 = 64 << 20;
/// Maximum time that a moved cursor waits for another commit that includes it.
pub const CURSOR_DELAY: Duration = Duration::from_millis(100);
/// Interval at which the writer looks for rows to remove.
pub const RETENTION_PERIOD: Duration = Duration::from_secs(1);
/// Interval at which the writer retries to open a failed file.
pub const REOPEN_PERIOD: Duration = Duration::from_secs(1);

/// The settings of a store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Retention of superseded revisions for watches and paginated lists. Default: 10 minutes.
    pub history_age: Duration,
    /// The maximum number of superseded revisions. Default: 100,000.
    pub history_rows: usize,
    /// Minimum retention of records after their commit; they are retained longer if a reader has
    /// not passed them. Default: 7 days.
    pub journal_retention_age: Duration,
    /// The used bytes from which records that all readers have passed are removed early. Default: 4
    /// GiB.
    pub journal_retention_bytes: u64,
    /// The used bytes at which requests are rejected. Default: 16 GiB.
    pub limit_bytes: u64,
    /// Memory for objects and all keys, in bytes; objects that do not fit are read from disk. A
    /// quarter of it is always available to objects. Default: 24 MiB.
    pub object_cache_bytes: usize,
    /// Bytes of new records that are cached in memory for readers that keep up. Default: 4 MiB.
    pub tail_cache_bytes: usize,
    /// Maximum time that a read or watch waits for a revision that is not committed yet. Default: 3
    /// seconds, as in kube-apiserver.
    pub revision_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            history_age: Duration::from_mins(10),
            history_rows: 100_000,
            journal_retention_age: Duration::from_hours(7 * 24),
            journal_retention_bytes: 4 << 30,
            limit_bytes: 16 << 30,
            object_cache_bytes: 24 << 20,
            tail_cache_bytes: 4 << 20,
            revision_wait: Duration::from_secs(3),
        }
    }
}
