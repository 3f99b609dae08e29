//! A full disk: writes are rejected immediately, nothing is lost, and the store recovers when there
//! is space.
//!
//! The test starts itself again in its own mount namespace, on a small file system in memory.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use store::{Condition, Storage, StoreError};

use crate::test_store::{TestStore, append, open, put};

/// The mount point of the small file system; if unset, this is the outer process.
const DIRECTORY: &str = "KEEPWATCH_STORE_SMALL_DISK";

#[tokio::test]
async fn writes_fail_on_a_full_disk_and_resume_afterwards() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return fill_and_free(Path::new(&directory)).await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let script = "mount -t tmpfs -o size=6m small \"$1\" && exec \"$2\" --exact full_disk::writes_fail_on_a_full_disk_and_resume_afterwards --nocapture";
    let inner = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(directory.path())
        .arg(env::current_exe().expect("this binary"))
        .env(DIRECTORY, directory.path())
        .output()
        .expect("unshare starts");
    let output = String::from_utf8_lossy(&inner.stdout) + String::from_utf8_lossy(&inner.stderr);
    assert!(inner.status.success() && output.contains("1 passed"), "{output}");
}

async fn fill_and_free(directory: &Path) {
    let test = TestStore::new();
    let path = directory.join("store").join("keepwatch.db");
    let store = open(&path, &test.settings, &test.clock).expect("the store opens");
    put(&store, "g/r/a", "1").await.expect("it is put");
    let filler = directory.join("filler");
    fs::write(&filler, vec![0; 4 << 20]).expect("the filler fits");
    let body = "x".repeat(20_000);
    let mut acknowledged = 0;
    let rejection = loop {
        match append(&store, &body).await {
            Ok(seq) => acknowledged = seq,
            Err(rejection) => break rejection,
        }
    };
    assert_eq!(rejection, StoreError::NoSpace);
    assert_eq!(store.health().condition, Condition::NoSpace);
    assert!(append(&store, "small").await.is_err(), "even a small record is rejected");
    assert!(store.get("g/r/a").await.expect("the disk is readable").is_some(), "reads continue");
    let first_batch = store.journal().read(0, 1, 1).await.expect("the journal can be read");
    assert_eq!(first_batch[0].seq, 1);
    fs::remove_file(&filler).expect("the filler is removed");
    let resumed = async {
        loop {
            if let Ok(seq) = append(&store, "resumed").await {
                break seq;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let seq = tokio::time::timeout(Duration::from_secs(5), resumed).await.expect("it resumes");
    assert!(seq > acknowledged);
    assert!(store.take_rejected() >= 2, "rejections are counted");
    store.close().await;
    let store = open(&path, &test.settings, &test.clock).expect("the store opens again");
    let journal = store.journal();
    let mut read = 0;
    while read < journal.last_seq() {
        read = journal.read(read, 100, 1 << 20).await.expect("records").last().expect("one").seq;
    }
    assert_eq!(read, seq, "acknowledged records are there");
}
