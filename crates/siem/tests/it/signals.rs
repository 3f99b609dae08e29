//! Signals: what the detector writes, what users see, and the triage that users write.

use event::signal::{Actor, Evidence, Remaining, ServiceAccount, SignalRule, Target, Targets};
use event::{Severity, Signal, SignalSpec, SignalState, Timestamp};
use expect_test::expect;
use serde_json::{Value, json};
use siem::signal::retention::{Retention, sweep};

use super::server::{SIGNALS, START, TestServer};

fn signal(id: &str, state: SignalState, count: u64) -> Signal {
    let spec = SignalSpec {
        rule: SignalRule { id: "k10-rp-deleted".to_owned(), title: "Deleted".to_owned() },
        severity: Severity::High,
        title: "mallory deleted 7 restore points".to_owned(),
        actor: Actor { username: "mallory".to_owned(), ..Actor::default() },
        targets: Targets { count: 7, items: vec![Target::default()] },
        count,
        first_seen: Timestamp::from_micros(START - 90_000_000),
        last_seen: Timestamp::from_micros(START - 30_000_000),
        ..SignalSpec::default()
    };
    Signal { id: id.to_owned(), spec, state }
}

async fn detect(server: &TestServer, signal: Signal) {
    let at = Timestamp::from_micros(START);
    server.write(move |objects| siem::signal::write(objects, &signal, at)).await;
}

async fn server() -> TestServer {
    let server = TestServer::open(siem::resources(&siem::Services::default()));
    detect(&server, signal("s1", SignalState::Open, 7)).await;
    server
}

#[tokio::test]
async fn users_can_read_and_watch_the_detectors_signals() {
    let server = server().await;
    detect(&server, signal("s2", SignalState::Open, 1)).await;
    let table = server.table(&format!("GET {SIGNALS}")).await;
    expect![[r"
        Name  Severity  State  Triage  Rule  User  Count  Last Seen  Title  Targets  First Seen  Age
        s1  high  open  open  k10-rp-deleted  mallory  7  30s  mallory deleted 7 restore points  7  90s  0s
        s2  high  open  open  k10-rp-deleted  mallory  1  30s  mallory deleted 7 restore points  7  90s  0s
    "]]
    .assert_eq(&table);
    let (_, list) = server.send(&format!("GET {SIGNALS}"), "").await;
    let before = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    detect(&server, signal("s1", SignalState::Updated, 8)).await;
    let line = format!("GET {SIGNALS}?watch=1&resourceVersion={before}");
    assert_eq!(server.watch(&line, 1).await, ["MODIFIED s1"]);
    assert!(server.events().await.iter().all(|event| event.verb != "update"));
}

#[tokio::test]
async fn signals_can_be_selected_by_fields_and_labels() {
    let server = server().await;
    let mut low_severity = signal("s2", SignalState::Closed, 1);
    low_severity.spec.severity = Severity::Low;
    low_severity.spec.actor.impersonated_by = "eve".to_owned();
    detect(&server, low_severity).await;
    for (query, expected) in [
        ("fieldSelector=spec.severity=low", "s2"),
        ("fieldSelector=status.state!=closed", "s1"),
        ("fieldSelector=status.triage.state=open,status.state=closed", "s2"),
        ("fieldSelector=spec.rule.id=k10-rp-deleted,spec.actor.username=bob", ""),
        ("fieldSelector=spec.actor.impersonatedBy=eve", "s2"),
        ("labelSelector=siem.keepwatch.io/severity=high", "s1"),
        ("labelSelector=siem.keepwatch.io/rule=k10-rp-deleted", "s1 s2"),
    ] {
        let (_, list) = server.send(&format!("GET {SIGNALS}?{query}"), "").await;
        let names = list["items"].as_array().unwrap().iter();
        let names: Vec<&str> = names.filter_map(|item| item["metadata"]["name"].as_str()).collect();
        assert_eq!(names.join(" "), expected, "{query}");
    }
}

#[tokio::test]
async fn users_can_write_only_the_triage() {
    for subresource in ["triage", "status"] {
        let server = server().await;
        let patch = json!({
            "metadata": {"labels": {"siem.keepwatch.io/severity": "low"}},
            "spec": {"count": 1},
            "status": {
                "state": "closed",
                "triage": {"state": "under_review", "note": "mine", "user": "bob"},
            },
        });
        server.advance(5);
        let line = format!("PATCH {SIGNALS}/s1/{subresource}");
        let (code, signal) = server.send(&line, &patch.to_string()).await;
        assert_eq!(code, 200, "{signal}");
        expect![[r#"{"state":"open","triage":{"state":"under_review","note":"mine","user":"alice","time":"2026-11-23T09:30:05Z"}}"#]]
            .assert_eq(&signal["status"].to_string());
        assert_eq!(signal["spec"]["count"], 7);
        assert_eq!(signal["metadata"]["labels"]["siem.keepwatch.io/severity"], "high");
        let mut replaced = signal.clone();
        replaced["status"]["triage"] = json!({"state": "archived", "reason": "testing"});
        let line = format!("PUT {SIGNALS}/s1/{subresource}");
        let (code, signal) = server.send(&line, &replaced.to_string()).await;
        assert_eq!((code, &signal["status"]["triage"]["reason"]), (200, &json!("testing")));
    }
}

#[tokio::test]
async fn an_archived_signal_requires_a_reason_and_an_open_one_has_none() {
    let server = server().await;
    let line = format!("PATCH {SIGNALS}/s1/triage");
    let check = async |triage: Value| {
        let patch = json!({"status": {"triage": triage}});
        server.outcome(&line, &patch.to_string()).await
    };
    expect![[r#"422 Signal.siem.keepwatch.io "s1" is invalid: status.triage.reason: Required value: an archived signal needs one of: true_positive, benign_positive, false_positive, testing, other"#]]
        .assert_eq(&check(json!({"state": "archived"})).await);
    expect![[r#"422 Signal.siem.keepwatch.io "s1" is invalid: status.triage.state: Unsupported value: "done": supported values: "open", "under_review", "archived""#]]
        .assert_eq(&check(json!({"state": "done"})).await);
    // Regression: values of a wrong type had no effect, or opened the signal again.
    for invalid in [json!({"state": 5}), json!({"note": ["x"]}), json!(["x"]), json!("x")] {
        let outcome = check(invalid.clone()).await;
        assert!(outcome.starts_with("422 ") && outcome.contains("must be of type"), "{outcome}");
    }
    assert_eq!(check(json!({"state": "archived", "reason": "other"})).await, "200");
    assert_eq!(check(json!({"state": "open"})).await, "200");
    let (_, signal) = server.send(&format!("GET {SIGNALS}/s1/triage"), "").await;
    assert_eq!(signal["status"]["triage"].get("reason"), None);
}

#[tokio::test]
async fn the_triage_survives_updates_by_the_detector() {
    let server = server().await;
    let line = format!("PATCH {SIGNALS}/s1/triage");
    server.send(&line, r#"{"status":{"triage":{"state":"under_review"}}}"#).await;
    let (_, before) = server.send(&format!("GET {SIGNALS}/s1"), "").await;
    let mut last = signal("s1", SignalState::Closed, 9);
    last.spec.severity = Severity::Critical;
    detect(&server, last).await;
    let (_, after) = server.send(&format!("GET {SIGNALS}/s1"), "").await;
    assert_eq!(after["spec"]["count"], 9);
    assert_eq!(after["status"]["state"], "closed");
    assert_eq!(after["status"]["closedAt"], "2026-11-23T09:30:00.000000Z");
    assert_eq!(after["status"]["triage"], before["status"]["triage"]);
    assert_eq!(after["metadata"]["labels"]["siem.keepwatch.io/severity"], "critical");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["metadata"]["generation"], 2);
}

#[tokio::test]
async fn signals_beyond_the_retention_are_deleted_and_this_is_recorded() {
    let server = server().await;
    detect(&server, signal("s2", SignalState::Closed, 1)).await;
    detect(&server, signal("s3", SignalState::Open, 1)).await;
    let retention = Retention { count_max: 2, ..Retention::default() };
    let now = Timestamp::from_micros(START);
    assert_eq!(sweep(&server.registry, &retention, now).await.unwrap(), 1);
    assert_eq!(server.send(&format!("GET {SIGNALS}/s2"), "").await.0, 404);
    assert_eq!(server.send(&format!("GET {SIGNALS}/s3"), "").await.0, 200);
    let events = server.events().await;
    let deleted = events.iter().find(|event| event.verb == "delete").unwrap();
    assert_eq!(deleted.user.username, "system:keepwatch");
}

#[tokio::test]
async fn users_can_delete_signals_but_not_create_them() {
    let server = server().await;
    let outcome = server.outcome(&format!("POST {SIGNALS}"), r#"{"metadata":{"name":"s3"}}"#).await;
    expect![[r#"405 create is not supported on resources of kind "signals.siem.keepwatch.io""#]]
        .assert_eq(&outcome);
    let changed = server.outcome(&format!("PATCH {SIGNALS}/s1"), "{}").await;
    assert!(changed.starts_with("405"), "{changed}");
    assert_eq!(server.send(&format!("DELETE {SIGNALS}/s1"), "").await.0, 200);
    let events = server.events().await;
    let last = events.last().unwrap();
    assert_eq!((last.verb.as_str(), last.user.username.as_str()), ("delete", "alice"));
}

/// A signal with every field set conforms to its schema: no field is unknown or invalid.
#[tokio::test]
async fn the_schema_knows_every_field_of_a_signal() {
    let server = TestServer::open(siem::resources(&siem::Services::default()));
    let mut full = signal("s1", SignalState::Open, 7);
    let text = || "x".to_owned();
    full.spec.case = text();
    full.spec.message = text();
    full.spec.cluster = text();
    full.spec.group_by = vec![event::signal::GroupValue { field: text(), value: text() }];
    full.spec.remaining =
        vec![Remaining { newest: text(), newest_time: text(), ..Remaining::default() }];
    full.spec.counts.insert(text(), 3);
    full.spec.references = vec![text()];
    full.spec.blind_spots = vec![text()];
    full.spec.actor = Actor {
        username: text(),
        uid: text(),
        groups: vec![text()],
        impersonated_by: text(),
        impersonators: vec![text()],
        service_account: Some(ServiceAccount { namespace: text(), name: text() }),
        credential_id: text(),
        source_ips: vec![text()],
        user_agents: vec![text()],
        users: vec![text()],
        first_seen: vec![text()],
    };
    let target = || Target {
        group: text(),
        resource: text(),
        subresource: text(),
        namespace: text(),
        name: text(),
    };
    full.spec.targets.items = vec![target()];
    let event =
        serde_json::value::RawValue::from_string(r#"{"verb":"delete"}"#.to_owned()).unwrap();
    full.spec.evidence = Evidence { audit_ids: vec![text()], events: vec![event] };
    detect(&server, full).await;
    let (_, stored) = server.send(&format!("GET {SIGNALS}/s1"), "").await;
    let mut replaced = stored.clone();
    replaced["status"]["triage"] = json!({"state": "under_review"});
    let line = format!("PUT {SIGNALS}/s1/triage?fieldValidation=Strict");
    let (code, response) = server.send(&line, &replaced.to_string()).await;
    assert_eq!(code, 200, "{response}");
    assert_eq!(response["spec"], stored["spec"]);
}
