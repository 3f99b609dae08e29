//! `keepwatch rules`: from a template to a valid, tested rule.

use std::path::Path;
use std::process::Output;

use crate::server::{run, text};

fn rules(arguments: &[&str]) -> Output {
    let mut all = vec!["rules"];
    all.extend(arguments);
    run(&all, "")
}

fn check(arguments: &[&str], code: i32, stdout: &[&str], stderr: &[&str]) {
    let output = rules(arguments);
    let (printed, error_text) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {printed}{error_text}");
    for word in stdout {
        assert!(printed.contains(word), "{word} is not in {printed}");
    }
    for word in stderr {
        assert!(error_text.contains(word), "{word} is not in {error_text}");
    }
}

/// A rule created by `rules new`, and its folder.
fn new_rule() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    check(&["new", "my-rule", "--dir", folder.path().to_str().unwrap()], 0, &["my-rule.yaml"], &[]);
    let path = folder.path().join("my-rule.yaml");
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn a_new_rule_passes_check_and_test_and_is_not_overwritten() {
    let (folder, path) = new_rule();
    let folder = folder.path().to_str().unwrap();
    check(&["check", &path], 0, &["1 file, 1 rule that raises signals: valid"], &[]);
    check(&["check", folder], 0, &["valid"], &[]);
    check(&["test", &path], 0, &["ok", "2 examples, 1 signals", "1 rule file, 0 failed"], &[]);
    check(&["list", &path], 0, &["my-rule", "medium", "Secrets deleted by a person"], &[]);
    check(&["show", "my-rule", &path], 0, &["id: my-rule"], &[]);
    check(&["new", "my-rule", "--dir", folder], 1, &[], &["already exists"]);
    check(&["new", "My Rule", "--dir", folder], 2, &[], &["lower-case letters"]);
    let missing = format!("{folder}/new/folder");
    check(&["new", "other", "--dir", &missing], 0, &["new/folder/other.yaml"], &[]);
    let below_a_file = format!("{path}/below");
    check(&["new", "other", "--dir", &below_a_file], 1, &[], &["cannot create the folder"]);
}

#[test]
fn every_error_has_its_position() {
    let (folder, path) = new_rule();
    let valid = std::fs::read_to_string(&path).unwrap();
    let invalid =
        valid.replace("verb: delete", "vreb: delete").replace("level: medium", "level: loud");
    let file = folder.path().join("bad.yaml");
    std::fs::write(&file, invalid).unwrap();
    let output = rules(&["check", file.to_str().unwrap()]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let positions: Vec<&str> = stderr.lines().filter(|line| line.contains("bad.yaml:")).collect();
    assert_eq!(positions.len(), 2, "{stderr}");
    assert!(stderr.contains("help: ") && stderr.contains("2 mistakes"), "{stderr}");
}

/// Regression: a filter of a built-in rule was rejected unless the file contained that rule.
#[test]
fn a_filter_may_reference_a_built_in_rule_and_copies_of_built_in_rules_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let filter = "title: Cleanup\nfilter:\n  rules: [RULE]\n  cleanup: {user.username: tidy}\n  \
                  condition: not cleanup\n";
    let write = |name: &str, rule: &str| {
        std::fs::write(path(name), filter.replace("RULE", rule)).unwrap();
        path(name)
    };
    let known = write("known.yaml", "kasten-restorepoints-manually-deleted");
    check(&["check", &known], 0, &["1 file, 0 rules that raise signals: valid"], &[]);
    let unknown = write("unknown.yaml", "kasten-restorepoint");
    check(&["check", &unknown], 1, &[], &["unknown.yaml:3:11: there is no rule"]);
    let copy = text(&rules(&["show", "kasten-bulk-deletion"]).stdout);
    std::fs::write(path("kasten-bulk-deletion.yaml"), copy).unwrap();
    check(&["check", &path("kasten-bulk-deletion.yaml")], 0, &["valid"], &[]);
}

#[test]
fn a_failing_test_shows_the_difference() {
    let (folder, path) = new_rule();
    let events = folder.path().join("my-rule.events.ndjson");
    let content = std::fs::read_to_string(&events).unwrap();
    std::fs::write(&events, content.replace(r#""count": 3"#, r#""count": 4"#)).unwrap();
    check(&["test", &path], 1, &["FAIL", "a person deletes three secrets", "1 failed"], &[]);
    std::fs::write(&events, "nonsense\n").unwrap();
    check(&["test", &path], 1, &["FAIL", "line 1"], &[]);
    std::fs::remove_file(&events).unwrap();
    check(&["test", &path], 1, &["FAIL", "my-rule.events.ndjson"], &[]);
    check(&["test", "/nowhere.yaml"], 1, &[], &["/nowhere.yaml"]);
}

#[test]
fn the_built_in_rules_are_listed_shown_and_pass_their_own_tests() {
    check(&["check"], 0, &["valid"], &[]);
    let id = "kasten-restorepoints-manually-deleted";
    check(&["list"], 0, &["ID", "SEVERITY", id, "Kasten RestorePoints Manually Deleted"], &[]);
    check(&["show", id], 0, &[&format!("id: {id}"), "detection:"], &[]);
    check(&["show", "no-such-rule"], 1, &[], &["no-such-rule", "keepwatch rules list"]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    check(&["test", folder.to_str().unwrap()], 0, &[" 0 failed"], &[]);
}

#[test]
fn rules_that_differ_are_exported_only_on_request() {
    let same = "kasten-restorepoints-manually-deleted";
    let lossy = "kasten-restorepoints-excessive-deletion-slow";
    let refused = "kasten-backup-expiry-shortened";
    let datadog = |arguments: &[&str], code: i32, stdout: &[&str], stderr: &[&str]| {
        check(&[&["export", "--to", "datadog"], arguments].concat(), code, stdout, stderr);
    };
    datadog(&[same], 0, &["\"name\": \"deleted_k10_rps\""], &["1 rules exported, 0 left out"]);
    datadog(&["--format", "terraform", same], 0, &["resource \"datadog_"], &[]);
    datadog(&[lossy], 1, &[], &["is left out (different)", "--allow-lossy writes it"]);
    datadog(&["--allow-lossy", lossy], 0, &["This export finds"], &["1 rules exported"]);
    datadog(&["--allow-lossy", refused], 1, &[], &["is left out (refused)"]);
    datadog(&["--profile", "x"], 2, &[], &["one of kasten, kubernetes.audit"]);
    datadog(&["--format", "x"], 2, &[], &["one of json, terraform"]);
    datadog(&["no-such-rule"], 2, &[], &["there is no rule \"no-such-rule\""]);
    check(&["export", "--to", "x"], 2, &[], &["one of datadog, sentinel"]);
    check(&["export"], 2, &[], &["--to"]);
    check(&["export", "--matrix"], 0, &["## Datadog Cloud SIEM", same], &[]);
}

#[test]
fn each_exported_rule_is_a_separate_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder");
    check(&["export", "--to", "sigma", "--out", path.to_str().unwrap()], 0, &[], &["left out"]);
    let rule = path.join("kasten-restorepoints-manually-deleted.yml");
    assert!(std::fs::read_to_string(rule).unwrap().contains("detection:"));
}

const SUPPRESSION: &str = "apiVersion: siem.keepwatch.io/v1alpha1
kind: Suppression
metadata: {name: move}
spec:
  rules: [kasten-passkey-changed]
  match: {who: {user.username|cased: alice}}
  expiresAt: '2026-12-31T12:00:00Z'
  reason: The shop moves.
";

#[test]
fn suppressions_are_exported_with_the_rules_that_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("suppressions.yaml");
    let out = folder.path().join("out");
    let export = |text: &str, to: &str, code, stderr: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let (file, out) = (file.to_str().unwrap(), out.to_str().unwrap());
        let arguments = ["export", "--to", to, "--suppressions", file, "--out", out];
        check(&[&arguments[..], &["kasten-passkey-changed"]].concat(), code, &[], stderr);
    };
    export(SUPPRESSION, "datadog", 0, &["1 rules exported", "1 suppressions exported, 0 left out"]);
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert!(read("suppressions/move.json").contains("keepwatch_rule:kasten-passkey-changed"));
    assert!(read("kasten-passkey-changed.json").contains("keepwatch_rule:kasten-passkey-changed"));
    let ignored = SUPPRESSION.replace("|cased", "");
    export(&ignored, "datadog", 1, &["move is left out (tighter)", "--allow-lossy writes it"]);
    export(SUPPRESSION, "splunk", 1, &["move is left out (refused)", "filter"]);
    let unknown = SUPPRESSION.replace("passkey-changed", "passkeys-changed");
    export(&unknown, "datadog", 1, &["names the rule kasten-passkeys-changed"]);
    export("kind: Secret", "datadog", 1, &["suppressions.yaml:1", "not Suppression"]);
}
