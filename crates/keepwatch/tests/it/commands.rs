//! Commands that need no server.

use std::process::{Output, Stdio};

use crate::server::{keepwatch, run, text};

/// Two lines of kube-apiserver's log, and a line that is not an event.
const LINES: &str = concat!(
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","#,
    r#""stage":"ResponseComplete","requestURI":"/apis","verb":"get","user":{"username":"alice"},"#,
    r#""requestReceivedTimestamp":"2026-11-24T21:00:00.000000Z","#,
    r#""stageTimestamp":"2026-11-24T21:00:00.000001Z"}"#,
    "\nnonsense\n",
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"b","#,
    r#""stage":"ResponseComplete","requestURI":"/apis","verb":"get","user":{"username":"bob"},"#,
    r#""requestReceivedTimestamp":"2026-11-24T21:00:00.000000Z","#,
    r#""stageTimestamp":"2026-11-24T21:00:00.000001Z"}"#,
    "\n"
);

fn check(output: &Output, code: i32, stdout: &[&str], stderr: &[&str]) {
    let (printed, printed_errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{printed_errors}");
    for word in stdout {
        assert!(printed.contains(word), "{word} is not in {printed}");
    }
    for word in stderr {
        assert!(printed_errors.contains(word), "{word} is not in {printed_errors}");
    }
}

#[test]
fn valid_lines_are_converted_and_an_invalid_one_is_reported() {
    let kasten = run(&["events", "convert", "--to", "kasten", "--cluster-name", "prod"], LINES);
    check(&kasten, 1, &[r#""AuditID":"a""#, r#""AuditID":"b""#, "cluster-name:prod"], &["line 2:"]);
    assert_eq!(text(&kasten.stdout).lines().count(), 2);
    let v1 = run(&["events", "convert", "--to=v1"], LINES.lines().next().unwrap());
    check(&v1, 0, &[LINES.lines().next().unwrap()], &[]);
}

/// Regression: K10's encoding could not be converted back, and lists of events were rejected.
#[test]
fn lines_of_both_encodings_and_lists_are_converted_and_dropped_fields_are_reported() {
    let first = LINES.lines().next().unwrap();
    let archive = text(&run(&["events", "convert", "--to=kasten"], first).stdout);
    let odd = first.replacen('{', r#"{"metadata":{},"timestamp":"2020-01-01T00:00:00Z","#, 1);
    let list = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{first},{{"verb":7}},{first}]}}"#
    );
    let signal = r#"{"message":"Keepwatch signal opened","signal":{"kind":"Signal"}}"#;
    let mixed = [archive.trim(), first, &odd, signal].join("\n");
    let v1 = run(&["events", "convert", "--to=v1"], &mixed);
    let left_out = ["left out: field `metadata`, once", "`timestamp`, once", "one signal"];
    check(&v1, 0, &[first], &left_out);
    assert_eq!(text(&v1.stdout), format!("{first}\n").repeat(3));
    let from_list = run(&["events", "convert", "--to=v1"], &list);
    check(&from_list, 1, &[first], &["line 1, items[1]: not an audit event: invalid type"]);
    assert_eq!(text(&from_list.stdout), format!("{first}\n").repeat(2));
    let untyped = first.replacen(r#""kind":"Event","#, "", 1);
    check(&run(&["events", "convert", "--to=v1"], &untyped), 1, &[], &["line 1: kind is missing"]);
    check(&run(&["events", "convert", "--to=v1"], "{\n}"), 1, &[], &["line 1: a JSON document"]);
}

#[test]
fn policies_are_checked_with_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let path = file.to_str().unwrap();
    let head = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n";
    let write = |rules: &str| std::fs::write(&file, format!("{head}{rules}")).unwrap();

    write("- level: Metadata\n");
    check(&run(&["policy", "check", path], ""), 0, &["valid"], &[]);
    write("- level: Metadata\n  colour: red\n");
    check(&run(&["policy", "check", path], ""), 0, &["valid"], &["warning", "line 5", "colour"]);
    check(&run(&["policy", "check", "--strict", path], ""), 1, &[], &["line 5", "colour"]);
    write("- level: Loud\n");
    check(&run(&["policy", "check", path], ""), 1, &[], &["line 4", "rules[0].level", "Loud"]);
    check(&run(&["policy", "check", "/nowhere"], ""), 1, &[], &["/nowhere"]);
}

#[test]
fn decisions_are_explained_line_by_line() {
    let requests = concat!(
        r#"{"user":"mallory","verb":"delete","resourceRequest":true,"namespace":"shop","#,
        r#""apiGroup":"apps.kio.kasten.io","apiVersion":"v1alpha1","resource":"restorepoints"}"#,
        "\n",
        r#"{"verb":"get","path":"/healthz"}"#,
        "\n"
    );
    let explained = run(&["policy", "explain", "--policy", "k10"], requests);
    check(&explained, 0, &[r#""level":"RequestResponse""#, r#""level":"None""#], &[]);
    assert_eq!(text(&explained.stdout).lines().count(), 2);
    let moved = requests.replace("kio.kasten.io", "kio.team.backup");
    let flag = "--k10-api-domain=kio.team.backup";
    let of_the_moved = run(&["policy", "explain", "--policy", "k10", flag], &moved);
    assert_eq!(text(&of_the_moved.stdout), text(&explained.stdout));
    let invalid = run(&["policy", "explain", "--policy", "k10", "--k10-api-domain=K"], "");
    check(&invalid, 2, &[], &["--k10-api-domain=K is not a domain"]);
    let explain = ["policy", "explain", "--policy", "k10"];
    check(&run(&explain, "nonsense\n"), 1, &[], &["line 1:", "a JSON object such as {"]);
    check(&run(&explain, "{}\n[]\n"), 1, &["\"level\""], &["line 2:", "not a list"]);
}

#[test]
fn help_manual_and_completions_come_from_one_table() {
    check(&run(&["--help"], ""), 0, &["Exit codes:", "serve"], &[]);
    check(&run(&["man"], ""), 0, &[".TH", "keepwatch-up", "audit\\-log\\-file\\-size"], &[]);
    check(&run(&["completions", "bash"], ""), 0, &["audit-log-file-size"], &[]);
    check(&run(&["completions", "tcsh"], ""), 2, &[], &["tcsh"]);
    check(&run(&[], ""), 2, &[], &["Usage"]);
}

#[test]
fn a_closed_stdout_is_not_an_error() {
    let mut command = keepwatch();
    let command = command.args(["completions", "bash"]).stderr(Stdio::piped());
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn the_configuration_of_the_audit_webhook_names_the_cluster_and_has_the_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (ca, tokens) = (file("ca", "CA"), file("tokens", "\nnew-token \nold-token\n"));
    let (certificate, key) = (file("certificate", "CERT"), file("key", "KEY"));
    let config = |more: &[&str]| {
        let fixed = ["source", "webhook-config", "--cluster=prod", "--ca", &ca];
        run(&[&fixed, more].concat(), "")
    };
    let url = "--url=https://10.0.0.1:10251/";
    let output = config(&[url, "--token-file", &tokens, "--tls-server-name=a.b.svc"]);
    let parsed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cluster = serde_json::json!({
        "server": "https://10.0.0.1:10251/audit/prod",
        "certificate-authority-data": "Q0E=",
        "tls-server-name": "a.b.svc",
    });
    assert_eq!(parsed["clusters"][0]["cluster"], cluster);
    assert_eq!(parsed["users"][0]["user"], serde_json::json!({"token": "new-token"}));
    let output = config(&[url, "--client-certificate", &certificate, "--client-key", &key]);
    let user = [r#""client-certificate-data": "Q0VSVA==""#, r#""client-key-data": "S0VZ""#];
    check(&output, 0, &user, &[]);
    check(&config(&[url]), 2, &[], &["--token-file"]);
    for url in ["--url=http://a:1", "--url=a", "--url=https://a/x", "--url=https://a?x"] {
        check(&config(&[url, "--token-file", &tokens]), 2, &[], &[url, "https://10.0.0.1:10251"]);
    }
    check(&config(&[url, "--token-file", &file("none", "\n")]), 1, &[], &["contains no token"]);
}

#[test]
fn the_configuration_of_the_admission_webhook_has_the_token_in_its_path_and_no_selectors() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (ca, token) = (file("ca", "CA"), file("tokens", "new-token\nold-token\n"));
    let config = |more: &[&str]| {
        let fixed = ["source", "admission-config", "--cluster=prod"];
        run(&[&fixed, more].concat(), "")
    };
    let output = config(&["--service=kasten-io/audit", "--ca", &ca, "--token-file", &token]);
    let parsed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let webhook = &parsed["webhooks"][0];
    let client = serde_json::json!({
        "service": {"namespace": "kasten-io", "name": "audit", "port": 9443,
            "path": "/admission/prod/new-token"},
        "caBundle": "Q0E=",
    });
    assert_eq!(webhook["clientConfig"], client);
    assert_eq!(
        (&webhook["failurePolicy"], &webhook["timeoutSeconds"]),
        (&"Ignore".into(), &2.into())
    );
    assert_eq!(webhook["sideEffects"], "NoneOnDryRun");
    assert!(webhook.get("namespaceSelector").or(webhook.get("objectSelector")).is_none());
    let url = "--url=https://10.0.0.1:10252/";
    let more = ["--failure-policy=Fail", "--groups=a.b,c.d", "--timeout-seconds=5"];
    let output = config(&[&[url], &more[..]].concat());
    let parsed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let webhook = &parsed["webhooks"][0];
    let client = serde_json::json!({"url": "https://10.0.0.1:10252/admission/prod"});
    assert_eq!(webhook["clientConfig"], client);
    assert_eq!(
        (&webhook["failurePolicy"], &webhook["timeoutSeconds"]),
        (&"Fail".into(), &5.into())
    );
    assert_eq!(webhook["rules"][0]["apiGroups"], serde_json::json!(["a.b", "c.d"]));
    check(&config(&[]), 2, &[], &["--service"]);
    check(&config(&[url, "--timeout-seconds=1"]), 2, &[], &["--timeout-seconds"]);
    check(&config(&["--url=https://a/x"]), 2, &[], &["--url=https://a/x"]);
    let slash = file("slash", "a/token/with/slashes");
    check(&config(&[url, "--token-file", &slash]), 1, &[], &["openssl rand"]);
}
