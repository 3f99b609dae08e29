//! Suppressions: they need an expiry and a reason, and every change is recorded.

use detect::LoadOptions;
use event::Timestamp;
use expect_test::expect;
use serde_json::{Value, json};
use siem::Services;
use siem::suppression::{expire, load, record_hidden};

use super::server::{START, TestServer};

const RULES: &str = "/apis/siem.keepwatch.io/v1alpha1/detectionrules";
const SUPPRESSIONS: &str = "/apis/siem.keepwatch.io/v1alpha1/suppressions";

/// A server with one rule.
async fn open() -> TestServer {
    let server = TestServer::open(siem::resources(&Services::default()));
    let sigma = "title: Restore points are deleted\nid: k10-rp-deleted\nlevel: high\n\
                 logsource:\n  product: kubernetes\n  service: audit\n\
                 detection:\n  selection:\n    verb: delete\n  condition: selection\n";
    let rule = json!({"metadata": {"name": "deleted"}, "spec": {"sigma": sigma}}).to_string();
    let (code, created) = server.send(&format!("POST {RULES}"), &rule).await;
    assert_eq!(code, 201, "{created}");
    server
}

fn spec() -> Value {
    json!({
        "rules": ["k10-rp-deleted"],
        "match": {"selection": {"user.username": "robot"}},
        "expiresAt": "2026-12-01T00:00:00Z",
        "reason": "cleaned up every night",
    })
}

async fn create(server: &TestServer, spec: &Value) -> (u16, Value) {
    let body = json!({"metadata": {"name": "robot"}, "spec": spec}).to_string();
    server.send(&format!("POST {SUPPRESSIONS}"), &body).await
}

#[tokio::test]
async fn a_suppression_has_its_creator_and_is_loaded_until_it_expires() {
    let server = open().await;
    let (code, created) = create(&server, &spec()).await;
    assert_eq!(code, 201, "{created}");
    expect![[r#"{"state":"active","createdBy":"alice","hidden":0}"#]]
        .assert_eq(&created["status"].to_string());
    let options = LoadOptions::default();
    let at = Timestamp::from_micros(START);
    let loaded = load(&server.registry, &options, at).await.unwrap();
    assert_eq!((loaded.len(), loaded[0].rules.join(" ").as_str()), (1, "k10-rp-deleted"));
    let later = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
    assert!(load(&server.registry, &options, later).await.unwrap().is_empty());
    server.write(move |objects| expire(objects, later)).await;
    server.write(move |objects| record_hidden(objects, "robot", 3, at)).await;
    // Without another hidden signal, the time stays.
    server.write(move |objects| record_hidden(objects, "robot", 3, later)).await;
    server.write(move |objects| record_hidden(objects, "gone", 3, at)).await;
    expect![[r#"
        Name  State  Expires At  Hidden  Created By  Reason  Rules  Ticket  Last Hidden  Age
        robot  expired  2026-12-01T00:00:00Z  3  alice  cleaned up every night  ["k10-rp-deleted"]  null  0s  0s
    "#]]
    .assert_eq(&server.table(&format!("GET {SUPPRESSIONS}")).await);
    let patch = json!({"spec": {"expiresAt": "2026-12-02T00:00:00Z"}, "status": {"hidden": 0}});
    let line = format!("PATCH {SUPPRESSIONS}/robot");
    let (_, updated) = server.send(&line, &patch.to_string()).await;
    expect![[r#"{"state":"active","createdBy":"alice","hidden":3,"lastHidden":"2026-11-23T09:30:00.000000Z","updatedBy":"alice"}"#]]
        .assert_eq(&updated["status"].to_string());
}

#[tokio::test]
async fn a_suppression_without_expiry_or_reason_is_rejected() {
    let server = open().await;
    let mut outcome = String::new();
    for (field, value) in [
        ("rules", json!([])),
        ("rules", json!([""])),
        ("rules", Value::Null),
        ("rules", json!(["k10-rp-delete", "keepwatch-clock-skew"])),
        ("rules", json!(["*", "wholly different"])),
        ("expiresAt", json!("2026-11-23T09:30:00Z")),
        ("expiresAt", json!("2028-01-01T00:00:00Z")),
        ("expiresAt", json!("tomorrow")),
        ("expiresAt", Value::Null),
        ("reason", json!(" ")),
        ("match", json!({})),
        ("match", json!({"selection": {"user.nmae": "robot"}})),
    ] {
        let mut spec = spec();
        spec[field] = value;
        let (code, response) = create(&server, &spec).await;
        let message = response["message"].as_str().unwrap();
        let message = message.split_once("invalid: ").map_or(message, |(_, rest)| rest);
        outcome += &(format!("{code} {message}") + "\n");
    }
    expect![[r#"
        422 spec.rules: Invalid value: 0: spec.rules in body should have at least 1 items
        422 spec.rules[0]: Required value: must contain the id of a rule, or * for every rule
        422 spec.rules: Required value
        422 spec.rules[0]: Invalid value: "k10-rp-delete": there is no rule with this id (did you mean "k10-rp-deleted"?)
        422 spec.rules[1]: Invalid value: "wholly different": there is no rule with this id (status.rules of each detectionrule lists its ids)
        422 spec.expiresAt: Invalid value: "2026-11-23T09:30:00Z": must be in the future
        422 spec.expiresAt: Invalid value: "2028-01-01T00:00:00Z": must be within a year
        422 spec.expiresAt: Invalid value: "tomorrow": spec.expiresAt in body must be of type date-time: "tomorrow"
        422 spec.expiresAt: Required value
        422 spec.reason: Required value: enter the reason for the suppression
        422 spec.match: Invalid value: there is no selection for `them`
        422 spec.match: Invalid value: no audit event has a field `user.nmae` (help: there are user.username, user.uid, user.groups, user.isServiceAccount, user.serviceAccount.namespace, user.serviceAccount.name)
    "#]].assert_eq(&outcome);
}

#[tokio::test]
async fn an_expired_suppression_may_still_be_labelled() {
    let server = open().await;
    create(&server, &spec()).await;
    server.advance(30 * 86_400);
    let patch = r#"{"metadata":{"labels":{"a":"b"}}}"#;
    let (code, _) = server.send(&format!("PATCH {SUPPRESSIONS}/robot"), patch).await;
    assert_eq!(code, 200);
}
