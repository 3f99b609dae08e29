//! kube-apiserver's audit log, which it rotates itself: what is recorded equals all of its files, each
//! line once.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::thread;

use e2e::fixtures::ControlPlane;
use e2e::fixtures::standalone::{Standalone, send, wait};
use event::Event;
use event::v1;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::audit_webhook::{received, sorted, work};

const SOURCE: &str = "audit-log-prod";
/// Times that the reader is killed.
const KILLS: usize = 4;
/// Objects of each of the clients between two kills.
const OBJECTS: usize = 15;
/// Size of an annotation of an object, so that files of one megabyte are rotated often.
const NOTE_BYTES: usize = 30_000;

/// Starts the reader, or starts it again with the same store.
fn start(runtime: &Runtime, folder: &Path) -> Standalone {
    let flag = format!("--audit-log-source=prod={}", folder.join("logs/audit.log").display());
    runtime.block_on(Standalone::start_with(folder, &[&flag], &[])).unwrap()
}

/// The events of all files of the log, and the number of rotated files.
pub(crate) fn logged(folder: &Path) -> (Vec<Event>, usize) {
    let (mut events, mut rotated) = (Vec::new(), 0);
    for entry in folder.join("logs").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let mut text = Vec::new();
        let mut file = File::open(&path).unwrap();
        if path.extension() == Some(OsStr::new("gz")) {
            MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
        } else {
            file.read_to_end(&mut text).unwrap();
        }
        rotated += usize::from(path.file_name() != Some(OsStr::new("audit.log")));
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        events.extend(lines.map(|line| v1::read(line).unwrap()));
    }
    (sorted(events), rotated)
}

/// Waits until the newest of these events is recorded.
async fn wait_recorded(server: &Standalone, events: &[Event]) {
    let newest = events.iter().map(|event| event.stage_timestamp).max().unwrap().to_string();
    let path = format!("/apis/siem.keepwatch.io/v1alpha1/eventsources/{SOURCE}");
    let state = wait("the log is read", async || {
        let (code, state) = send(&server.admin, "GET", &path, None).await?;
        assert_eq!(code, 200, "{state}");
        Ok((state["status"]["lastEventTime"] == *newest).then_some(state))
    });
    let state = state.await.unwrap();
    assert_eq!(state["spec"]["kind"], "AuditLog");
    assert_eq!(state["status"]["error"], Value::Null, "{state}");
}

#[test]
fn each_line_of_a_rotated_log_is_recorded_once_also_when_the_reader_is_killed() {
    let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/audit-log-files"));
    let mut plane = ControlPlane::start(folder).unwrap();
    let folder = plane.folder().join("reader");
    std::fs::create_dir_all(folder.join("logs")).unwrap();
    let runtime = Runtime::new().unwrap();
    let mut keepwatch = start(&runtime, &folder);
    plane
        .restart_apiserver_with(vec![
            format!("--audit-log-path={}", folder.join("logs/audit.log").display()),
            // Megabytes.
            "--audit-log-maxsize=1".to_owned(),
            "--audit-log-maxbackup=1000".to_owned(),
            "--audit-log-compress=true".to_owned(),
        ])
        .unwrap();
    let note = "x".repeat(NOTE_BYTES);
    for kill in 0..KILLS {
        thread::scope(|scope| {
            let load = scope.spawn(|| work(&plane, &kill.to_string(), OBJECTS, &note));
            keepwatch.process.kill().unwrap();
            keepwatch = start(&runtime, &folder);
            load.join().unwrap();
        });
    }
    plane.stop_apiserver().unwrap();

    let (logged, rotated) = logged(&folder);
    assert!(rotated >= KILLS, "{rotated} rotated files with {} events", logged.len());
    runtime.block_on(wait_recorded(&keepwatch, &logged));
    let events = runtime.block_on(keepwatch.stop_and_read()).unwrap();
    let received = received(events, (SOURCE, "AuditLog"));
    for (actual, expected) in received.iter().zip(&logged) {
        assert_eq!(actual, expected);
    }
    assert_eq!(received.len(), logged.len());
}
