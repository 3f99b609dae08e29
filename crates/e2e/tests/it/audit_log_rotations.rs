//! A log that a program rotates in each way while Keepwatch reads it and is killed: what is recorded
//! equals what was written, each line once.

#![expect(clippy::print_stdout, reason = "reports results to the developer")]

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use e2e::fixtures::Size;
use e2e::fixtures::standalone::{Standalone, send, wait};
use event::{Event, Timestamp, v1};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::audit_webhook::{received, sorted};

const SOURCE: (&str, &str) = ("audit-log-prod", "AuditLog");
/// Rotations of each kind.
const ROTATIONS: Size = Size { small: 10, full: 500 };
/// Lines between two rotations.
const LINES: usize = 20;
/// The stage timestamp of the first line, in microseconds: 2026-11-23T09:30:00Z.
const START: i64 = 1_795_426_200_000_000;

/// How the program rotates its log.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Rename,
    CopyAndTruncate,
    Compress,
    /// The file is removed while the program still writes to it.
    Remove,
}

/// A program that writes a log.
struct Program {
    path: PathBuf,
    file: Option<File>,
    written: Vec<Event>,
    rotations: usize,
}

impl Program {
    fn write(&mut self, lines: usize) {
        for _ in 0..lines {
            let number = self.written.len();
            let time = Timestamp::from_micros(START + i64::try_from(number).unwrap());
            let line = format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"id-{number:08}","stage":"ResponseComplete","requestURI":"/apis/velero.io/v1/namespaces/shop/backups/b","verb":"create","user":{{"username":"alice"}},"objectRef":{{"resource":"backups","namespace":"shop","name":"b","apiGroup":"velero.io","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":201}},"requestObject":{{"note":"{}"}},"requestReceivedTimestamp":"{time}","stageTimestamp":"{time}","annotations":{{"authorization.k8s.io/decision":"allow"}}}}"#,
                "x".repeat(number % 700)
            );
            self.written.push(v1::read(line.as_bytes()).unwrap());
            let path = &self.path;
            let open = || OpenOptions::new().append(true).create(true).open(path).unwrap();
            let file = self.file.get_or_insert_with(open);
            file.write_all((line + "\n").as_bytes()).unwrap();
        }
    }

    /// Rotates the log. `remove` removes the file, which the program has open.
    fn rotate(&mut self, kind: Kind, remove: impl FnOnce(&mut Self)) {
        self.rotations += 1;
        let number = self.rotations;
        let to = self.path.with_file_name(format!("audit.log-{number:06}"));
        match kind {
            Kind::Rename | Kind::Compress => {
                std::fs::rename(&self.path, &to).unwrap();
                // The program has not noticed yet.
                self.write(2);
                self.file = None;
                if matches!(kind, Kind::Compress) {
                    compress(&to);
                }
            }
            Kind::CopyAndTruncate => {
                std::fs::copy(&self.path, &to).unwrap();
                File::options().write(true).open(&self.path).unwrap().set_len(0).unwrap();
            }
            Kind::Remove => {
                remove(self);
                self.file = None;
            }
        }
    }
}

/// Compresses a file as gzip does: the original is removed at the end.
fn compress(path: &Path) {
    let to = PathBuf::from(format!("{}.gz", path.display()));
    let mut encoder = GzEncoder::new(File::create(&to).unwrap(), Compression::fast());
    std::io::copy(&mut File::open(path).unwrap(), &mut encoder).unwrap();
    encoder.finish().unwrap();
    std::fs::remove_file(path).unwrap();
}

/// Starts the reader, or starts it again with the same store.
async fn start(folder: &Path, log: &Path) -> Standalone {
    let flag = format!("--audit-log-source=prod={}", log.display());
    Standalone::start_with(folder, &[&flag], &[]).await.unwrap()
}

/// Waits until the newest of these events is recorded.
async fn wait_recorded(server: &Standalone, events: &[Event]) {
    let newest = events.last().unwrap().stage_timestamp.to_string();
    let path = format!("/apis/siem.keepwatch.io/v1alpha1/eventsources/{}", SOURCE.0);
    wait("the log is read", async || {
        let (_, state) = send(&server.admin, "GET", &path, None).await?;
        Ok((state["status"]["lastEventTime"] == *newest).then_some(()))
    })
    .await
    .unwrap();
}

fn lock(server: &Mutex<Standalone>) -> MutexGuard<'_, Standalone> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(kind: Kind) {
    let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let log = logs.join("audit.log");
    let keepwatch = Mutex::new(runtime.block_on(start(folder.path(), &log)));
    let is_over = AtomicBool::new(false);
    let (mut program, kills) = thread::scope(|scope| {
        let program = scope.spawn(|| {
            let mut program =
                Program { path: log.clone(), file: None, written: Vec::new(), rotations: 0 };
            for rotation in 0..ROTATIONS.get() {
                program.write(LINES);
                program.rotate(kind, |program| {
                    // Not killed meanwhile: lines of a file without a name would be lost.
                    let server = lock(&keepwatch);
                    program.write(1);
                    runtime.block_on(wait_recorded(&server, &program.written));
                    std::fs::remove_file(&log).unwrap();
                    program.write(2);
                    runtime.block_on(wait_recorded(&server, &program.written));
                });
                let pause = Duration::from_millis(rotation as u64 * 37 % 400);
                runtime.block_on(async { sleep(pause).await });
            }
            is_over.store(true, Ordering::Relaxed);
            program
        });
        let mut kills: u64 = 0;
        while !is_over.load(Ordering::Relaxed) {
            runtime.block_on(async { sleep(Duration::from_millis(kills * 137 % 500)).await });
            let mut server = lock(&keepwatch);
            server.process.kill().unwrap();
            *server = runtime.block_on(start(folder.path(), &log));
            kills += 1;
        }
        (program.join().unwrap(), kills)
    });
    let server = keepwatch.into_inner().unwrap();
    program.write(1);
    let written = sorted(program.written);
    runtime.block_on(wait_recorded(&server, &written));
    let events = received(runtime.block_on(server.stop_and_read()).unwrap(), SOURCE);
    assert!(kills > 0, "it was never killed");
    for (actual, expected) in events.iter().zip(&written) {
        assert_eq!(actual, expected, "{kind:?}");
    }
    assert_eq!(events.len(), written.len(), "{kind:?}");
    let rotations = ROTATIONS.get();
    println!(
        "{kind:?}: {rotations} rotations, {kills} kills, {} lines, each recorded once",
        events.len()
    );
}

#[test]
fn each_line_is_recorded_once_whatever_the_rotation_also_when_the_reader_is_killed() {
    for kind in [Kind::Rename, Kind::CopyAndTruncate, Kind::Compress, Kind::Remove] {
        check(kind);
    }
}
