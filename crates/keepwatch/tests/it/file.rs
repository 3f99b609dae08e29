//! The audit file of `keepwatch serve`: rotation and kills, with every event written once.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::server::{TestServer, create, events, runtime};

/// Bytes of an object. Three events fill a file of a megabyte.
const OBJECT_BYTES: usize = 150_000;
/// Objects created in each run of the server.
const OBJECTS: usize = 9;

fn lines(folder: &Path) -> String {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn every_event_is_in_the_files_once_after_kills() {
    let folder = tempfile::tempdir().unwrap();
    let up = TestServer::up(&folder.path().join("home"), &[], Stdio::null());
    let log = folder.path().join("log");
    let file = format!("--audit-log-file={}", log.join("audit.log").display());
    // Lines are as long as their objects, so that files are rotated.
    let size = "--audit-line-size=4Mi";
    let flags = [file.as_str(), "--audit-log-file-size=1", "--audit-policy=extended", size];
    let mut created = Vec::new();
    for life in 0..4 {
        let (mut server, address) = TestServer::serve(&up, folder.path(), &flags);
        runtime().block_on(async {
            let client = up.client("admin", Some(&address)).await;
            for number in 0..OBJECTS {
                let name = format!("run-{life}-{number}");
                create(&client, &name, OBJECT_BYTES).await.unwrap();
                created.push(name);
            }
        });
        if life == 3 {
            assert!(server.stop().0.success());
        } else {
            // Kill the server as soon as it has sent the last response, before it delivers the
            // event.
            server.process.kill().unwrap();
            server.wait();
        }
    }
    assert!(fs::read_dir(&log).unwrap().count() > 5, "nothing was rotated");
    let mut counts: HashMap<String, usize> = HashMap::new();
    for event in events(&lines(&log)) {
        *counts.entry(event["AuditID"].to_string()).or_default() += 1;
        if event["Verb"] == "create" {
            *counts.entry(event["ObjectRef"]["Name"].as_str().unwrap().to_owned()).or_default() +=
                1;
        }
    }
    for name in &created {
        assert_eq!(counts.get(name), Some(&1), "{name}");
    }
    assert!(counts.values().all(|count| *count == 1), "an event is in the files twice");
}

#[test]
fn sighup_reopens_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let up = TestServer::up(&folder.path().join("home"), &[], Stdio::null());
    let path = folder.path().join("audit.log");
    let file = format!("--audit-log-file={}", path.display());
    let (server, address) = TestServer::serve(&up, folder.path(), &[&file]);
    let runtime = runtime();
    let client = runtime.block_on(up.client("admin", Some(&address)));
    runtime.block_on(create(&client, "before", 10)).unwrap();
    let moved = folder.path().join("moved.log");
    // Events of the server itself, for example about new applications, may come first.
    while !fs::read_to_string(&path).unwrap_or_default().contains("before") {
        std::thread::yield_now();
    }
    fs::rename(&path, &moved).unwrap();
    server.signal(Signal::HUP);
    while !path.exists() {
        std::thread::yield_now();
    }
    runtime.block_on(create(&client, "after", 10)).unwrap();
    assert!(server.stop().0.success());
    assert!(fs::read_to_string(&moved).unwrap().contains("before"));
    assert!(fs::read_to_string(&path).unwrap().contains("after"));
}
