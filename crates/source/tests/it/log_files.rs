//! Logs that are rotated, truncated, compressed and removed while they are read.

mod log;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use event::Event;
use event::annotations::{QUARANTINE, SOURCE, SOURCE_KIND};
use source::SourceSnapshot;
use source::limits::{EVENT_BYTES_MAX, LOG_IDLE};
use source::log_files::configs;
use store::Sqlite;

use crate::fixture::{TestStore, event, events};
use log::{Log, Reader, compress};

/// The numbers of the events of the journal, in its order, without records of other texts.
async fn numbers(store: &Sqlite) -> Vec<usize> {
    let number = |event: Event| event.audit_id.strip_prefix("id-")?.parse().ok();
    events(store).await.into_iter().filter_map(number).collect()
}

/// Why texts are quarantined, in the order of the journal.
async fn quarantined(store: &Sqlite) -> Vec<String> {
    let reason = |mut event: Event| event.annotations.remove(QUARANTINE);
    events(store).await.into_iter().filter_map(reason).collect()
}

/// Runs `acts` while the log is read, and again while it is not. Each line must be recorded once
/// and in its order.
async fn check(what: &str, acts: impl Fn(&mut Log)) {
    for reads_meanwhile in [true, false] {
        let on = TestStore::new();
        let (store, mut log) = (on.open(), Log::new(&on));
        let mut reader = Reader::start(&on, &store, &log).await;
        log.write(3);
        reader.wait_recorded(what, 3).await;
        for _ in 0..3 {
            if !reads_meanwhile {
                reader.kill().await;
            }
            acts(&mut log);
            if reads_meanwhile {
                reader.wait_recorded(what, log.next).await;
                reader.kill().await;
            }
            reader = Reader::start(&on, &store, &log).await;
        }
        log.write(2);
        reader.wait_recorded(what, log.next).await;
        reader.kill().await;
        let expected: Vec<usize> = (0..log.next).collect();
        assert_eq!(numbers(&store).await, expected, "{what}, read meanwhile: {reads_meanwhile}");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_is_recorded_once_whatever_the_rotation() {
    check("no rotation", |log| log.write(500)).await;
    check("renamed", |log| {
        log.write(4);
        log.rename();
        log.write(3);
    })
    .await;
    check("renamed before the program notices", |log| {
        let to = log.rotated();
        std::fs::rename(&log.path, to).unwrap();
        log.write(3);
        log.file = None;
        log.write(3);
    })
    .await;
    check("renamed and compressed", |log| {
        log.write(4);
        let rotated = log.rename();
        log.write(1);
        compress(&rotated);
        log.write(3);
    })
    .await;
    check("renamed to a number and compressed", |log| {
        log.write(4);
        let rotated = log.shift();
        std::fs::rename(&log.path, &rotated).unwrap();
        log.file = None;
        log.write(1);
        compress(&rotated);
        log.write(3);
    })
    .await;
    check("copied and truncated", |log| {
        log.write(4);
        log.copy_and_truncate();
        log.write(7);
    })
    .await;
    check("copied, truncated and compressed", |log| {
        log.write(300);
        let copy = log.copy_and_truncate();
        log.write(7);
        compress(&copy);
    })
    .await;
    check("truncated, and written on at the old offset", |log| {
        log.open_without_append();
        log.write(4);
        log.copy_and_truncate();
        log.write(9);
    })
    .await;
    check("moved to another folder and copied back", |log| {
        let away = log.path.with_file_name("away");
        std::fs::rename(&log.path, &away).unwrap();
        std::fs::copy(&away, &log.path).unwrap();
        log.file = None;
        log.write(2);
    })
    .await;
}

/// A test with a log and a reader that has read nothing.
async fn start(on: &TestStore) -> (Sqlite, Log, Reader) {
    let (store, log) = (on.open(), Log::new(on));
    let reader = Reader::start(on, &store, &log).await;
    (store, log, reader)
}

#[tokio::test]
async fn an_event_says_which_log_it_comes_from() {
    let on = TestStore::new();
    let (store, mut log, reader) = start(&on).await;
    reader.wait("absent", async |state| state.error.is_some()).await;
    let error = reader.status.snapshot().error.unwrap();
    assert!(error.ends_with("audit.log does not exist"), "{error}");
    log.write(1);
    reader.wait_recorded("one", 1).await;
    reader.wait("present", async |state| state.error.is_none()).await;
    let event = events(&store).await.remove(0);
    assert_eq!(event.annotations[SOURCE], "audit-log-prod");
    assert_eq!(event.annotations[SOURCE_KIND], "AuditLog");
    let state = reader.status.snapshot();
    assert_eq!((state.received, state.recorded, state.rejected), (1, 1, 0));
    assert_eq!(state.lag.unwrap().as_secs(), 2);
}

#[test]
fn each_log_has_a_name() {
    let log = |cluster: &str, path: &str| (cluster.to_owned(), PathBuf::from(path));
    let logs = [log("a", "/1"), log("b", "/1"), log("a", "/2"), log("a", "/1"), log("a", "/3")];
    let names: Vec<String> = configs(&logs).into_iter().map(|config| config.name).collect();
    assert_eq!(names, ["audit-log-a", "audit-log-b", "audit-log-a_2", "audit-log-a_3"]);
}

#[tokio::test]
async fn older_rotated_files_are_read_only_if_the_log_was_read_before() {
    let on = TestStore::new();
    let (store, mut log) = (on.open(), Log::new(&on));
    log.write(2);
    compress(&log.rename());
    log.write(2);
    log.rename();
    log.write(2);
    // A copy of the current file is not older than it.
    let copy = log.rotated();
    std::fs::copy(&log.path, copy).unwrap();
    let mut reader = Reader::start(&on, &store, &log).await;
    reader.wait_recorded("the current file", 2).await;
    log.write(1);
    reader.wait_recorded("the current file", 3).await;
    reader.kill().await;
    log.rename();
    let reader = Reader::start(&on, &store, &log).await;
    log.write(1);
    reader.wait_recorded("a new file", 4).await;
    assert_eq!(numbers(&store).await, [4, 5, 6, 7]);
}

#[tokio::test]
async fn a_line_without_a_newline_waits_until_nothing_can_follow() {
    let on = TestStore::new();
    let (store, mut log, mut reader) = start(&on).await;
    log.write(1);
    let line = log.line();
    let (start, rest) = line.split_at(40);
    log.write_text(start);
    reader.wait_recorded("the first", 1).await;
    reader.kill().await;
    let reader = Reader::start(&on, &store, &log).await;
    log.write_text(rest);
    let last = log.line();
    log.write_text(last.trim_end());
    reader.wait_recorded("the second", 2).await;
    log.rename();
    log.write(1);
    reader.wait_recorded("the fourth", 3).await;
    assert_eq!(numbers(&store).await, [0, 1, 3]);
    on.advance(LOG_IDLE.as_secs().cast_signed() + 1);
    reader.wait_recorded("the third", 4).await;
    assert_eq!(numbers(&store).await, [0, 1, 3, 2]);
    assert_eq!(reader.status.snapshot().quarantined, 0);
}

#[tokio::test]
async fn a_removed_file_is_read_while_the_program_writes_to_it() {
    let on = TestStore::new();
    let (store, mut log, reader) = start(&on).await;
    log.write(2);
    reader.wait_recorded("before", 2).await;
    std::fs::remove_file(&log.path).unwrap();
    log.write(3);
    reader.wait_recorded("removed", 5).await;
    reader.wait("it is missed", async |state| state.error.is_some()).await;
    on.advance(LOG_IDLE.as_secs().cast_signed() + 1);
    log.write(3);
    reader.wait_recorded("removed for a while", 8).await;
    // Another program makes a file with the name; the first one writes on.
    let removed = log.file.take();
    log.write(1);
    let current = std::mem::replace(&mut log.file, removed);
    log.write(2);
    reader.wait_recorded("both", 11).await;
    log.file = current;
    log.write(1);
    reader.wait_recorded("the new one", 12).await;
    let mut recorded = numbers(&store).await;
    recorded.sort_unstable();
    assert_eq!(recorded, (0..12).collect::<Vec<usize>>());
}

#[tokio::test]
async fn what_is_not_an_event_is_quarantined_and_the_next_line_is_recorded() {
    let on = TestStore::new();
    let (store, mut log, reader) = start(&on).await;
    log.write(1);
    log.write_text("\n\0\0\0{\"stage\":\n[1]\n");
    let line = log.line();
    // The disk was full while the first one was written.
    log.write_text(line.get(..60).unwrap());
    log.write(1);
    let large = event("large").replace("/backups/b", &"x".repeat(EVENT_BYTES_MAX));
    log.write_text(&format!("{large}\n"));
    log.write(1);
    reader.wait_recorded("all", 7).await;
    assert_eq!(numbers(&store).await, [0, 2, 3]);
    let too_long = format!("longer than {EVENT_BYTES_MAX} bytes without its bodies");
    let expected =
        ["the line ends within it", "not a JSON object", "the line ends within it", &too_long];
    assert_eq!(quarantined(&store).await, expected);
    reader.wait("all", async |state| (state.received, state.quarantined) == (7, 4)).await;
}

#[tokio::test]
async fn events_of_k10_are_recorded_too() {
    let on = TestStore::new();
    let (store, mut log, reader) = start(&on).await;
    let event = event::v1::read(event("k10").as_bytes()).unwrap();
    let mut line = Vec::new();
    let context = event::k10::LineContext::default();
    event::k10::write(&event::EventRef::from(&event), &context, &mut line);
    log.write_text(&format!("{}\n", String::from_utf8(line).unwrap().trim_end()));
    reader.wait_recorded("k10", 1).await;
    assert_eq!(events(&store).await[0].user.username, "alice");
    assert_eq!(quarantined(&store).await, [""; 0]);
}

#[tokio::test]
async fn a_compressed_file_that_is_damaged_is_reported_once() {
    let on = TestStore::new();
    let (store, mut log, mut reader) = start(&on).await;
    log.write(1);
    reader.wait_recorded("before", 1).await;
    reader.kill().await;
    log.write(500);
    let rotated = compress(&log.rename());
    let bytes = std::fs::read(&rotated).unwrap();
    std::fs::write(&rotated, &bytes[..bytes.len() - 20]).unwrap();
    let mut reader = Reader::start(&on, &store, &log).await;
    log.write(1);
    reader.wait("the new file", async |_| numbers(&store).await.last() == Some(&501)).await;
    assert_eq!(quarantined(&store).await, [""; 0], "it may still be written");
    on.advance(LOG_IDLE.as_secs().cast_signed() + 1);
    let damaged = async |_: &SourceSnapshot| !quarantined(&store).await.is_empty();
    reader.wait("the damage", damaged).await;
    reader.kill().await;
    let reader = Reader::start(&on, &store, &log).await;
    log.write(1);
    reader.wait("the next", async |_| numbers(&store).await.last() == Some(&502)).await;
    let reasons = quarantined(&store).await;
    let expected = "the rest of the file cannot be decompressed";
    assert_eq!(reasons.iter().filter(|reason| *reason == expected).count(), 1, "{reasons:?}");
    let mut recorded = numbers(&store).await;
    let count = recorded.len();
    recorded.sort_unstable();
    recorded.dedup();
    assert_eq!(recorded.len(), count);
}

#[tokio::test]
async fn a_full_journal_makes_the_log_wait() {
    const EVENTS: usize = 1000;
    let mut on = TestStore::new();
    on.settings.limit_bytes = 4 << 20;
    let (store, mut log, reader) = start(&on).await;
    // A reader that reads nothing, so that no record is removed.
    store.journal().register("slow", 0).await.unwrap();
    for number in 0..EVENTS {
        let path = "x".repeat(8000);
        log.write_text(&format!(
            "{}\n",
            event(&format!("id-{number}")).replace("/backups/b", &path)
        ));
    }
    let full = async |state: &SourceSnapshot| {
        state.error.as_ref().is_some_and(|error| error.contains("full"))
    };
    reader.wait("full", full).await;
    let recorded = numbers(&store).await.len();
    assert!(recorded < EVENTS, "{recorded}");
    store.journal().remove("slow").await.unwrap();
    reader.wait("the rest", async |state| state.recorded == EVENTS as u64).await;
}

#[tokio::test]
async fn a_log_that_lost_its_last_lines_in_a_crash_is_read_on() {
    let on = TestStore::new();
    let (store, mut log, reader) = start(&on).await;
    log.write(4);
    reader.wait_recorded("before", 4).await;
    let file = File::options().write(true).open(&log.path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2 + 10).unwrap();
    log.write(2);
    log.write(3);
    let all = async |_: &SourceSnapshot| numbers(&store).await.last() == Some(&8);
    reader.wait("after", all).await;
    let mut recorded = numbers(&store).await;
    recorded.sort_unstable();
    assert_eq!(recorded, (0..9).collect::<Vec<usize>>());
}

/// Acts at random: writes, rotates in all ways, kills the reader and starts it again.
async fn act_at_random(seed: u64) {
    let on = TestStore::new();
    let mut random = fastrand::Rng::with_seed(seed);
    let (store, mut log, reader) = start(&on).await;
    log.write(1);
    reader.wait_recorded("the first", 1).await;
    let mut reader = Some(reader);
    let (mut starts, mut acts) = (vec![0], Vec::new());
    for _ in 0..random.usize(4..14) {
        let act = random.u8(0..10);
        acts.push(act);
        let written = log.next;
        match act {
            0..4 => log.write(random.usize(1..60)),
            4 | 5 if log.file.is_some() && log.path.exists() => {
                let rotated = log.rename();
                if act == 5 {
                    compress(&rotated);
                }
            }
            6 | 7 if log.file.is_some() && log.path.exists() => {
                let copy = log.copy_and_truncate();
                if act == 7 {
                    compress(&copy);
                }
            }
            8 => match reader.take() {
                Some(mut running) => running.kill().await,
                None => reader = Some(Reader::start(&on, &store, &log).await),
            },
            _ => tokio::time::sleep(Duration::from_micros(random.u64(0..3000))).await,
        }
        if matches!(act, 4..8) {
            starts.push(written);
        }
    }
    log.write(1);
    let reader = match reader {
        Some(running) => running,
        None => Reader::start(&on, &store, &log).await,
    };
    let what = format!("seed {seed}, acts {acts:?}");
    reader.wait_recorded(&what, log.next).await;
    let recorded = numbers(&store).await;
    let mut sorted = recorded.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..log.next).collect::<Vec<usize>>(), "{what}");
    // Within a file, the order is that of the lines.
    for (at, start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(log.next);
        let of_file = recorded.iter().filter(|number| (*start..end).contains(number));
        assert!(of_file.is_sorted(), "{what}: {recorded:?}");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_is_recorded_once_whatever_the_order_of_rotations_and_kills() {
    let seeds = futures::stream::iter(0..100);
    futures::StreamExt::for_each_concurrent(seeds, 16, act_at_random).await;
}
