//! Informers of client-go through the aggregator and across a restart, and a browser's watch over
//! WebSocket.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use assets::Program;
use serde_json::Value;

use crate::fixture::{alone, backup_template, bob, namespace, restore_point, shared, text};

#[test]
fn informers_sync_see_every_change_and_survive_a_restart() {
    let (plane, mut keepwatch) = alone();
    namespace(&plane, "informed");
    let mut clientcheck = Command::new(plane.assets().path(Program::Clientcheck))
        .arg("--kubeconfig")
        .arg(&bob(&plane).kubeconfig)
        .args(["--resource", "backupactions.v1alpha1.actions.kio.kasten.io"])
        .args(["--namespace", "informed"])
        .args(["--manifest", &backup_template("informed")])
        .args(["--patch", r#"{"status":{"state":"Running"}}"#, "--subresource", "status"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut commands = clientcheck.stdin.take().unwrap();
    let mut steps = Vec::new();
    for step in BufReader::new(clientcheck.stdout.take().unwrap()).lines() {
        let step = step.unwrap();
        if step == "waiting" {
            keepwatch.process.stop().unwrap();
            keepwatch.restart().unwrap();
            commands.write_all(b"restarted\n").unwrap();
        }
        steps.push(step);
    }
    assert!(clientcheck.wait().unwrap().success(), "the last that worked of {steps:?}");
    assert_eq!(steps.last().map(String::as_str), Some("deletes seen"), "{steps:?}");
}

/// Web consoles watch like this.
#[test]
fn a_watch_over_websocket_works_through_the_aggregator_and_is_recorded() {
    let (plane, keepwatch) = shared();
    namespace(&plane, "sockets");
    restore_point(&plane, "sockets", "rp-1");
    let bob = bob(&plane);
    let config: Value = serde_json::from_slice(&std::fs::read(&bob.kubeconfig).unwrap()).unwrap();
    let file = |pointer: &str| text(&config, pointer).to_owned();
    let server = file("/clusters/0/cluster/server");
    let watch = format!(
        "{server}/apis/apps.kio.kasten.io/v1alpha1/namespaces/sockets/restorepoints?watch=true"
    );
    let mut curl = Command::new("curl")
        .args(["-sSiN", "--http1.1", "-A", "socket/1", &watch])
        .args(["--cacert", &file("/clusters/0/cluster/certificate-authority")])
        .args(["--cert", &file("/users/0/user/client-certificate")])
        .args(["--key", &file("/users/0/user/client-key")])
        .args(["-H", "Connection: Upgrade", "-H", "Upgrade: websocket"])
        .args(["-H", "Origin: https://localhost", "-H", "Sec-WebSocket-Version: 13"])
        .args(["-H", "Sec-WebSocket-Protocol: base64.binary.k8s.io"])
        .args(["-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = curl.stdout.take().unwrap();
    let (mut received_bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let received = loop {
        let received = String::from_utf8_lossy(&received_bytes).into_owned();
        if received.contains(r#""type":"ADDED""#) {
            break received;
        }
        let len = stdout.read(&mut buffer).unwrap();
        assert!(len > 0, "no event in {received}");
        received_bytes.extend_from_slice(&buffer[..len]);
    };
    assert!(received.starts_with("HTTP/1.1 101 "), "{received}");
    assert!(received.to_ascii_lowercase().contains("sec-websocket-protocol: base64.binary.k8s.io"));
    assert!(received.contains(r#""name":"rp-1""#), "{received}");
    curl.kill().unwrap();
    curl.wait().unwrap();
    let is_watch_end = |event: &Value| {
        text(event, "/UserAgent") == "socket/1" && text(event, "/Stage") == "ResponseComplete"
    };
    let event = keepwatch.audit_log().find("the end of the watch", is_watch_end).unwrap();
    assert_eq!((text(&event, "/Verb"), text(&event, "/User/username")), ("watch", "bob"));
    assert_eq!(event["ResponseStatus"]["code"], 101);
}
