//! Attacks on backups, and harmless work that resembles them, on a running server: the signals that
//! they raise.
//!
//! The same scenarios as in `detect` (`tests/it/playbooks`, on recorded events), here as requests
//! of users with client certificates, to a standalone server and behind a real kube-apiserver. The
//! signals that the server raises must be those that `keepwatch detect` finds in its log lines.

mod player;
mod scenarios;
mod script;

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::fixtures::load_client::Endpoint;
use e2e::fixtures::standalone::Standalone;
use e2e::fixtures::{ControlPlane, Keepwatch, binary, until};
use event::Timestamp;
use memchr::memmem;
use serde_json::{Value, json};
use testkit::pki::Identity;

use player::{FoundSignal, Player, detect, sorted_lines};
use scenarios::{
    AT_THRESHOLD, Availability, BELOW_THRESHOLD, GROUPS, NAMESPACE_DELETION, NO_SIGNALS, OVER_DAYS,
    RELATED_REQUESTS, SEVERAL_USERS, ScenarioGroup, signals,
};
use script::{ScriptUser, requests};

use crate::audit_configs::DEFINITIONS;
use crate::buckets::run;
use crate::fixture::alone;

#[test]
fn documented_attacks_below_the_threshold_are_not_excessive() {
    check(&BELOW_THRESHOLD);
}

#[test]
fn documented_attacks_at_the_threshold_are_detected() {
    check(&AT_THRESHOLD);
}

#[test]
fn k10s_own_work_dry_runs_and_reads_raise_nothing() {
    check(&NO_SIGNALS);
}

#[test]
fn attacks_spread_over_users_are_detected() {
    check(&SEVERAL_USERS);
}

#[test]
fn requests_around_a_deletion_are_detected() {
    check(&RELATED_REQUESTS);
}

#[test]
fn restore_points_deleted_with_their_namespace_have_a_separate_rule() {
    check(&NAMESPACE_DELETION);
}

/// Plays an act on a standalone server.
fn check(group: &ScenarioGroup) {
    let folder = tempfile::tempdir().unwrap();
    let scripts: Vec<&str> = group.scenarios.iter().map(|scenario| scenario.script).collect();
    let expected = expected(group, |_| true);
    let flags = [format!("--policy={}", group.policy)];
    let found_signals = play_standalone(folder.path(), &flags, &scripts, &expected);
    check_signals(group.name, &expected, &found_signals);
    let file = write_log_lines(folder.path(), |_| true);
    check_lines(group.name, &found_signals, &file);
}

/// Starts a standalone server, plays the scripts, and stops it.
fn play_standalone(
    folder: &Path,
    flags: &[String],
    scripts: &[&str],
    expected: &[&str],
) -> Vec<FoundSignal> {
    run(async {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut server = Standalone::start_with(folder, &flags, &[]).await.unwrap();
        let connect = |user: &ScriptUser| server.user_endpoint(&user.name, &user.groups);
        let found_signals = Player::new(&connect).play(scripts, expected).await.unwrap();
        assert!(server.process.stop().unwrap().success(), "it did not end in order");
        found_signals
    })
}

/// Writes the log lines of a standalone server that are wanted to a file.
fn write_log_lines(folder: &Path, matches: impl Fn(&str) -> bool) -> PathBuf {
    let log = std::fs::read_to_string(folder.join("keepwatch.log")).unwrap();
    let lines = log.split_inclusive('\n').filter(|line| line.starts_with('{') && matches(line));
    let file = folder.join("lines.json");
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    file
}

#[test]
fn the_signals_are_the_same_behind_kube_apiserver() {
    let (plane, mut keepwatch) = alone();
    let data_dir = keepwatch.data_folder().to_owned();
    let results = play_all(&plane, &mut keepwatch);
    keepwatch.restart_with_data(&data_dir).unwrap();
    keepwatch.wait_available(&plane).unwrap();
    for (group, found_signals, lines) in results.unwrap() {
        check_signals(
            group.name,
            &expected(group, |availability| availability == Availability::Everywhere),
            &found_signals,
        );
        check_lines(group.name, &found_signals, &lines);
    }
}

/// Plays each act on a Keepwatch with an empty store. Returns the signals and the path of the audit
/// log.
fn play_all(
    plane: &ControlPlane,
    keepwatch: &mut Keepwatch,
) -> anyhow::Result<Vec<(&'static ScenarioGroup, Vec<FoundSignal>, PathBuf)>> {
    let connect = |user: &ScriptUser| {
        let Identity { certificate, key } = plane.identity(&user.name, &user.groups);
        Endpoint::new(plane.address(), "localhost", plane.authority(), &certificate, &key)
    };
    let mut results = Vec::new();
    for group in GROUPS {
        keepwatch.restart_with_data(&plane.folder().join("playbooks").join(group.name))?;
        let scenarios = group
            .scenarios
            .iter()
            .filter(|scenario| scenario.availability == Availability::Everywhere);
        let scripts: Vec<&str> = scenarios.map(|scenario| scenario.script).collect();
        let expected = expected(group, |availability| availability == Availability::Everywhere);
        let found_signals = run(Player::new(&connect).play(&scripts, &expected))?;
        results.push((group, found_signals, keepwatch.audit_log().path().to_owned()));
    }
    Ok(results)
}

#[test]
fn requests_that_kube_apiserver_answers_are_detected_in_its_log() {
    let (plane, _keepwatch) = alone();
    plane.apply(DEFINITIONS).unwrap();
    let admin = plane.admin();
    let definition = "customresourcedefinition auditconfigs.config.kio.kasten.io";
    admin.kubectl(&format!("wait --for=condition=Established {definition} --timeout=60s")).unwrap();
    let config = json!({"apiVersion": "config.kio.kasten.io/v1alpha1", "kind": "AuditConfig",
        "metadata": {"name": "turned", "namespace": "kasten-io"},
        "spec": {"profile": {"name": "nowhere", "namespace": ""}}});
    plane.apply(&config.to_string()).unwrap();
    let (eve, mallory) = (plane.user("eve", Some("k10:admins")), plane.user("mal", None));
    let patch_body = r#"{"spec":{"profile":{"name":"mine"}}}"#;
    let patch = format!("patch auditconfig turned -n kasten-io --type=merge -p {patch_body}");
    eve.kubectl(&patch).unwrap();
    eve.kubectl("delete auditconfig turned -n kasten-io --timeout=60s").unwrap();
    for number in 0..5 {
        let line = format!("delete restorepoints.apps.kio.kasten.io rp-{number} -n default");
        let output = mallory.try_kubectl(&line).unwrap();
        assert!(output.stderr.contains("Forbidden"), "{output:?}");
    }
    let expected =
        ["high kasten-auditconfig-changed eve 2", "medium kasten-refused-attempts mal 5"];
    until("kube-apiserver's own log has all of them", || {
        let mut detected = detect(&binary()?, plane.audit_log().path())?;
        detected.retain(|signal| [" eve ", " mal "].iter().any(|user| signal.line.contains(user)));
        Ok((sorted_lines(&detected) == expected).then_some(()))
    })
    .unwrap();
}

#[test]
fn attacks_over_days_are_detected() {
    let folder = tempfile::tempdir().unwrap();
    let scripts: Vec<&str> = OVER_DAYS.iter().map(|slow| slow.script).collect();
    play_standalone(folder.path(), &["--policy=k10".to_owned()], &scripts, &[]);
    for slow in OVER_DAYS {
        let users: Vec<String> = requests(slow.script)
            .iter()
            .map(|request| format!("\"User\":{{\"username\":\"{}\"", request.user.name))
            .collect();
        let file =
            write_log_lines(folder.path(), |line| users.iter().any(|user| line.contains(user)));
        space_events(&file, |index| slow.step * index);
        let detected = detect(&binary().unwrap(), &file).unwrap();
        check_signals(slow.script, &signals(slow.signals), &detected);
    }
}

#[test]
fn missing_heartbeats_are_detected_and_late_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--policy=k10".to_owned(), "--heartbeat=20ms".to_owned()];
    play_standalone(folder.path(), &flags, &[], &[]);
    let silent = "high keepwatch-heartbeat-silent keepwatch 1";
    for (pause, expected) in [(8, ""), (15, silent)] {
        let file = write_log_lines(folder.path(), |line| line.contains("\"Verb\":\"heartbeat\""));
        space_events(&file, |index| if index < 5 { index } else { index + pause });
        check_signals(
            "heartbeats",
            &signals(expected),
            &detect(&binary().unwrap(), &file).unwrap(),
        );
    }
}

/// Shifts the timestamps of a file's events, each to this many minutes after the first.
fn space_events(file: &Path, minutes: impl Fn(i64) -> i64) {
    let text = std::fs::read_to_string(file).unwrap();
    let count = i64::try_from(text.lines().count()).unwrap();
    assert!(count > 4, "{count} lines");
    let mut shifted = String::new();
    for (index, line) in (0..).zip(text.lines()) {
        let event: Value = serde_json::from_str(line).unwrap();
        let mut line = line.to_owned();
        for key in ["timestamp", "RequestReceivedTimestamp", "StageTimestamp"] {
            let old = event[key].as_str().unwrap();
            // Shifted into the past: the detector does not accept timestamps in the future.
            let minutes = minutes(index) - minutes(count);
            let new = Timestamp::parse(old).unwrap().as_micros() + minutes * 60_000_000;
            let (old, new) = (format!("\"{key}\":\"{old}\""), Timestamp::from_micros(new));
            line = line.replace(&old, &format!("\"{key}\":\"{new}\""));
        }
        shifted += &(line + "\n");
    }
    std::fs::write(file, shifted).unwrap();
}

#[test]
fn skipped_events_of_a_reader_are_detected() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--policy=k10".to_owned()];
    play_standalone(folder.path(), &flags, &[], &[]);
    let data_dir = folder.path().join("home");
    let (reader, seq) = stdout_reader(&data_dir);
    cursors(&data_dir, &["rewind", &reader, "--to", &(seq - 5).to_string()]);
    cursors(&data_dir, &["skip", &reader, "--to", &(seq - 2).to_string()]);
    let expected =
        ["high keepwatch-cursor-moved keepwatch 1", "low keepwatch-cursor-moved-back keepwatch 1"];
    let found_signals = play_standalone(folder.path(), &flags, &[], &expected);
    check_signals("cursors", &expected, &found_signals);
}

#[test]
fn a_record_edited_on_disk_is_detected_when_it_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--policy=k10".to_owned()];
    play_standalone(folder.path(), &flags, &[], &[]);
    let data_dir = folder.path().join("home");
    let log = std::fs::read_to_string(folder.path().join("keepwatch.log")).unwrap();
    // The server's own events are not evidence of a signal, so editing one does not damage a
    // signal.
    let is_own = |line: &&str| line.contains("\"AuditID\"") && line.contains("keepwatch");
    let line = log.lines().find(is_own).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    flip_bit(&data_dir.join("keepwatch.db"), event["AuditID"].as_str().unwrap());
    let (reader, _) = stdout_reader(&data_dir);
    cursors(&data_dir, &["rewind", &reader, "--to", "0"]);
    let expected =
        ["high keepwatch-journal-gap keepwatch 1", "low keepwatch-cursor-moved-back keepwatch 1"];
    let found_signals = play_standalone(folder.path(), &flags, &[], &expected);
    check_signals("an edited record", &expected, &found_signals);
}

/// Flips the lowest bit of the first byte of `text` at each of its places in a file.
fn flip_bit(file: &Path, text: &str) {
    let mut bytes = std::fs::read(file).unwrap();
    let offsets: Vec<usize> = memmem::find_iter(&bytes, text).collect();
    assert!(!offsets.is_empty(), "{text} is not in {}", file.display());
    for offset in offsets {
        bytes[offset] ^= 1;
    }
    std::fs::write(file, bytes).unwrap();
}

/// The name and cursor of the reader that writes to stdout.
fn stdout_reader(data_dir: &Path) -> (String, u64) {
    let listed = cursors(data_dir, &["list"]);
    let reader = listed.lines().find(|line| line.contains("stdout")).unwrap();
    let reader: Vec<&str> = reader.split_whitespace().collect();
    (reader[0].to_owned(), reader[1].parse().unwrap())
}

/// The output of `keepwatch cursors` for the store below `data_dir`.
fn cursors(data_dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new(binary().unwrap())
        .arg("cursors")
        .args(arguments)
        .arg(format!("--data-dir={}", data_dir.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The signals that an act's scenarios expect, sorted.
fn expected(group: &ScenarioGroup, is_played: impl Fn(Availability) -> bool) -> Vec<&'static str> {
    let scenarios = group.scenarios.iter().filter(|scenario| is_played(scenario.availability));
    let mut expected: Vec<&str> =
        scenarios.flat_map(|scenario| signals(scenario.signals)).collect();
    expected.sort_unstable();
    expected
}

/// Exactly the expected signals were found.
fn check_signals(name: &str, expected: &[&str], found_signals: &[FoundSignal]) {
    let found_signals = sorted_lines(found_signals);
    let missing: Vec<_> = expected.iter().filter(|line| !found_signals.contains(line)).collect();
    let unexpected: Vec<_> = found_signals.iter().filter(|line| !expected.contains(line)).collect();
    assert!(
        found_signals == expected,
        "{name}: not found {missing:#?}, not expected {unexpected:#?}\n{found_signals:#?}"
    );
}

/// `keepwatch detect` finds the same signals in the server's log lines.
fn check_lines(name: &str, found_signals: &[FoundSignal], file: &Path) {
    let mut detected = detect(&binary().unwrap(), file).unwrap();
    let mut found_signals = found_signals.to_vec();
    detected.sort();
    found_signals.sort();
    assert_eq!(detected, found_signals, "{name}");
}
