//! The write-ahead log is checkpointed while it is being written, and stays short.

use std::fs;

use bytes::Bytes;
use store::settings::{CHECKPOINT_PAGES_MAX, GROUP_BYTES_MAX, PAGE_SIZE};

use crate::test_store::TestStore;

/// The number of records, and the bytes of each: several times the limit of the log.
const RECORDS: u64 = 6_000;
const RECORD_BYTES: usize = 30_000;
/// The maximum number of records that wait for the writer.
const IN_FLIGHT: usize = 64;
/// The header that SQLite writes before each page of the log, in bytes.
const PAGE_HEAD_BYTES: u64 = 24;

#[tokio::test]
async fn the_write_ahead_log_restarts_while_it_is_written() {
    let test = TestStore::new();
    let store = test.open();
    let log = test.path().with_extension("db-wal");
    let (mut pending, mut longest) = (std::collections::VecDeque::new(), 0);
    for number in 0..RECORDS {
        pending.push_back(store::append(&store, Bytes::from(format!("{number:0RECORD_BYTES$}"))));
        if pending.len() == IN_FLIGHT {
            pending.pop_front().expect("one is pending").await.expect("it is recorded");
            longest = longest.max(fs::metadata(&log).expect("the log is there").len());
        }
    }
    for commit in pending {
        commit.await.expect("it is recorded");
    }
    let page_bytes = u64::from(PAGE_SIZE) + PAGE_HEAD_BYTES;
    let pages = u64::from(CHECKPOINT_PAGES_MAX.unsigned_abs());
    // One more commit can be added before the limit takes effect.
    let bound = pages * page_bytes + 2 * GROUP_BYTES_MAX as u64;
    let written = RECORDS * RECORD_BYTES as u64;
    let file = fs::metadata(test.path()).expect("the file is there").len();
    assert!(longest <= bound && bound < written, "the log came to {longest} bytes");
    assert!(file > written - bound, "only {file} of {written} bytes are in the file");
}
