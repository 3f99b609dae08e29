//! Tests of the file sink on a real folder: every line is written once, despite faults. Tests of
//! notifiers are in another file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod event_list;
mod notifiers;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use event::Timestamp;
use sink::file::Settings;
use sink::{Batch, BatchBuilder, Encoding, FileSink, Sink as _};
use testkit::page_cache;

/// A journal of numbered lines, a cursor and a sink: delivery without delays.
struct TestSink {
    folder: tempfile::TempDir,
    size_max: u64,
    backups_max: usize,
    cursor: (usize, String),
    sink: FileSink,
    runtime: tokio::runtime::Runtime,
}

fn open(size_max: u64, backups_max: usize) -> TestSink {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sink = new_sink(&folder.path().join("log/audit.log"), size_max, backups_max);
    let mut sink_file =
        TestSink { folder, size_max, backups_max, cursor: <_>::default(), sink, runtime };
    sink_file.start();
    sink_file
}

/// The clock, in microseconds; each read advances it by a second.
static TIME: AtomicI64 = AtomicI64::new(1_764_019_800_000_000);

fn new_sink(path: &Path, size_max: u64, backups_max: usize) -> FileSink {
    let clock = || Timestamp::from_micros(TIME.fetch_add(1_000_000, Ordering::Relaxed));
    let settings = Settings {
        path: path.to_owned(),
        size_max,
        backups_max,
        age_max: Duration::ZERO,
        clock: Arc::new(clock),
    };
    FileSink::new(settings, Encoding::V1)
}

impl TestSink {
    fn path(&self) -> PathBuf {
        self.folder.path().join("log/audit.log")
    }

    /// Simulates a new process: only the cursor and the folder remain.
    fn start(&mut self) {
        self.sink = new_sink(&self.path(), self.size_max, self.backups_max);
        self.runtime.block_on(self.sink.resume(&self.cursor.1)).unwrap();
    }

    /// Delivers up to line `last`. The cursor follows if it is kept, and when it must.
    fn deliver(&mut self, last: usize, saves_cursor: bool) {
        let mut delivered_lines = self.cursor.0;
        while delivered_lines < last {
            let mut builder = BatchBuilder::default();
            for seq in delivered_lines + 1..=last {
                builder.push(seq as u64, |lines| {
                    lines.extend_from_slice(format!("line {seq:04}").as_bytes());
                });
            }
            let delivered = self.runtime.block_on(self.sink.deliver(&builder.finish())).unwrap();
            delivered_lines += delivered.records;
            if saves_cursor || delivered.sync_cursor {
                self.cursor = (delivered_lines, delivered.state);
            }
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path().parent().unwrap()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        // Rotated names sort before `audit.log`, the oldest first.
        files.sort();
        files
    }

    /// All lines of all files are there once, in order.
    fn check(&self, last: usize) {
        let text: String = self.files().iter().map(|f| fs::read_to_string(f).unwrap()).collect();
        let lines: Vec<&str> = text.lines().collect();
        let expected: Vec<String> = (1..=last).map(|seq| format!("line {seq:04}")).collect();
        assert_eq!(lines, expected);
        assert!(last == 0 || text.ends_with('\n'));
    }
}

#[test]
fn lines_go_to_a_private_file_that_rotates_between_lines() {
    let mut sink_file = open(35, 0);
    sink_file.deliver(10, true);
    sink_file.check(10);
    assert_eq!(sink_file.files().len(), 4);
    for file in sink_file.files() {
        let metadata = fs::metadata(file).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(metadata.len() <= 35);
    }
    let folder = fs::metadata(sink_file.path().parent().unwrap()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_lost_cursor_repeats_nothing() {
    let mut sink_file = open(1000, 0);
    sink_file.deliver(3, true);
    sink_file.deliver(7, false);
    sink_file.start();
    sink_file.deliver(9, true);
    sink_file.check(9);
}

#[test]
fn a_lost_cursor_repeats_nothing_across_rotations() {
    for saved in 0..12 {
        let mut sink_file = open(35, 0);
        sink_file.deliver(saved, true);
        sink_file.deliver(12, false);
        sink_file.start();
        sink_file.deliver(14, true);
        sink_file.check(14);
    }
}

#[test]
fn a_line_truncated_by_a_crash_is_removed() {
    let mut sink_file = open(1000, 0);
    sink_file.deliver(2, true);
    sink_file.deliver(3, false);
    let mut file = OpenOptions::new().append(true).open(sink_file.path()).unwrap();
    file.write_all(b"line 00").unwrap();
    sink_file.start();
    sink_file.deliver(5, true);
    sink_file.check(5);
}

#[test]
fn a_removed_file_is_created_again() {
    let mut sink_file = open(1000, 0);
    sink_file.deliver(2, true);
    let moved = sink_file.path().with_file_name("audit-1.log");
    fs::rename(sink_file.path(), &moved).unwrap();
    sink_file.deliver(4, true);
    assert_eq!(fs::read_to_string(&moved).unwrap(), "line 0001\nline 0002\n");
    sink_file.check(4);
    fs::remove_file(sink_file.path()).unwrap();
    sink_file.deliver(5, true);
    assert_eq!(fs::read_to_string(sink_file.path()).unwrap(), "line 0005\n");
}

#[test]
fn lines_in_a_file_moved_before_the_crash_are_not_repeated() {
    let mut sink_file = open(1000, 0);
    sink_file.deliver(1, true);
    sink_file.deliver(3, false);
    fs::rename(sink_file.path(), sink_file.path().with_file_name("audit-1.log")).unwrap();
    sink_file.start();
    sink_file.deliver(4, true);
    sink_file.check(4);
}

#[test]
fn sighup_reopens_the_file_once() {
    let mut sink_file = open(1000, 0);
    sink_file.deliver(1, true);
    let moved = sink_file.path().with_file_name("audit-1.log");
    fs::rename(sink_file.path(), moved).unwrap();
    sink_file.sink.reopen().request_reopen();
    let reopened = sink_file.runtime.block_on(sink_file.sink.deliver(&Batch::default())).unwrap();
    assert!(reopened.sync_cursor && sink_file.path().exists());
    let idle = sink_file.runtime.block_on(sink_file.sink.deliver(&Batch::default())).unwrap();
    assert!(!idle.sync_cursor);
    sink_file.deliver(2, true);
    sink_file.check(2);
}

#[test]
fn a_file_with_foreign_lines_is_continued_without_loss() {
    let mut sink_file = open(1000, 0);
    sink_file.deliver(1, true);
    fs::remove_file(sink_file.path()).unwrap();
    fs::write(sink_file.path(), "somebody else's\n").unwrap();
    sink_file.start();
    sink_file.deliver(3, true);
    let text = fs::read_to_string(sink_file.path()).unwrap();
    assert_eq!(text, "somebody else's\nline 0002\nline 0003\n");
}

#[test]
fn a_file_that_was_truncated_by_others_is_continued() {
    let mut sink_file = open(1000, 0);
    sink_file.deliver(3, true);
    OpenOptions::new().write(true).truncate(true).open(sink_file.path()).unwrap();
    sink_file.deliver(5, true);
    assert_eq!(fs::read_to_string(sink_file.path()).unwrap(), "line 0004\nline 0005\n");
}

#[test]
fn only_the_newest_rotated_files_are_kept() {
    let mut sink_file = open(15, 2);
    sink_file.deliver(9, true);
    assert_eq!(sink_file.files().len(), 3);
    let text: String = sink_file.files().iter().map(|f| fs::read_to_string(f).unwrap()).collect();
    assert_eq!(text, "line 0007\nline 0008\nline 0009\n");
}

#[test]
fn a_line_longer_than_a_file_gets_a_separate_file() {
    let mut sink_file = open(5, 0);
    sink_file.deliver(3, true);
    sink_file.check(3);
    assert_eq!(sink_file.files().len(), 3);
}

/// A long log does not stay in the page cache, except its end, for programs that follow it.
#[test]
fn old_data_leaves_the_page_cache() {
    let (folder, mut sink, runtime) = on_disk(48 << 20);
    deliver_long(&mut sink, &runtime, 80);
    let mut files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let [rotated, current] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(ends_in_page_cache(rotated), [false, false]);
    assert_eq!(ends_in_page_cache(current), [false, true]);
}

#[test]
fn a_file_truncated_by_others_leaves_the_page_cache_again() {
    let (folder, mut sink, runtime) = on_disk(1 << 30);
    let path = folder.path().join("audit.log");
    deliver_long(&mut sink, &runtime, 80);
    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    deliver_long(&mut sink, &runtime, 40);
    assert_eq!(ends_in_page_cache(&path), [false, true]);
}

/// A sink whose file is on a disk. It is not in /tmp, which may be a memory file system.
fn on_disk(size_max: u64) -> (tempfile::TempDir, FileSink, tokio::runtime::Runtime) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut sink = new_sink(&folder.path().join("audit.log"), size_max, 0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(sink.resume("")).unwrap();
    (folder, sink, runtime)
}

/// Delivers this many lines of 1 MiB.
fn deliver_long(sink: &mut FileSink, runtime: &tokio::runtime::Runtime, count: u64) {
    let line = vec![b'x'; 1 << 20];
    for seq in 1..=count {
        let mut builder = BatchBuilder::default();
        builder.push(seq, |lines| lines.extend_from_slice(&line));
        let mut batch = builder.finish();
        while !batch.is_empty() {
            let delivered = runtime.block_on(sink.deliver(&batch)).unwrap();
            batch.advance(delivered.records);
        }
    }
}

/// Whether the first and the last byte of a file are in the page cache.
fn ends_in_page_cache(path: &Path) -> [bool; 2] {
    let end = fs::metadata(path).unwrap().len() - 1;
    [0, end].map(|offset| page_cache::is_cached(path, offset).unwrap())
}
