//! Crash tests: a process under load is killed at arbitrary moments. All acknowledged changes must
//! be present, each with its record, and each record with its change.
//!
//! The test binary starts itself again as the victim ([`victim`]), which prints a line for each
//! acknowledgement. `KEEPWATCH_KILLS` and `KEEPWATCH_KILL_POINTS` set how often it is killed;
//! `cargo xtask test` kills it at each of its first 500 flushes and 500 writes.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use store::{ChangeKind, Storage, StoreError, write};
use tokio::task::JoinSet;

use crate::test_store::{TestStore, open};

/// The directory of the victim's store; if unset, the process is not a victim.
const DIRECTORY: &str = "KEEPWATCH_STORE_VICTIM";
/// The number of acknowledgements after which a victim exits; by default [`VICTIM_ACKNOWLEDGEMENTS`].
const ACKNOWLEDGEMENTS_VARIABLE: &str = "KEEPWATCH_STORE_VICTIM_LIFE";
const VICTIM_ACKNOWLEDGEMENTS: usize = 600;
/// More acknowledgements than any victim reaches: at most four callers share a flush, and 500 are
/// counted.
const ACKNOWLEDGEMENTS_MAX: usize = 4 * 600;
/// The number of victims that run at the same time, each under its own strace.
const CONCURRENT_VICTIMS: usize = 3;
/// The number of retries after a rejection, at intervals of a twentieth of a second.
const RETRIES_MAX: usize = 100;

/// Not a test itself: the process that the [`crash`](self) tests kill. It returns immediately if
/// the directory is not set. Its callers share one thread, so that strace has fewer system calls to
/// stop at.
#[tokio::test]
async fn victim() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let path = Path::new(&directory).join("keepwatch.db");
    let test = TestStore::new();
    let store = open(&path, &test.settings, &test.clock).expect("the store opens");
    let acknowledgements = number(ACKNOWLEDGEMENTS_VARIABLE).unwrap_or(VICTIM_ACKNOWLEDGEMENTS);
    let mut callers = JoinSet::new();
    for caller in 0..4 {
        let store = store.clone();
        callers.spawn(async move {
            for number in 0..acknowledgements / 4 {
                if !step(&store, caller, number).await {
                    return;
                }
            }
        });
    }
    callers.join_all().await;
    store.close().await;
}

/// Commit one change with its record and print the acknowledgement; `false` if all retries failed.
async fn step(store: &dyn Storage, caller: usize, number: usize) -> bool {
    for _ in 0..RETRIES_MAX {
        let work = write(store, move |transaction| {
            let key = format!("g/r/{caller}/{}", number % 7);
            let revision = transaction.next_revision();
            let verb = if number % 5 == 4 && transaction.get(&key).is_some() {
                transaction.delete(&key, revision, Bytes::new());
                "delete"
            } else {
                transaction.put(&key, revision, Bytes::from(vec![b'x'; 100 + number % 150 * 37]));
                "put"
            };
            let line = format!("{verb} {key} {revision}");
            transaction.append(Bytes::from(line.clone()));
            line
        });
        match work.await {
            Ok(line) => {
                // One write, so that it is one system call.
                let acknowledged = format!("\nACK {line}\n");
                print!("{acknowledged}");
                return true;
            }
            Err(StoreError::Closed) => return false,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    false
}

/// Start the victim, under `wrapper` if it is not empty.
fn start(directory: &Path, wrapper: &[&str], acknowledgements: usize) -> Child {
    let binary = env::current_exe().expect("this binary");
    let mut command = match wrapper {
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary);
            command
        }
        [] => Command::new(binary),
    };
    command.args(["--exact", "crash::victim", "--nocapture", "--test-threads=1"]);
    command
        .env(DIRECTORY, directory)
        .env(ACKNOWLEDGEMENTS_VARIABLE, acknowledgements.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().expect("the victim starts")
}

/// The acknowledgements that the victim printed, read until it ends. A line without its end does
/// not count.
fn acknowledged_lines(mut output: BufReader<impl Read>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
        let text = String::from_utf8_lossy(&line);
        if let Some(acknowledged) = text.strip_prefix("ACK ").filter(|_| text.ends_with('\n')) {
            lines.push(acknowledged.trim_end().to_owned());
        }
        line.clear();
    }
    lines
}

/// Check that the state on disk is consistent and contains everything that was acknowledged.
async fn verify(directory: &Path, acknowledged: &[String], context: &str) {
    let test = TestStore::new();
    let path = directory.join("keepwatch.db");
    let store = open(&path, &test.settings, &test.clock).expect("the store opens again");
    let journal = store.journal();
    let mut records = BTreeSet::new();
    let mut seq = 0;
    loop {
        let batch = journal.read(seq, 1000, usize::MAX).await.expect("records are read");
        let Some(last) = batch.last() else { break };
        seq = last.seq;
        for record in batch {
            let line = String::from_utf8_lossy(&record.bytes).into_owned();
            assert!(records.insert(line.clone()), "{context}: {line} is recorded twice");
        }
    }
    let mut changes = BTreeSet::new();
    let start = store.oldest_revision();
    let mut watch = store.watch("", start).await.expect("the whole history is readable");
    while watch.progress() < store.observed_revision() {
        for change in watch.next().await.expect("changes are read") {
            let verb = if change.kind == ChangeKind::Deleted { "delete" } else { "put" };
            changes.insert(format!("{verb} {} {}", change.key(), change.revision));
        }
    }
    assert_eq!(changes, records, "{context}: changes and records differ");
    for line in acknowledged {
        assert!(records.contains(line), "{context}: {line} was acknowledged and is lost");
    }
    store.close().await;
}

fn number(variable: &str) -> Option<usize> {
    env::var_os(variable)?.to_str()?.parse().ok()
}

#[tokio::test]
async fn acknowledged_changes_survive_a_kill_at_any_moment() {
    let mut seed = u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    println!("seed {seed}");
    for round in 0..number("KEEPWATCH_KILLS").unwrap_or(50) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut acknowledged = Vec::new();
        // A second run in the same directory, so that recovery is killed too.
        for run in 0..2 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let mut victim = start(directory.path(), &[], VICTIM_ACKNOWLEDGEMENTS);
            let output = BufReader::new(victim.stdout.take().expect("its output"));
            let reader = tokio::task::spawn_blocking(move || acknowledged_lines(output));
            tokio::time::sleep(Duration::from_millis(5 + seed % 150)).await;
            victim.kill().expect("it is killed");
            victim.wait().expect("it ends");
            acknowledged.extend(reader.await.expect("the acknowledgements"));
            if directory.path().join("keepwatch.db").exists() {
                let context = format!("round {round}, run {run}");
                verify(directory.path(), &acknowledged, &context).await;
            }
        }
    }
}

/// Whether `strace` is available. In CI its absence is a failure.
fn is_strace_available() -> bool {
    let is_available = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok();
    assert!(is_available || env::var_os("CI").is_none(), "strace is missing: install it");
    if !is_available {
        println!("NOT PROVED: strace is missing");
    }
    is_available
}

async fn run_under_strace(inject: &str, acknowledgements: usize) -> Vec<String> {
    let context = inject;
    let directory = tempfile::tempdir().expect("a directory");
    let inject = format!("inject={inject}");
    let calls = inject.split([':', '=']).nth(1).unwrap_or_default();
    let trace = format!("trace={calls}");
    // Without --seccomp-bpf, because strace 6.1 then miscounts the calls.
    let wrapper = ["strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let mut victim = start(directory.path(), &wrapper, acknowledgements);
    let output = BufReader::new(victim.stdout.take().expect("its output"));
    let acknowledged = tokio::task::spawn_blocking(move || acknowledged_lines(output));
    let acknowledged = acknowledged.await.expect("the acknowledgements");
    victim.wait().expect("it ends");
    if directory.path().join("keepwatch.db").exists() {
        verify(directory.path(), &acknowledged, context).await;
    } else {
        assert!(acknowledged.is_empty(), "{context}: acknowledged without a file");
    }
    acknowledged
}

/// Kill the victim at each call of `call`: one system call, or several equivalent ones, separated
/// by commas.
async fn check_kills_at_each(call: &str) {
    if !is_strace_available() {
        return;
    }
    let mut victims = JoinSet::new();
    for number in 1..=number("KEEPWATCH_KILL_POINTS").unwrap_or(50) {
        if victims.len() == CONCURRENT_VICTIMS {
            victims.join_next().await.transpose().expect("the check of a victim succeeds");
        }
        let inject = format!("{call}:signal=KILL:when={number}");
        victims.spawn(async move {
            let acknowledged = run_under_strace(&inject, ACKNOWLEDGEMENTS_MAX).await;
            assert!(
                acknowledged.len() < ACKNOWLEDGEMENTS_MAX,
                "{inject}: the call was never reached"
            );
        });
    }
    victims.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_changes_survive_a_kill_at_each_flush() {
    check_kills_at_each("fdatasync,fsync").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_changes_survive_a_kill_at_each_write() {
    check_kills_at_each("pwrite64").await;
}

/// One flush fails: its group is rejected, the file is checked, and the remaining changes are
/// committed.
#[tokio::test]
async fn acknowledged_changes_survive_a_failed_flush() {
    if !is_strace_available() {
        return;
    }
    for number in [3, 5, 9, 23, 60] {
        let inject = format!("fdatasync:error=EIO:when={number}");
        let acknowledged = run_under_strace(&inject, VICTIM_ACKNOWLEDGEMENTS).await;
        assert_eq!(acknowledged.len(), VICTIM_ACKNOWLEDGEMENTS, "{inject}: it did not recover");
    }
}

/// The disk fails permanently: nothing is acknowledged from then on.
#[tokio::test]
async fn nothing_is_acknowledged_on_a_failed_disk() {
    if !is_strace_available() {
        return;
    }
    let inject = "fdatasync:error=EIO:when=12+";
    let acknowledged = run_under_strace(inject, VICTIM_ACKNOWLEDGEMENTS).await;
    let count = acknowledged.len();
    assert!(0 < count && count < VICTIM_ACKNOWLEDGEMENTS / 2, "{count} were acknowledged");
}
