//! Every bound and period of the store, with its default.
//!
//! Nothing is read from a file or the environment here: the binary fills this in.

use std::sync::Arc;
use std::time::Duration;

/// Requests that may wait for the writer; one more is refused as busy.
pub const WAITING_MAX: usize = 4096;
/// Requests in one commit.
pub const GROUP_MAX: usize = 512;
/// Bytes in one commit; the request that passes it is the last one in.
pub const GROUP_BYTES_MAX: usize = 4 << 20;
/// Objects that are read from disk in one go, while nobody else reads there.
pub const OBJECTS_MAX: usize = 256;
/// Changes that one call of a watch hands out.
pub const CHANGES_MAX: usize = 256;
/// Bytes of these changes, former states among them; the change that passes it is the last one.
pub const CHANGES_BYTES_MAX: usize = 4 << 20;
/// Rows that one commit trims at least, when there is something to trim.
pub const TRIM_ROWS_MIN: usize = 64;
/// Rows that one commit of its own trims while nobody waits.
pub const TRIM_ROWS_IDLE: usize = 512;
/// Pages of write-ahead log after which it is copied into the file.
pub const CHECKPOINT_PAGES: i32 = 500;
/// Pages left uncopied that the writer copies itself, so that the log can begin anew.
pub const CHECKPOINT_REST: i32 = 64;
/// Pages of write-ahead log at which the writer waits for the copying to be done.
pub const CHECKPOINT_PAGES_MAX: i32 = 8 * CHECKPOINT_PAGES;
/// The file's page size: large, because rows are.
pub const PAGE_SIZE: u32 = 16 << 10;
/// Files up to this size are checked whole at the start, larger ones at their corners.
pub const CHECK_WHOLE_BYTES_MAX: u64 = 64 << 20;
/// How long a moved cursor may wait for a commit to ride on.
pub const CURSOR_DELAY: Duration = Duration::from_millis(100);
/// How often the writer looks for something to trim.
pub const UPKEEP_PERIOD: Duration = Duration::from_secs(1);
/// How often a failed file is tried again.
pub const REOPEN_PERIOD: Duration = Duration::from_secs(1);

/// Microseconds since 1970, from whoever may read the clock.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What an operator may change.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long superseded revisions are kept for watches and paging. Default: 10 minutes.
    pub history_time: Duration,
    /// How many superseded revisions are kept at most. Default: 100,000.
    pub history_rows: usize,
    /// How long records are kept after every reader has passed them. Default: 7 days.
    pub journal_time: Duration,
    /// Bytes in use from which records that every reader has passed go early. Default: 4 GiB.
    pub journal_bytes: u64,
    /// Bytes in use at which requests are refused. Default: 16 GiB.
    pub limit_bytes: u64,
    /// Bytes that objects and all keys may take in memory; other objects are read from disk, but a
    /// quarter is for objects in any case. Default: 24 MiB.
    pub objects_bytes: usize,
    /// Bytes of new records kept in memory for readers that keep up. Default: 4 MiB.
    pub recent_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            history_time: Duration::from_mins(10),
            history_rows: 100_000,
            journal_time: Duration::from_hours(7 * 24),
            journal_bytes: 4 << 30,
            limit_bytes: 16 << 30,
            objects_bytes: 24 << 20,
            recent_bytes: 4 << 20,
        }
    }
}
