//! Kubernetes' own audit code beside ours, on what the cluster itself recorded.

use std::io::Write;
use std::process::{Command, Stdio};

use assets::Program;

use crate::it::fixture::{alice, shared, text};

/// What a program prints for this input; it must succeed.
fn filter(command: &mut Command, input: &[u8]) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Written beside: the program answers before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_clusters_own_log_is_encoded_byte_for_byte_as_kubernetes_does_it() {
    for_each_line("v1", |ours, theirs| assert_eq!(ours, theirs));
}

#[test]
fn the_clusters_own_log_is_encoded_byte_for_byte_as_go_does_it_behind_the_keys_for_log_tools() {
    for_each_line("kasten", |ours, theirs| {
        assert!(ours.starts_with(r#"{"message":"K10Event "#), "{ours}");
        let (_, event) = ours.split_once(r#""Level":"#).unwrap();
        // K10's Go libraries are older than this field: its key is there when it says something.
        let theirs = theirs.replacen(r#","AuthenticationMetadata":null"#, "", 1);
        assert_eq!(format!(r#"{{"Level":{event}"#), theirs);
    });
}

/// Calls `compare` with each event of the cluster's own log, as ours and as Kubernetes' own code
/// encodes it.
fn for_each_line(encoding: &str, compare: impl Fn(&str, &str)) {
    let (plane, keepwatch) = shared();
    alice(&plane).kubectl("get backupactions -n default").unwrap();
    plane
        .audit_log()
        .find("a request of alice's", |event| text(event, "/user/username") == "alice")
        .unwrap();
    let log = std::fs::read(plane.audit_log().path()).unwrap();
    let end = log.iter().rposition(|byte| *byte == b'\n').unwrap();
    let oracle = plane.assets().path(Program::Oracle);
    let theirs = filter(Command::new(&oracle).args(["encode", "--to", encoding]), &log[..=end]);
    let ours = filter(
        Command::new(keepwatch.binary()).args(["events", "convert", "--to", encoding]),
        &log[..=end],
    );
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        compare(ours, theirs);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

#[test]
fn the_policy_of_the_suite_is_explained_alike() {
    let (plane, keepwatch) = shared();
    let policy = plane.folder().join("keepwatch").join("audit-policy.yaml");
    let requests = br#"{"verb":"get","path":"/healthz/ping"}
{"user":"alice","groups":["shop-team"],"verb":"create","resourceRequest":true,"apiGroup":"actions.kio.kasten.io","resource":"backupactions"}
{"user":"x","verb":"get","path":"/metrics"}
"#;
    let oracle = plane.assets().path(Program::Oracle);
    let theirs = filter(Command::new(oracle).args(["explain", "--policy"]).arg(&policy), requests);
    let ours = filter(
        Command::new(keepwatch.binary())
            .args(["policy", "explain", "--requests", "-", "--policy"])
            .arg(&policy),
        requests,
    );
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        let mut ours: serde_json::Value = serde_json::from_str(ours).unwrap();
        ours.as_object_mut().unwrap().remove("rule");
        assert_eq!(ours, serde_json::from_str::<serde_json::Value>(theirs).unwrap());
    }
    assert_eq!(ours.lines().count(), 3);
}
