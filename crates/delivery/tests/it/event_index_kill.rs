//! Kills the process that fills the event index while it writes the file of the index. The index
//! must find every event, both from the remaining file and after it is completed.
//!
//! The test binary starts itself under strace, which kills the child process. Each round kills it
//! [`STEP`] writes later than the last one; with `KEEPWATCH_KILL_STEP=1`, one write later.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use store::event_index::SEGMENT_RECORDS;

use super::event_index::{IndexFixture, index_file, record};
use super::fixture::open_store;

/// Environment variable with the directory of the child process. It is unset in the parent.
const DIRECTORY: &str = "KEEPWATCH_INDEX_CHILD_DIR";
/// Number of writes between two kills; strace counts the writes of each thread.
const STEP: usize = 5;
/// Upper bound of the number of writes. The child process needs fewer.
const WRITES_MAX: usize = 2_000;
const RECORDS: u64 = 2 * SEGMENT_RECORDS + 10;

/// The child process that fills the index. In a normal test run it returns at once.
#[tokio::test]
async fn fill_index_in_child() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let store = open_store(Path::new(&directory));
    drop(IndexFixture::open(&store).await);
}

/// Runs the child process and kills it at its write number `write`. Returns false if it completed
/// the index before.
fn is_killed(directory: &Path, write: usize) -> bool {
    let file = index_file(directory);
    let journal = file.with_extension("db-events-journal");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(&file)
        .arg("-P")
        .arg(&journal)
        .args(["-e", &format!("inject=pwrite64:signal=SIGKILL:when={write}")])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "event_index_kill::fill_index_in_child", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !status.unwrap().success()
}

/// Checks that the index finds a sample of events. Returns the largest number of records that one
/// search examines.
fn examined_records(fixture: &IndexFixture, context: &str) -> u64 {
    let mut max = 0;
    for seq in (1..=RECORDS).step_by(997) {
        let ranges = fixture.ranges(&seq.to_string(), RECORDS);
        assert!(ranges.iter().any(|range| range.contains(&seq)), "{context}: {seq} is not found");
        max = max.max(ranges.iter().map(|range| range.end() - range.start() + 1).sum());
    }
    max
}

#[tokio::test]
async fn a_kill_at_a_write_of_the_index_hides_no_event() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        assert!(env::var_os("CI").is_none(), "strace is missing: install it");
        println!("skipped: strace is missing");
        return;
    }
    let step = env::var_os("KEEPWATCH_KILL_STEP").and_then(|step| step.to_str()?.parse().ok());
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path());
    record(&store, "", RECORDS).await;
    store.close().await;
    drop(store);
    let mut kills = 0;
    for write in (1..WRITES_MAX).step_by(step.unwrap_or(STEP)) {
        std::fs::remove_file(index_file(folder.path())).ok();
        if !is_killed(folder.path(), write) {
            break;
        }
        kills += 1;
        let context = format!("killed at write {write}");
        let store = open_store(folder.path());
        let fixture = IndexFixture::check(&store).await;
        examined_records(&fixture, &context);
        drop(fixture);
        let fixture = IndexFixture::open(&store).await;
        assert!(examined_records(&fixture, &context) < 1_000, "{context}");
        drop(fixture);
        store.close().await;
    }
    assert!(kills >= 3, "killed {kills} times only");
    println!("killed {kills} times");
}
