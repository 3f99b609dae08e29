//! The demo, run twice in one folder.

use std::collections::HashSet;

use serde_json::Value;

use crate::server::{events, run, text};

fn play(folder: &str) -> (Vec<Value>, String) {
    let arguments = ["up", "--dir", folder, "--listen", "127.0.0.1:0", "--demo", "--once"];
    let output = run(&arguments, "");
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    (events(&text(&output.stdout)), stderr)
}

fn count(events: &[Value], user: &str, verb: &str, resource: &str, code: i64) -> usize {
    let matches = |event: &&Value| {
        event["User"]["username"] == user
            && event["Verb"] == verb
            && event["ObjectRef"]["Resource"] == resource
            && event["ResponseStatus"]["code"] == code
    };
    events.iter().filter(matches).count()
}

#[test]
fn demo_once_exits_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("home");
    let folder = folder.to_str().unwrap();
    let (first, stderr) = play(folder);
    let controller = "system:serviceaccount:kube-system:namespace-controller";
    assert_eq!(count(&first, "mallory", "delete", "restorepoints", 200), 10);
    assert_eq!(count(&first, "mallory", "delete", "restorepointcontents", 200), 15);
    assert_eq!(count(&first, "mallory", "delete", "clusterrestorepoints", 200), 1);
    assert_eq!(count(&first, "mallory", "create", "cancelactions", 201), 1);
    assert_eq!(count(&first, "mallory", "get", "passkeys", 200), 1);
    assert_eq!(count(&first, "mallory", "delete", "passkeys", 403), 1);
    assert_eq!(count(&first, "mallory", "create", "retireactions", 403), 1);
    assert_eq!(count(&first, "alice", "create", "restoreactions", 201), 1);
    assert_eq!(count(&first, controller, "delete", "restorepoints", 200), 5);
    let sentences = stderr.lines().filter(|line| line.ends_with(['.', ':'])).count();
    assert!((18..=30).contains(&sentences), "{stderr}");
    for part in [
        "15 new restore points of applications and 1 of the cluster",
        "Keepwatch raised",
        "critical",
        "detect --output table",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    // The server has stopped, so nothing that needs it is printed.
    for part in ["kubectl get", "kill", "Ctrl-C"] {
        assert!(!stderr.contains(part), "{part}: {stderr}");
    }
    assert!(stderr.contains("3 of 3 were refused; 3 of these refusals are on record"), "{stderr}");
    commands_work(&stderr);

    let (second, _) = play(folder);
    // The last two backups of the first run still exist.
    assert_eq!(count(&second, "mallory", "delete", "restorepointcontents", 200), 17);
    let ids = |events: &[Value]| -> HashSet<String> {
        let ids = events.iter().filter_map(|event| event["AuditID"].as_str());
        ids.filter(|id| !id.is_empty()).map(str::to_owned).collect()
    };
    assert!(ids(&first).is_disjoint(&ids(&second)), "an event was printed twice");
}

/// Runs every printed command that needs no server, as printed.
fn commands_work(printed: &str) {
    let commands = printed.lines().filter(|line| line.starts_with("  ") && !line.contains(" up "));
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 2, "{printed}");
    for command in commands {
        let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success() && stdout.contains("mallory"),
            "{command}: {stdout} {stderr}"
        );
    }
}

#[test]
fn denied_requests_that_the_policy_omits_are_not_reported_as_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let flags = ["up", "--listen", "127.0.0.1:0", "--demo", "--once", "--policy=k10", "--dir"];
    let arguments: Vec<&str> = flags.into_iter().chain(home.to_str()).collect();
    let output = run(&arguments, "");
    let (events, stderr) = (events(&text(&output.stdout)), text(&output.stderr));
    let refused = events.iter().filter(|event| event["ResponseStatus"]["code"] == 403).count();
    assert_eq!(refused, 2);
    assert!(stderr.contains("3 of 3 were refused; 2 of these refusals are on record"), "{stderr}");
}
