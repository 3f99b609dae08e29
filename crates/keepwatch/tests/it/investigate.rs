//! `keepwatch investigate user`: the timeline of a user in each output format.

use serde_json::Value;

use crate::audit_lines::{deletions, line, with_code};
use crate::server::{run, text};

/// Requests of mallory, and of bob from the same address.
fn lines() -> String {
    [
        line(30_000, "mallory", "list", "restorepoints", "") + "\n",
        line(36_000, "mallory", "get", "passkeys", "k10-passkey") + "\n",
        with_code(36_001, "mallory", "delete", "passkeys", "k10-passkey", 403) + "\n",
        line(36_002, "bob", "get", "restorepoints", "rp-1") + "\n",
        deletions(36_010, "mallory", 7),
    ]
    .concat()
}

fn investigate(user: &str, arguments: &[&str], input: &str) -> String {
    let mut all = vec!["investigate", "user", user, "-"];
    all.extend(arguments);
    let output = run(&all, input);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn document(user: &str, arguments: &[&str], input: &str) -> Value {
    let mut all = vec!["--output", "json"];
    all.extend(arguments);
    serde_json::from_str(&investigate(user, &all, input)).unwrap()
}

#[test]
fn everything_an_identity_did_is_counted_by_kind() {
    let timeline = document("mallory", &[], &lines());
    for (path, expected) in [
        ("/count", 10),
        ("/refused", 1),
        ("/byClass/security", 1),
        ("/byClass/destructive", 8),
        ("/byClass/create", 0),
        ("/byClass/read", 1),
        ("/sessions/0/count", 1),
        ("/sessions/1/count", 9),
        ("/addresses/0/count", 10),
    ] {
        assert_eq!(
            timeline.pointer(path).and_then(Value::as_u64),
            Some(expected),
            "{path}: {timeline}"
        );
    }
    assert_eq!(timeline["related"][0]["user"], "bob");
    assert_eq!(timeline["related"][0]["why"], "same address 192.0.2.7");
    let signals = timeline["signals"].as_array().unwrap();
    let rules: Vec<&str> =
        signals.iter().map(|signal| signal["spec"]["rule"]["id"].as_str().unwrap()).collect();
    assert!(rules.contains(&"kasten-restorepoints-manually-deleted"), "{rules:?}");
    let requests = timeline["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 10);
    let firsts = requests[1]["firstSeen"].as_array().unwrap();
    assert!(firsts.contains(&"act get passkeys".into()), "{firsts:?}");
}

/// Regression: requests on different objects with the audit ID of an earlier one were dropped; a
/// client can choose the ID.
#[test]
fn requests_that_repeat_an_audit_id_are_counted_if_they_differ() {
    let with_id = |text: String| {
        let mut event: Value = serde_json::from_str(&text).unwrap();
        event["auditID"] = "chosen".into();
        event.to_string() + "\n"
    };
    let delete =
        |second, name: &str| with_id(line(second, "mallory", "delete", "restorepoints", name));
    let lines = [delete(1, "rp-1"), delete(2, "rp-2"), delete(2, "rp-2"), delete(9, "rp-2")];
    assert_eq!(document("mallory", &[], &lines.concat())["count"], 3);
}

/// Regression: every 4xx was called refused, such as 404 for an object that is deleted already.
#[test]
fn only_unauthorized_and_forbidden_requests_are_refused() {
    let codes: [u16; 6] = [401, 403, 404, 409, 422, 500];
    let lines = codes
        .map(|code| with_code(u32::from(code), "mallory", "get", "passkeys", "key", code) + "\n");
    let timeline = document("mallory", &[], &lines.concat());
    assert_eq!((&timeline["refused"], &timeline["failed"]), (&2.into(), &4.into()), "{timeline}");
}

#[test]
fn values_seen_before_the_time_range_are_not_new() {
    let time = ["--since", "2026-11-23T09:00:00Z", "--until", "2026-11-23T10:00:05Z"];
    let timeline = document("mallory", &time, &lines());
    assert_eq!(timeline["count"], 2);
    assert_eq!(timeline["addresses"][0]["new"], false);
    let hour = ["--since", "1h", "--until", "2026-11-23T10:00:05Z"];
    assert_eq!(document("mallory", &hour, &lines())["count"], 2);
    let nothing = investigate("nobody", &[], &lines());
    assert!(nothing.contains("nothing is recorded"), "{nothing}");
}

#[test]
fn both_sides_of_an_impersonation_are_shown() {
    let line = line(36_000, "mallory", "delete", "restorepoints", "rp-1");
    let mut event: Value = serde_json::from_str(&line).unwrap();
    event["impersonatedUser"] = serde_json::json!({"username": "alice"});
    let line = event.to_string();
    let mallory = document("mallory", &[], &line);
    assert_eq!(mallory["requests"][0]["impersonated"], "alice");
    assert_eq!(mallory["related"][0]["user"], "alice");
    let alice = document("alice", &[], &line);
    assert_eq!(alice["requests"][0]["impersonatedBy"], "mallory");
}

#[test]
fn the_text_output_is_readable() {
    let output = investigate("mallory", &[], &lines());
    for part in [
        "10 requests, 2026-11-23 08:20:00 to",
        "1 security, 8 destructive, 1 read; 1 refused",
        "delete restorepoints ×7 rp-0, rp-1, rp-2 and 4 more",
        "[403 refused]",
        "bob: same address 192.0.2.7",
        "low           2026-11-23 10:00:10  mallory deleted restore points in shop",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
}

#[test]
fn the_html_page_is_self_contained_and_escapes_text_from_clients() {
    let hostile = "<script>alert(1)</script>\"'\u{202e}";
    let page = investigate(
        hostile,
        &["--output", "html"],
        &lines().replace("mallory", "<script>alert(1)</script>\\\"'\u{202e}"),
    );
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for absent in ["<script", "http://", "https://", "url(http", "\u{202e}", "onerror"] {
        assert!(!page.contains(absent), "{absent}");
    }
    for present in [
        "default-src 'none'",
        "<svg class=\"chart\"",
        "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;\\u{202e}",
        "class=\"signal ",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(page.contains(present), "{present}");
    }
}

#[test]
fn without_inputs_a_server_is_needed() {
    let output = run(&["investigate", "user", "x", "--kubeconfig", "/nowhere/kubeconfig"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nowhere/kubeconfig"), "{output:?}");
}
