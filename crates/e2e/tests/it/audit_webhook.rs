//! kube-apiserver's audit webhook: what it sends equals its own audit log, each event once.

#![expect(clippy::print_stdout, reason = "reports results to the developer")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use e2e::fixtures::https::request;
use e2e::fixtures::standalone::{Standalone, send, wait};
use e2e::fixtures::{AuditLog, ControlPlane, Size, binary, free_port};
use event::annotations::{SOURCE, SOURCE_CLUSTER, SOURCE_DIGEST, SOURCE_KIND};
use event::{Event, Stage, v1};
use serde_json::Value;
use tokio::runtime::Runtime;

const TOKEN: &str = "a-token-of-this-test";
const PATH: &str = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
/// Objects of each of the clients before and after the kills.
const ROUND: usize = 40;
/// Objects of each of the clients in a round of the load during the kills.
const LOAD_ROUND: usize = 10;
/// Times that the receiver is killed in each mode.
const KILLS: Size = Size { small: 2, full: 100 };

/// Starts the receiver, or starts it again with the same store.
fn start(runtime: &Runtime, folder: &Path, port: u16) -> Standalone {
    let tokens = folder.join("tokens");
    std::fs::write(&tokens, TOKEN).unwrap();
    let flags = [
        format!("--audit-webhook-port={port}"),
        "--audit-webhook-clusters=prod".to_owned(),
        format!("--audit-webhook-token-file={}", tokens.display()),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    runtime.block_on(Standalone::start_with(folder, &flags, &[])).unwrap()
}

/// Writes what `keepwatch source webhook-config` prints.
fn write_config(folder: &Path, port: u16) {
    let output = Command::new(binary().unwrap())
        .args(["source", "webhook-config", "--cluster=prod"])
        .arg(format!("--url=https://127.0.0.1:{port}"))
        .arg(format!("--ca={}", folder.join("home/pki/ca.crt").display()))
        .arg(format!("--token-file={}", folder.join("tokens").display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(folder.join("webhook.yaml"), output.stdout).unwrap();
}

/// Creates, reads and deletes this number of objects with each of two clients. They have a note.
pub(crate) fn work(plane: &ControlPlane, round: &str, objects: usize, note: &str) {
    thread::scope(|scope| {
        for client in 0..2 {
            scope.spawn(move || {
                let target = plane.target(plane.admin());
                let json = [("Content-Type", "application/json")];
                for number in 0..objects {
                    let name = format!("{round}-{client}-{number}");
                    let body = format!(
                        r#"{{"metadata":{{"name":"{name}","annotations":{{"note":"{note}"}}}},"spec":{{"podSelector":{{}}}}}}"#
                    );
                    let post = format!("POST {PATH}");
                    assert_eq!(request(&target, &post, &json, &body).unwrap().code, 201);
                    let get = format!("GET {PATH}/{name}");
                    assert_eq!(request(&target, &get, &[], "").unwrap().code, 200);
                    let delete = format!("DELETE {PATH}/{name}");
                    assert_eq!(request(&target, &delete, &[], "").unwrap().code, 200);
                }
            });
        }
    });
}

/// Events in a fixed order, without the ends of watches: kube-apiserver ends them after its webhook
/// backend, and does not send these events ("audit backend shut down" in its log).
fn comparable(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let is_end = |event: &Event| event.verb == "watch" && event.stage == Stage::ResponseComplete;
    sorted(events.into_iter().filter(|event| !is_end(event)).collect())
}

/// Events in a fixed order.
pub(crate) fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by(|left, right| (&left.audit_id, left.stage).cmp(&(&right.audit_id, right.stage)));
    events
}

/// The events of a log.
fn logged(log: &AuditLog) -> Vec<Event> {
    let text = std::fs::read(log.path()).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    comparable(lines.map(|line| v1::read(line).unwrap()))
}

/// The events of a journal that a source sent, as it sent them.
pub(crate) fn received(events: Vec<Event>, (source, kind): (&str, &str)) -> Vec<Event> {
    // Receipts and gaps have the name of the source too, but no digest.
    let is_sent = |event: &Event| event.annotations.contains_key(SOURCE_DIGEST);
    let mut events: Vec<Event> = events.into_iter().filter(is_sent).collect();
    for event in &mut events {
        assert_eq!(event.annotations.remove(SOURCE).unwrap(), source);
        assert_eq!(event.annotations.remove(SOURCE_KIND).unwrap(), kind);
        assert_eq!(event.annotations.remove(SOURCE_CLUSTER).unwrap(), "prod");
        assert!(event.annotations.remove(SOURCE_DIGEST).is_some());
    }
    sorted(events)
}

/// Waits until the API shows this number of events at least.
async fn wait_listed(server: &Standalone, events: usize) {
    let path = "/apis/siem.keepwatch.io/v1alpha1/eventsources/audit-webhook-prod";
    let state = wait("the events are counted", async || {
        let (code, state) = send(&server.admin, "GET", path, None).await?;
        assert_eq!(code, 200, "{state}");
        Ok((state["status"]["events"].as_u64() >= Some(events as u64)).then_some(state))
    });
    let state = state.await.unwrap();
    assert_eq!(
        (&state["spec"]["cluster"], &state["status"]["error"]),
        (&"prod".into(), &Value::Null)
    );
}

fn check(plane: &mut ControlPlane, mode: &str) {
    let folder = plane.folder().join(mode);
    std::fs::create_dir_all(&folder).unwrap();
    let (runtime, port) = (Runtime::new().unwrap(), free_port().unwrap());
    let mut keepwatch = start(&runtime, &folder, port);
    write_config(&folder, port);
    let log = AuditLog::new(folder.join("audit.log"));
    plane
        .restart_apiserver_with(vec![
            format!("--audit-log-path={}", log.path().display()),
            format!("--audit-webhook-config-file={}", folder.join("webhook.yaml").display()),
            format!("--audit-webhook-mode={mode}"),
            // Five attempts within 16 seconds: a restart must not take longer.
            "--audit-webhook-initial-backoff=2s".to_owned(),
            "--audit-webhook-batch-max-wait=200ms".to_owned(),
        ])
        .unwrap();
    work(plane, "before", ROUND, "");
    runtime.block_on(wait_listed(&keepwatch, 3 * 2 * ROUND));
    let is_over = AtomicBool::new(false);
    let rounds = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                work(plane, &format!("during-{rounds}"), LOAD_ROUND, "");
                rounds += 1;
            }
            rounds
        });
        for kill in 0..KILLS.get() {
            // Different times, the same in each run.
            let pause = Duration::from_millis((kill as u64 * 137) % 900);
            runtime.block_on(async { tokio::time::sleep(pause).await });
            keepwatch.process.kill().unwrap();
            keepwatch = start(&runtime, &folder, port);
        }
        is_over.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    work(plane, "after", ROUND, "");
    plane.stop_apiserver().unwrap();

    let logged = logged(&log);
    let events = runtime.block_on(keepwatch.stop_and_read()).unwrap();
    let received = comparable(received(events, ("audit-webhook-prod", "AuditWebhook")));
    let objects = 2 * (2 * ROUND + rounds * LOAD_ROUND);
    assert!(logged.len() >= 3 * objects, "{} events", logged.len());
    for (actual, expected) in received.iter().zip(&logged) {
        assert_eq!(actual, expected, "{mode}");
    }
    assert_eq!(received.len(), logged.len(), "{mode}");
    println!("{mode}: {} kills, {} events, each recorded once", KILLS.get(), logged.len());
}

#[test]
fn each_event_of_kube_apiserver_is_recorded_once_also_when_the_receiver_is_killed() {
    let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/audit-webhook"));
    let mut plane = ControlPlane::start(folder).unwrap();
    for mode in ["batch", "blocking-strict"] {
        check(&mut plane, mode);
    }
}
