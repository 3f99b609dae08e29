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

use player::{Found, Player, detect, lines};
use scenarios::{
    ACTS, AROUND, BELOW_THRESHOLD, EXCESSIVE, NAMESPACES, NOTHING, Place, SLOW, SPREAD,
    ScenarioGroup, signals,
};
use script::{Person, requests};

use crate::audit_configs::DEFINITIONS;
use crate::buckets::run;
use crate::fixture::alone;

#[test]
fn documented_attacks_below_the_threshold_are_not_excessive() {
    check(&BELOW_THRESHOLD);
}

#[test]
fn documented_attacks_at_the_threshold_are_detected() {
    check(&EXCESSIVE);
}

#[test]
fn k10s_own_work_dry_runs_and_reads_raise_nothing() {
    check(&NOTHING);
}

#[test]
fn attacks_spread_over_users_are_detected() {
    check(&SPREAD);
}

#[test]
fn requests_around_a_deletion_are_detected() {
    check(&AROUND);
}

#[test]
fn restore_points_deleted_with_their_namespace_have_a_separate_rule() {
    check(&NAMESPACES);
}

/// Plays an act on a standalone server.
fn check(act: &ScenarioGroup) {
    let folder = tempfile::tempdir().unwrap();
    let scripts: Vec<&str> = act.scenarios.iter().map(|scenario| scenario.script).collect();
    let expected = expected(act, |_| true);
    let flags = [format!("--policy={}", act.policy)];
    let found = play_alone(folder.path(), &flags, &scripts, &expected);
    check_signals(act.name, &expected, &found);
    let file = written(folder.path(), |_| true);
    check_lines(act.name, &found, &file);
}

/// Starts a standalone server, plays the scripts, and stops it.
fn play_alone(folder: &Path, flags: &[String], scripts: &[&str], expected: &[&str]) -> Vec<Found> {
    run(async {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut server = Standalone::start_with(folder, &flags, &[]).await.unwrap();
        let connect = |person: &Person| server.endpoint_of(&person.name, &person.groups);
        let found = Player::new(&connect).play(scripts, expected).await.unwrap();
        assert!(server.process.stop().unwrap().success(), "it did not end in order");
        found
    })
}

/// Writes the log lines of a standalone server that are wanted to a file.
fn written(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> PathBuf {
    let log = std::fs::read_to_string(folder.join("keepwatch.log")).unwrap();
    let lines = log.split_inclusive('\n').filter(|line| line.starts_with('{') && is_wanted(line));
    let file = folder.join("lines.json");
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    file
}

#[test]
fn the_signals_are_the_same_behind_kube_apiserver() {
    let (plane, mut keepwatch) = alone();
    let home = keepwatch.data_folder().to_owned();
    let results = play_all(&plane, &mut keepwatch);
    keepwatch.restart_with_data(&home).unwrap();
    keepwatch.wait_available(&plane).unwrap();
    for (act, found, lines) in results.unwrap() {
        check_signals(act.name, &expected(act, |place| place == Place::Everywhere), &found);
        check_lines(act.name, &found, &lines);
    }
}

/// Plays each act on a Keepwatch with an empty store. Returns the signals and the path of the audit
/// log.
fn play_all(
    plane: &ControlPlane,
    keepwatch: &mut Keepwatch,
) -> anyhow::Result<Vec<(&'static ScenarioGroup, Vec<Found>, PathBuf)>> {
    let connect = |person: &Person| {
        let Identity { certificate, key } = plane.identity(&person.name, &person.groups);
        Endpoint::new(plane.address(), "localhost", plane.authority(), &certificate, &key)
    };
    let mut results = Vec::new();
    for act in ACTS {
        keepwatch.restart_with_data(&plane.folder().join("playbooks").join(act.name))?;
        let scenarios = act.scenarios.iter().filter(|scenario| scenario.place == Place::Everywhere);
        let scripts: Vec<&str> = scenarios.map(|scenario| scenario.script).collect();
        let expected = expected(act, |place| place == Place::Everywhere);
        let found = run(Player::new(&connect).play(&scripts, &expected))?;
        results.push((act, found, keepwatch.audit_log().path().to_owned()));
    }
    Ok(results)
}

#[test]
fn requests_that_kube_apiserver_answers_are_detected_in_its_log() {
    let (plane, _keepwatch) = alone();
    plane.apply(DEFINITIONS).unwrap();
    let admin = plane.admin();
    let defined = "customresourcedefinition auditconfigs.config.kio.kasten.io";
    admin.kubectl(&format!("wait --for=condition=Established {defined} --timeout=60s")).unwrap();
    let config = json!({"apiVersion": "config.kio.kasten.io/v1alpha1", "kind": "AuditConfig",
        "metadata": {"name": "turned", "namespace": "kasten-io"},
        "spec": {"profile": {"name": "nowhere", "namespace": ""}}});
    plane.apply(&config.to_string()).unwrap();
    let (eve, mallory) = (plane.user("eve", Some("k10:admins")), plane.user("mal", None));
    let own_profile = r#"{"spec":{"profile":{"name":"mine"}}}"#;
    let patch = format!("patch auditconfig turned -n kasten-io --type=merge -p {own_profile}");
    eve.kubectl(&patch).unwrap();
    eve.kubectl("delete auditconfig turned -n kasten-io --timeout=60s").unwrap();
    for number in 0..5 {
        let line = format!("delete restorepoints.apps.kio.kasten.io rp-{number} -n default");
        let refused = mallory.try_kubectl(&line).unwrap();
        assert!(refused.err.contains("Forbidden"), "{refused:?}");
    }
    let expected =
        ["high kasten-auditconfig-changed eve 2", "medium kasten-refused-attempts mal 5"];
    until("kube-apiserver's own log has it all", || {
        let mut found = detect(&binary()?, plane.audit_log().path())?;
        found.retain(|found| [" eve ", " mal "].iter().any(|user| found.line.contains(user)));
        Ok((lines(&found) == expected).then_some(()))
    })
    .unwrap();
}

#[test]
fn attacks_over_days_are_detected() {
    let folder = tempfile::tempdir().unwrap();
    let scripts: Vec<&str> = SLOW.iter().map(|slow| slow.script).collect();
    play_alone(folder.path(), &["--policy=k10".to_owned()], &scripts, &[]);
    for slow in SLOW {
        let users: Vec<String> = requests(slow.script)
            .iter()
            .map(|request| format!("\"User\":{{\"username\":\"{}\"", request.person.name))
            .collect();
        let file = written(folder.path(), |line| users.iter().any(|user| line.contains(user)));
        move_apart(&file, |index| slow.step * index);
        let found = detect(&binary().unwrap(), &file).unwrap();
        check_signals(slow.script, &signals(slow.signals), &found);
    }
}

#[test]
fn missing_heartbeats_are_detected_and_late_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--policy=k10".to_owned(), "--heartbeat=20ms".to_owned()];
    play_alone(folder.path(), &flags, &[], &[]);
    let silent = "high keepwatch-heartbeat-silent keepwatch 1";
    for (pause, expected) in [(8, ""), (15, silent)] {
        let file = written(folder.path(), |line| line.contains("\"Verb\":\"heartbeat\""));
        move_apart(&file, |index| if index < 5 { index } else { index + pause });
        check_signals(
            "heartbeats",
            &signals(expected),
            &detect(&binary().unwrap(), &file).unwrap(),
        );
    }
}

/// Shifts the timestamps of a file's events, each to this many minutes after the first.
fn move_apart(file: &Path, minutes: impl Fn(i64) -> i64) {
    let text = std::fs::read_to_string(file).unwrap();
    let count = i64::try_from(text.lines().count()).unwrap();
    assert!(count > 4, "{count} lines");
    let mut moved = String::new();
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
        moved += &(line + "\n");
    }
    std::fs::write(file, moved).unwrap();
}

#[test]
fn skipped_events_of_a_reader_are_detected() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--policy=k10".to_owned()];
    play_alone(folder.path(), &flags, &[], &[]);
    let home = folder.path().join("home");
    let (reader, seq) = stdout_reader(&home);
    cursors(&home, &["rewind", &reader, "--to", &(seq - 5).to_string()]);
    cursors(&home, &["skip", &reader, "--to", &(seq - 2).to_string()]);
    let expected =
        ["high keepwatch-cursor-moved keepwatch 1", "low keepwatch-cursor-moved-back keepwatch 1"];
    let found = play_alone(folder.path(), &flags, &[], &expected);
    check_signals("cursors", &expected, &found);
}

#[test]
fn a_record_edited_on_disk_is_detected_when_it_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--policy=k10".to_owned()];
    play_alone(folder.path(), &flags, &[], &[]);
    let home = folder.path().join("home");
    let log = std::fs::read_to_string(folder.path().join("keepwatch.log")).unwrap();
    // The server's own events are not evidence of a signal, so editing one does not damage a
    // signal.
    let is_own = |line: &&str| line.contains("\"AuditID\"") && line.contains("keepwatch");
    let line = log.lines().find(is_own).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    edit(&home.join("keepwatch.db"), event["AuditID"].as_str().unwrap());
    let (reader, _) = stdout_reader(&home);
    cursors(&home, &["rewind", &reader, "--to", "0"]);
    let expected =
        ["high keepwatch-journal-gap keepwatch 1", "low keepwatch-cursor-moved-back keepwatch 1"];
    let found = play_alone(folder.path(), &flags, &[], &expected);
    check_signals("an edited record", &expected, &found);
}

/// Flips the lowest bit of the first byte of `text` at each of its places in a file.
fn edit(file: &Path, text: &str) {
    let mut bytes = std::fs::read(file).unwrap();
    let places: Vec<usize> = memmem::find_iter(&bytes, text).collect();
    assert!(!places.is_empty(), "{text} is not in {}", file.display());
    for place in places {
        bytes[place] ^= 1;
    }
    std::fs::write(file, bytes).unwrap();
}

/// The name and cursor of the reader that writes to stdout.
fn stdout_reader(home: &Path) -> (String, u64) {
    let listed = cursors(home, &["list"]);
    let reader = listed.lines().find(|line| line.contains("stdout")).unwrap();
    let reader: Vec<&str> = reader.split_whitespace().collect();
    (reader[0].to_owned(), reader[1].parse().unwrap())
}

/// The output of `keepwatch cursors` for the store below `home`.
fn cursors(home: &Path, arguments: &[&str]) -> String {
    let output = Command::new(binary().unwrap())
        .arg("cursors")
        .args(arguments)
        .arg(format!("--data-dir={}", home.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The signals that an act's scenarios expect, sorted.
fn expected(act: &ScenarioGroup, is_played: impl Fn(Place) -> bool) -> Vec<&'static str> {
    let scenarios = act.scenarios.iter().filter(|scenario| is_played(scenario.place));
    let mut expected: Vec<&str> =
        scenarios.flat_map(|scenario| signals(scenario.signals)).collect();
    expected.sort_unstable();
    expected
}

/// Exactly the expected signals were found.
fn check_signals(name: &str, expected: &[&str], found: &[Found]) {
    let found = lines(found);
    let missing: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
    let unexpected: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(
        found == expected,
        "{name}: not found {missing:#?}, not expected {unexpected:#?}\n{found:#?}"
    );
}

/// `keepwatch detect` finds the same signals in the server's log lines.
fn check_lines(name: &str, found: &[Found], file: &Path) {
    let mut again = detect(&binary().unwrap(), file).unwrap();
    let mut found = found.to_vec();
    again.sort();
    found.sort();
    assert_eq!(again, found, "{name}");
}
