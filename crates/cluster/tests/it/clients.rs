//! client-go's informers, through the aggregator and across a restart.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use assets::Program;

use crate::it::fixture::{alone, backup_template, bob, namespace};

#[test]
fn informers_sync_follow_every_change_and_go_on_after_a_restart() {
    let (plane, mut keepwatch) = alone();
    namespace(&plane, "informed");
    let mut check = Command::new(plane.assets().path(Program::Clientcheck))
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
    let mut commands = check.stdin.take().unwrap();
    let mut steps = Vec::new();
    for step in BufReader::new(check.stdout.take().unwrap()).lines() {
        let step = step.unwrap();
        if step == "waiting" {
            keepwatch.process.stop().unwrap();
            keepwatch.start_again().unwrap();
            commands.write_all(b"restarted\n").unwrap();
        }
        steps.push(step);
    }
    assert!(check.wait().unwrap().success(), "the last that worked of {steps:?}");
    assert_eq!(steps.last().map(String::as_str), Some("deletes seen"), "{steps:?}");
}
