//! `keepwatch forward`: what a Keepwatch elsewhere records equals the log, each line once, although
//! both are killed, the files are rotated, and the receiver is away.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use e2e::fixtures::standalone::{Standalone, wait};
use e2e::fixtures::{ControlPlane, Process, binary, free_port};
use event::Event;
use event::annotations::{QUARANTINE, QUARANTINE_BYTES};
use tokio::runtime::Runtime;

use crate::audit_log_files::logged;
use crate::audit_webhook::{received, work};

const TOKEN: &str = "a-token-of-this-test";
/// The source at the receiver.
const SOURCE: (&str, &str) = ("audit-webhook-prod", "AuditWebhook");
/// Times that both sides are killed.
const KILLS: usize = 4;
/// Objects of each of the clients between two kills.
const OBJECTS: usize = 15;
/// Size of an annotation of an object, so that files of one megabyte are rotated often.
const NOTE_BYTES: usize = 30_000;
/// Bytes of the lines that must fill the smallest buffer.
const FLOOD_BYTES: usize = 40 << 20;

/// A receiver and a forwarder of the log in `logs`, both of which can be killed.
struct Forwarding {
    runtime: Runtime,
    folder: PathBuf,
    webhook_port: u16,
    health_port: u16,
    receiver: Option<Standalone>,
    forwarder: Option<Process>,
}

impl Forwarding {
    fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join("logs")).unwrap();
        let mut forwarding = Self {
            runtime: Runtime::new().unwrap(),
            folder: folder.to_owned(),
            webhook_port: free_port().unwrap(),
            health_port: free_port().unwrap(),
            receiver: None,
            forwarder: None,
        };
        forwarding.start_receiver();
        forwarding.write_config();
        forwarding.start_forwarder();
        forwarding
    }

    fn log(&self) -> PathBuf {
        self.folder.join("logs/audit.log")
    }

    fn start_receiver(&mut self) {
        let tokens = self.folder.join("tokens");
        std::fs::write(&tokens, TOKEN).unwrap();
        let flags = [
            format!("--audit-webhook-port={}", self.webhook_port),
            "--audit-webhook-clusters=prod".to_owned(),
            format!("--audit-webhook-token-file={}", tokens.display()),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let started = Standalone::start_with(&self.folder, &flags, &[]);
        self.receiver = Some(self.runtime.block_on(started).unwrap());
    }

    fn spawn_forwarder(&mut self) {
        let arguments = [
            "forward".to_owned(),
            format!("--webhook-config={}", self.folder.join("webhook.yaml").display()),
            format!("--audit-log-path={}", self.log().display()),
            format!("--data-dir={}", self.folder.join("buffer").display()),
            "--buffer-size=16Mi".to_owned(),
            format!("--health-address=127.0.0.1:{}", self.health_port),
        ];
        let binary = binary().unwrap();
        let forwarder = Process::start("forward", &binary, &arguments, &self.folder);
        self.forwarder = Some(forwarder.unwrap());
    }

    fn start_forwarder(&mut self) {
        self.spawn_forwarder();
        self.wait_ready(|page| page.starts_with("200"), "it is ready");
    }

    fn kill_receiver(&mut self) {
        self.receiver.take().unwrap().process.kill().unwrap();
    }

    fn kill_forwarder(&mut self) {
        self.forwarder.take().unwrap().kill().unwrap();
    }

    /// Writes what `keepwatch source webhook-config` prints.
    fn write_config(&self) {
        let output = Command::new(binary().unwrap())
            .args(["source", "webhook-config", "--cluster=prod"])
            .arg(format!("--url=https://127.0.0.1:{}", self.webhook_port))
            .arg(format!("--ca={}", self.folder.join("home/pki/ca.crt").display()))
            .arg(format!("--token-file={}", self.folder.join("tokens").display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(self.folder.join("webhook.yaml"), output.stdout).unwrap();
    }

    /// The status code and the body of a page of the forwarder; empty if there is none.
    fn page(&self, path: &str) -> String {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.health_port));
        let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).ok();
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
        let code = head.split(' ').nth(1).unwrap_or_default();
        format!("{code} {body}")
    }

    fn wait_ready(&self, is_fulfilled: impl Fn(&str) -> bool, what: &str) -> String {
        self.runtime
            .block_on(wait(what, async || {
                let page = self.page("/readyz");
                Ok(is_fulfilled(&page).then_some(page))
            }))
            .unwrap()
    }

    /// Waits until the forwarder has read and sent everything; returns what the receiver recorded.
    fn finish(mut self, lines: usize) -> Vec<Event> {
        self.runtime
            .block_on(wait("all lines are sent", async || {
                let metrics = self.page("/metrics");
                let value = |name: &str| -> Option<f64> {
                    let line = metrics.lines().find(|line| line.starts_with(name))?;
                    line.rsplit_once(' ')?.1.parse().ok()
                };
                let lag = value("keepwatch_delivery_lag_events{");
                let is_read = self.is_read_to_its_end().await;
                Ok((lag == Some(0.0) && is_read).then_some(()))
            }))
            .unwrap_or_else(|error| panic!("{error:#}: {lines} lines, {}", self.page("/readyz")));
        self.forwarder.take().unwrap().stop().unwrap();
        self.runtime.block_on(self.receiver.take().unwrap().stop_and_read()).unwrap()
    }

    /// Whether the forwarder, after some looks at the files, has found nothing more to read.
    async fn is_read_to_its_end(&self) -> bool {
        let count = || {
            let metrics = self.page("/metrics");
            let line = metrics
                .lines()
                .find(|line| line.starts_with("keepwatch_source_received_events_total"));
            line.map(str::to_owned)
        };
        // After an error it is tried again only after a while.
        if self.page("/readyz").contains("[!]source") {
            return false;
        }
        let before = count();
        // Longer than the pause between two looks at the files.
        tokio::time::sleep(Duration::from_millis(600)).await;
        before.is_some() && before == count()
    }
}

#[test]
fn each_line_of_a_rotated_log_is_forwarded_once_also_when_both_sides_are_killed() {
    let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/audit-log-forward"));
    let mut plane = ControlPlane::start(folder).unwrap();
    let folder = plane.folder().join("forward");
    let mut forwarding = Forwarding::start(&folder);
    plane
        .restart_apiserver_with(vec![
            format!("--audit-log-path={}", forwarding.log().display()),
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
            forwarding.kill_forwarder();
            if kill % 2 == 0 {
                forwarding.kill_receiver();
                forwarding.start_forwarder();
                forwarding.start_receiver();
            } else {
                forwarding.start_forwarder();
                forwarding.kill_receiver();
                forwarding.start_receiver();
            }
            load.join().unwrap();
        });
    }
    plane.stop_apiserver().unwrap();

    let (logged, rotated) = logged(&folder);
    assert!(rotated >= KILLS, "{rotated} rotated files with {} events", logged.len());
    let received = received(forwarding.finish(logged.len()), SOURCE);
    for (actual, expected) in received.iter().zip(&logged) {
        assert_eq!(actual, expected);
    }
    assert_eq!(received.len(), logged.len());
}

/// A line with an event, of about `bytes` bytes.
fn line(number: usize, bytes: usize) -> String {
    let note = "x".repeat(bytes);
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"id-{number:06}","stage":"ResponseComplete","requestURI":"/apis/velero.io/v1/namespaces/shop/backups/b","verb":"create","user":{{"username":"alice"}},"objectRef":{{"resource":"backups","namespace":"shop","name":"b","apiGroup":"velero.io","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":201}},"requestObject":{{"note":"{note}"}},"requestReceivedTimestamp":"2026-11-23T09:29:57.000000Z","stageTimestamp":"2026-11-23T09:29:58.000000Z","annotations":{{"authorization.k8s.io/decision":"allow"}}}}"#
    ) + "\n"
}

fn append(log: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(log).unwrap()
}

#[test]
fn while_the_receiver_is_away_lines_wait_in_the_buffer_and_then_in_the_log() {
    let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/audit-log-forward-full"));
    drop(std::fs::remove_dir_all(folder));
    let mut forwarding = Forwarding::start(folder);
    let mut log = append(&forwarding.log());
    log.write_all(line(0, 10).as_bytes()).unwrap();
    forwarding.kill_receiver();
    let lines = FLOOD_BYTES / 8000;
    for number in 1..lines {
        log.write_all(line(number, 8000).as_bytes()).unwrap();
    }
    let page = forwarding.wait_ready(|page| page.contains("[-]buffer"), "the buffer is full");
    assert!(page.starts_with("503") && page.contains("the logs are not read"), "{page}");
    assert!(page.contains("[!]sink-forward"), "{page}");
    let paused = "keepwatch_forward_paused 1";
    forwarding
        .runtime
        .block_on(wait("it is counted", async || {
            Ok(forwarding.page("/metrics").contains(paused).then_some(()))
        }))
        .unwrap();
    // A restart with a full buffer, and with a receiver that is still away.
    forwarding.kill_forwarder();
    forwarding.spawn_forwarder();
    forwarding.wait_ready(|page| page.contains("buffer"), "it runs again");
    forwarding.start_receiver();
    let events = forwarding.finish(lines);
    let sent: Vec<String> = events
        .into_iter()
        .filter(|event| event.audit_id.starts_with("id-"))
        .map(|event| event.audit_id)
        .collect();
    let expected: Vec<String> = (0..lines).map(|number| format!("id-{number:06}")).collect();
    assert!(sent == expected, "{} of {lines} lines, in order or not", sent.len());
}

#[test]
fn a_line_that_is_not_an_event_is_quarantined_by_the_receiver_with_the_reason() {
    let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/audit-log-forward-bad"));
    drop(std::fs::remove_dir_all(folder));
    let forwarding = Forwarding::start(folder);
    let complete = line(1, 10);
    let cut = complete.get(..200).unwrap();
    let texts = [
        format!("{cut}\n"),
        "klog text, \"not\" JSON ]}\n".to_owned(),
        "{\"stage\":\"Panic\",\"level\":tru}\n".to_owned(),
        "{} {}\n".to_owned(),
    ];
    append(&forwarding.log()).write_all((texts.concat() + &complete).as_bytes()).unwrap();
    let events = forwarding.finish(5);
    let quarantined: Vec<(&str, &str)> = events
        .iter()
        .filter_map(|event| {
            let reason = event.annotations.get(QUARANTINE)?;
            Some((reason.as_str(), event.annotations[QUARANTINE_BYTES].as_str()))
        })
        .collect();
    let expected = [
        ("the line ends within it", "200"),
        ("not a JSON object", "24"),
        ("not JSON at byte 29", "29"),
        ("other text follows it on its line", "5"),
    ];
    assert_eq!(quarantined, expected);
    assert_eq!(received(events, SOURCE).len(), 5);
}
