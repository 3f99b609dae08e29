//! The process that fills the index of events is killed at writes of the index's file: the
//! remaining file finds every event, and so does the index that is completed from it.
//!
//! The test binary starts itself again as the victim, under strace. `KEEPWATCH_KILL_STEP=1` kills at
//! every write, not only at each of [`STEP`].

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use store::event_index::SEGMENT_RECORDS;

use super::event_index::{Filled, index_file, record};
use super::fixture::open_store;

/// The victim's folder. A process without this variable is not a victim.
const DIRECTORY: &str = "KEEPWATCH_INDEX_VICTIM";
/// Number of writes between two kills; strace counts the writes of each thread.
const STEP: usize = 5;
/// An upper bound of the number of writes.
const WRITES_MAX: usize = 2_000;
const RECORDS: u64 = 2 * SEGMENT_RECORDS + 10;

/// Not a test, but the process that the test kills. Without a folder it returns at once.
#[tokio::test]
async fn victim() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let store = open_store(Path::new(&directory));
    drop(Filled::open(&store).await);
}

/// Whether the victim was killed before it had completed the index.
fn is_killed(directory: &Path, write: usize) -> bool {
    let file = index_file(directory);
    let journal = file.with_extension("db-events-journal");
    let victim = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(&file)
        .arg("-P")
        .arg(&journal)
        .args(["-e", &format!("inject=pwrite64:signal=SIGKILL:when={write}")])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "event_index_kill::victim", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !victim.unwrap().success()
}

/// Checks that each of some events is found, and returns the number of records that are examined
/// for one.
fn looked_at(filled: &Filled, context: &str) -> u64 {
    let mut most = 0;
    for seq in (1..=RECORDS).step_by(997) {
        let ranges = filled.ranges(&seq.to_string(), RECORDS);
        assert!(ranges.iter().any(|range| range.contains(&seq)), "{context}: {seq} is not found");
        most = most.max(ranges.iter().map(|range| range.end() - range.start() + 1).sum());
    }
    most
}

#[tokio::test]
async fn a_kill_at_a_write_of_the_index_hides_no_event() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        assert!(env::var_os("CI").is_none(), "strace is missing: install it");
        println!("NOT PROVED: strace is missing");
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
        let left = Filled::check(&store).await;
        looked_at(&left, &context);
        drop(left);
        let filled = Filled::open(&store).await;
        assert!(looked_at(&filled, &context) < 1_000, "{context}");
        drop(filled);
        store.close().await;
    }
    assert!(kills >= 3, "killed {kills} times only");
    println!("killed {kills} times");
}
