//! `keepwatch detect`: reads audit logs from files, stdin and buckets, and prints signals.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testkit::s3::S3Double;

use crate::audit_lines::{deletions, gzip, kasten, line, objects, with_code};
use crate::server::{keepwatch, run, text};

/// A rule that raises a signal for each user who deletes restore points.
const RULE: &str = "\
title: Restore points deleted
id: deleted
level: high
logsource:
  product: kubernetes
  service: audit
detection:
  deletion:
    objectRef.resource: restorepoints
    verb: delete
    succeeded: true
  condition: deletion
keepwatch:
  group-by: [user.username]
  keep-alive: 1h
  max-duration: 24h
  title: '{{@User.username}} deleted {{events_matched}} restore points'
";

/// A folder with the rule in it.
struct WorkDir(tempfile::TempDir);

impl WorkDir {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rule.yaml"), RULE).unwrap();
        Self(folder)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn rule(&self) -> String {
        self.0.path().join("rule.yaml").to_str().unwrap().to_owned()
    }

    fn detect(&self, arguments: &[&str], input: &str) -> Output {
        let rule = self.rule();
        let mut all = vec!["detect", "--no-builtin", "--rules", &rule];
        all.extend(arguments);
        run(&all, input)
    }

    /// Signals as (user, count, cluster). Expects exit code 0.
    fn signals(&self, arguments: &[&str], input: &str) -> Vec<(String, u64, String)> {
        let output = self.detect(arguments, input);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        objects(&output.stdout).iter().map(summary).collect()
    }
}

fn summary(signal: &Value) -> (String, u64, String) {
    let spec = &signal["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&spec["actor"]["username"]), spec["count"].as_u64().unwrap(), text(&spec["cluster"]))
}

fn single_signal(user: &str, count: u64, cluster: &str) -> Vec<(String, u64, String)> {
    vec![(user.to_owned(), count, cluster.to_owned())]
}

#[test]
fn a_signal_is_printed_as_the_api_serves_it() {
    let output = WorkDir::new().detect(&["-"], &deletions(36_000, "mallory", 3));
    let signals = objects(&output.stdout);
    let [signal] = signals.as_slice() else { panic!("{signals:?}") };
    for (path, expected) in [
        ("/apiVersion", "siem.keepwatch.io/v1alpha1"),
        ("/kind", "Signal"),
        ("/spec/rule/id", "deleted"),
        ("/spec/rule/title", "Restore points deleted"),
        ("/spec/severity", "high"),
        ("/spec/title", "mallory deleted 3 restore points"),
        ("/spec/actor/username", "mallory"),
        ("/spec/firstSeen", "2026-11-23T10:00:00.000000Z"),
        ("/spec/lastSeen", "2026-11-23T10:00:20.000000Z"),
        ("/status/state", "updated"),
    ] {
        assert_eq!(signal.pointer(path).unwrap(), expected, "{path}");
    }
    assert!(!signal["metadata"]["name"].as_str().unwrap().is_empty());
    assert_eq!(signal["spec"]["count"], 3);
}

#[test]
fn the_same_lines_give_the_same_signals_from_every_input() {
    let dir = WorkDir::new();
    let lines = deletions(36_000, "mallory", 4);
    let expected = single_signal("mallory", 4, "");
    assert_eq!(dir.signals(&["-"], &lines), expected);
    // The content decides, not the file extension.
    let plain = dir.put("audit.gz", &lines);
    assert_eq!(dir.signals(&[&plain], ""), expected);
    let (first, second) = lines.split_at(lines.find('\n').unwrap() + 1);
    let members = [gzip(first), gzip(""), gzip(second)].concat();
    let packed = dir.put("audit.log", members);
    assert_eq!(dir.signals(&[&packed], ""), expected);
    let folder = dir.put("folder/a.log", first);
    dir.put("folder/deeper/b.log", gzip(second));
    let folder = Path::new(&folder).parent().unwrap().to_str().unwrap().to_owned();
    assert_eq!(dir.signals(&[&folder], ""), expected);
}

/// Regression: each part of a line was reported as no audit event, and Docker's log was not read.
#[test]
fn lines_that_a_container_runtime_split_are_joined() {
    let dir = WorkDir::new();
    let lines = deletions(36_000, "mallory", 4);
    let expected = single_signal("mallory", 4, "");
    let time = "2026-11-23T10:00:00.1Z";
    let (mut cri, mut docker) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        let parts: Vec<&[u8]> = line.as_bytes().chunks(100).collect();
        cri.push(format!("{time} stderr P noise "));
        for (at, part) in parts.iter().enumerate() {
            let part = std::str::from_utf8(part).unwrap();
            let (tag, end) = if at + 1 == parts.len() { ("F", "\n") } else { ("P", "") };
            cri.push(format!("{time} stdout {tag} {part}"));
            let entry = json!({"log": format!("{part}{end}"), "stream": "stdout", "time": time});
            docker.push(entry.to_string());
        }
    }
    let (cri, docker) = (cri.join("\n"), docker.join("\n"));
    assert_eq!(dir.signals(&["-"], &cri), expected);
    assert_eq!(dir.signals(&["-"], &docker), expected);
}

#[test]
fn encodings_may_be_mixed_and_duplicates_count_once() {
    let dir = WorkDir::new();
    let lines = deletions(36_000, "mallory", 4);
    let (first, second) = lines.split_at(lines.find('\n').unwrap() + 1);
    let mixed = format!("{first}{}", kasten(second, ""));
    assert_eq!(dir.signals(&["-"], &mixed), single_signal("mallory", 4, ""));
    assert_eq!(dir.signals(&["-"], &format!("{lines}{lines}")), single_signal("mallory", 4, ""));
    let named = kasten(&lines, "prod-eu");
    assert_eq!(
        dir.signals(&["-", "--cluster-name", "other"], &named),
        single_signal("mallory", 4, "prod-eu")
    );
    assert_eq!(
        dir.signals(&["-", "--cluster-name", "other"], &lines),
        single_signal("mallory", 4, "other")
    );
    let items: Vec<&str> = lines.lines().collect();
    let list = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{}]}}"#,
        items.join(",")
    );
    assert_eq!(dir.signals(&["-"], &list), single_signal("mallory", 4, ""));
}

#[test]
fn logs_of_several_servers_are_merged_by_time() {
    let dir = WorkDir::new();
    // The events are further apart than the lateness bound, so that one log after the other would
    // be out of order.
    let all: Vec<String> = (0..40)
        .map(|number| {
            line(
                36_000 + 600 * number,
                "mallory",
                "delete",
                "restorepoints",
                &format!("rp-{number}"),
            )
        })
        .collect();
    let every = |rest: usize| -> String {
        let lines: Vec<&str> = all.iter().skip(rest).step_by(2).map(String::as_str).collect();
        lines.join("\n")
    };
    let (even, odd) = (dir.put("a.log", every(0)), dir.put("b.log", every(1)));
    assert_eq!(
        dir.signals(&[&odd, &even, "--lateness", "0s"], ""),
        single_signal("mallory", 40, "")
    );
}

#[test]
fn lines_that_are_not_events_are_reported_and_skipped() {
    let dir = WorkDir::new();
    let signal = dir.detect(&["-"], &deletions(36_000, "mallory", 3)).stdout;
    let lines = format!("nonsense\n\n{}{{\n{}", deletions(36_000, "mallory", 3), text(&signal));
    let output = dir.detect(&["-"], &lines);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(objects(&output.stdout).len(), 1);
    for part in [
        "standard input, line 1: ",
        "standard input, line 6: a JSON document over several lines",
        "2 lines are no audit event; 3 events were read",
        "1 signals between the events were skipped",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    let output = dir.detect(&["-"], "nonsense\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).ends_with("error: nothing could be read\n"));
    // Empty input is not an error.
    assert_eq!(dir.detect(&["-"], "").status.code(), Some(0));
}

#[test]
fn an_unreadable_input_is_named_and_the_others_are_read() {
    let dir = WorkDir::new();
    let readable = dir.put("good.log", deletions(36_000, "mallory", 3));
    let mut cut = gzip(&deletions(36_000, "alice", 300));
    cut.truncate(cut.len() / 2);
    let cut = dir.put("cut.gz", cut);
    for unreadable in [cut.as_str(), "/nowhere/audit.log"] {
        let output = dir.detect(&[&readable, unreadable], "");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(unreadable), "{stderr}");
        let users: Vec<String> =
            objects(&output.stdout).iter().map(|signal| summary(signal).0).collect();
        assert!(users.contains(&"mallory".to_owned()), "{users:?}");
    }
}

#[test]
fn exit_codes_show_the_result() {
    let dir = WorkDir::new();
    let (with_signal, without_signal) =
        (deletions(36_000, "mallory", 3), with_code(1, "a", "delete", "restorepoints", "x", 403));
    for (arguments, input, code) in [
        (&["-"][..], &with_signal, 0),
        (&["-", "--exit-code"], &with_signal, 3),
        (&["-", "--exit-code"], &without_signal, 0),
        (&[], &without_signal, 2),
        (&["-", "-"], &without_signal, 1),
    ] {
        let output = dir.detect(arguments, input);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    }
    let none = run(&["detect", "--no-builtin", "-"], "");
    assert!(text(&none.stderr).contains("there are no rules"), "{none:?}");
    let broken =
        dir.put("broken.yaml", RULE.replace("condition: deletion", "condition: deletions"));
    let output = run(&["detect", "--rules", &broken, "-"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("broken.yaml:"), "{}", text(&output.stderr));
}

#[test]
fn signals_are_in_the_order_of_their_first_event() {
    let dir = WorkDir::new();
    let lines = [deletions(50_000, "bob", 2), deletions(36_000, "mallory", 2)].concat();
    let lines = format!("{lines}{}", deletions(36_005, "alice", 2));
    let users: Vec<String> = dir
        .signals(&["-", "--lateness", "24h"], &lines)
        .into_iter()
        .map(|signal| signal.0)
        .collect();
    assert_eq!(users, ["mallory", "alice", "bob"]);
    let table = text(&dir.detect(&["-", "--output", "table", "--lateness", "24h"], &lines).stdout);
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("SEVERITY") && rows.len() == 4, "{table}");
    assert!(table.contains("mallory deleted 2 restore points"), "{table}");
    assert_eq!(text(&dir.detect(&["-", "--output=table"], "").stdout), "No signals.\n");
}

#[test]
fn text_from_clients_cannot_control_the_terminal() {
    let dir = WorkDir::new();
    let lines = deletions(36_000, "mallory\u{1b}[2J\u{202e}", 2);
    let table = text(&dir.detect(&["-", "--output", "table"], &lines).stdout);
    assert!(table.contains("mallory\\u{1b}[2J\\u{202e}"), "{table}");
}

/// With credentials in the environment, and none of the machine.
fn detect_in(bucket: &S3Double, dir: &WorkDir, inputs: &[&str]) -> Command {
    let mut command = keepwatch();
    command
        .args(["detect", "--no-builtin", "--rules", &dir.rule()])
        .args(["--s3-endpoint", &bucket.endpoint()])
        .args(inputs)
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .stdin(Stdio::null());
    command
}

#[test]
fn objects_of_a_bucket_are_read_below_a_prefix() {
    let dir = WorkDir::new();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let bucket = runtime.block_on(S3Double::start(Box::new(|_| None))).unwrap();
    let day = "/audit/k10audit/cluster=prod/source=a/date=2026-11-23";
    let lines = deletions(36_000, "mallory", 6);
    for (number, line) in lines.lines().enumerate() {
        bucket.insert(&format!("{day}/hour=10/{number}.json.gz"), gzip(&format!("{line}\n")));
    }
    bucket.insert("/audit/other/x.json", deletions(36_000, "alice", 2).into_bytes());
    for (input, expected) in [
        ("s3://audit/k10audit/", vec![("mallory", 6)]),
        ("s3://audit/k10audit/cluster=prod/source=a/date=2026", vec![("mallory", 6)]),
        ("s3://audit", vec![("mallory", 6), ("alice", 2)]),
        ("s3://audit/other/x.json", vec![("alice", 2)]),
    ] {
        let output = detect_in(&bucket, &dir, &[input]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let mut summaries: Vec<_> = objects(&output.stdout).iter().map(summary).collect();
        summaries.sort_by(|left, right| right.0.cmp(&left.0));
        let summaries: Vec<(&str, u64)> =
            summaries.iter().map(|signal| (signal.0.as_str(), signal.1)).collect();
        assert_eq!(summaries, expected, "{input}");
    }
    let output = detect_in(&bucket, &dir, &["s3://audit/nothing/"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no object with this prefix"), "{output:?}");
    bucket.set_key("another", "");
    let output = detect_in(&bucket, &dir, &["s3://audit/k10audit/"]).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("s3:ListBucket"), "{stderr}");
}
