//! Notifiers: they contain no secret, send a sample on request, and have a status.

use std::sync::Arc;

use event::{Severity, Timestamp};
use expect_test::expect;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use siem::Services;
use siem::notifier::{
    NotifierSpec, NotifierState, NotifierStatus, NotifierTester, load, record_status,
};

use super::server::{START, TestServer};

const NOTIFIERS: &str = "/apis/siem.keepwatch.io/v1alpha1/notifiers";

/// Accepts samples for URLs with `https`, and no others.
struct Tester;

impl NotifierTester for Tester {
    fn test(&self, name: String, spec: NotifierSpec) -> BoxFuture<'static, Result<String, String>> {
        Box::pin(async move {
            match spec.url {
                Some(url) if url.starts_with("https") => {
                    Ok(format!("{name} accepted a sample signal"))
                }
                _ => Err(format!("{name}: nothing answers")),
            }
        })
    }
}

fn open() -> TestServer {
    TestServer::open(siem::resources(&Services { tester: Arc::new(Tester), ..Services::default() }))
}

async fn create(server: &TestServer, spec: &Value) -> (u16, Value) {
    let body = json!({"metadata": {"name": "pager"}, "spec": spec}).to_string();
    server.send(&format!("POST {NOTIFIERS}"), &body).await
}

fn alertmanager(url: &str) -> Value {
    json!({"type": "Alertmanager", "url": url, "minSeverity": "high"})
}

#[tokio::test]
async fn a_notifier_gets_its_defaults() {
    let server = open();
    let (code, created) = create(&server, &alertmanager("https://am:9093")).await;
    assert_eq!(code, 201, "{created}");
    let notifiers = load(&server.registry).await.unwrap();
    let spec = &notifiers[0].spec;
    assert_eq!(spec.min_severity, Severity::High);
    assert!(spec.send_closed && !spec.send_updates && spec.rules.is_empty());
    assert_eq!(created["status"], json!({"state": "pending"}));
}

/// Regression: a notifier with a misspelt rule was accepted and sent nothing.
#[tokio::test]
async fn a_notifier_names_rules_that_exist() {
    let server = open();
    let sigma = "title: Restore points are touched\nid: touched\ndetection:\n  s: {verb: delete}\n  \
        condition: s\n";
    let rule = json!({"metadata": {"name": "mine"}, "spec": {"sigma": sigma}}).to_string();
    let rules = "POST /apis/siem.keepwatch.io/v1alpha1/detectionrules";
    assert_eq!(server.send(rules, &rule).await.0, 201);
    let with = |rules: &[&str]| {
        let mut spec = alertmanager("https://am:9093");
        spec["rules"] = json!(rules);
        spec
    };
    let (code, response) = create(&server, &with(&["touched", "tuched"])).await;
    assert_eq!(code, 422, "{response}");
    expect![[r#"Notifier.siem.keepwatch.io "pager" is invalid: spec.rules[1]: Invalid value: "tuched": there is no rule with this id or title (did you mean "touched"?)"#]]
        .assert_eq(response["message"].as_str().unwrap());
    let names = ["touched", "Restore points are touched", "keepwatch-state-pressure"];
    assert_eq!(create(&server, &with(&names)).await.0, 201);
    server.send("DELETE /apis/siem.keepwatch.io/v1alpha1/detectionrules/mine", "").await;
    let patch = r#"{"metadata":{"labels":{"team":"backup"}}}"#;
    assert_eq!(server.send(&format!("PATCH {NOTIFIERS}/pager"), patch).await.0, 200);
}

#[tokio::test]
async fn secrets_in_the_spec_and_invalid_values_are_rejected() {
    let server = open();
    let secret = json!({"namespace": "keep", "name": "slack", "key": "url"});
    let mut outcome = String::new();
    for spec in [
        json!({"type": "Pigeon", "url": "https://x"}),
        json!({"type": "Webhook"}),
        json!({"type": "Slack", "url": "https://hooks.slack.example/T0"}),
        json!({"type": "Webhook", "url": "https://x", "urlSecretRef": secret}),
        json!({"type": "Webhook", "url": "https://user:hunter2@x"}),
        json!({"type": "Webhook", "url": "https://x/?token=hunter2"}),
        json!({"type": "Webhook", "url": "gopher://x"}),
        json!({"type": "Webhook", "url": "https://"}),
        json!({"type": "Webhook", "url": "https://x", "template": "{{#is_match"}),
        json!({"type": "Webhook", "url": "https://x", "caBundle": "x"}),
        json!({"type": "Webhook", "url": "https://x", "secretRef": {"name": "a"}}),
    ] {
        let (code, answer) = create(&server, &spec).await;
        let message = answer["message"].as_str().unwrap();
        let message = message.split_once("invalid: ").map_or(message, |(_, rest)| rest);
        outcome += &(format!("{code} {message}") + "\n");
    }
    expect![[r#"
        422 spec.type: Unsupported value: "Pigeon": supported values: "Alertmanager", "Webhook", "Slack"
        422 spec.url: Required value: or urlSecretRef
        422 spec.url: Forbidden: the URL of a Slack webhook is a secret: put it into a Secret, and set urlSecretRef
        422 spec.urlSecretRef: Forbidden: may not be set together with url
        422 spec.url: Invalid value: user, password and parameters are secrets: put the whole URL into a Secret, and set urlSecretRef
        422 spec.url: Invalid value: user, password and parameters are secrets: put the whole URL into a Secret, and set urlSecretRef
        422 spec.url: Invalid value: must begin with https:// or http://
        422 spec.url: Invalid value: must be a URL such as https://alertmanager.monitoring.svc:9093
        422 spec.template: Invalid value: a variable does not end (help: write it as {{severity}})
        422 spec.caBundle: Invalid value: must contain a certificate as PEM
        422 [spec.secretRef.namespace: Required value, spec.secretRef.key: Required value]
    "#]].assert_eq(&outcome);
    assert!(!outcome.contains("hunter2"));
}

#[tokio::test]
async fn a_sample_is_sent_on_request_and_recorded() {
    let server = open();
    create(&server, &alertmanager("https://am:9093")).await;
    let line = format!("POST {NOTIFIERS}/pager/test");
    assert_eq!(server.outcome(&line, "").await, "200 pager accepted a sample signal");
    let dry_run = server.outcome(&format!("{line}?dryRun=All"), "{}").await;
    assert_eq!(dry_run, "200 dry run: nothing was done");
    let patch = json!({"spec": {"url": "http://am:9093"}}).to_string();
    assert_eq!(server.send(&format!("PATCH {NOTIFIERS}/pager"), &patch).await.0, 200);
    assert_eq!(server.outcome(&line, "").await, "502 pager: nothing answers");
    assert_eq!(server.send(&format!("POST {NOTIFIERS}/gone/test"), "").await.0, 404);
    assert_eq!(server.send(&format!("GET {NOTIFIERS}/pager/test"), "").await.0, 405);
    let events = server.events().await;
    let tests = events.iter().filter(|event| {
        event.verb == "create"
            && event.object_ref.as_ref().is_some_and(|object| object.subresource == "test")
    });
    assert_eq!(tests.count(), 4);
}

#[tokio::test]
async fn the_server_writes_the_status_of_a_notifier() {
    let server = open();
    create(&server, &alertmanager("https://am:9093")).await;
    let status = NotifierStatus {
        state: NotifierState::Failing,
        last_sent: Some(Timestamp::from_micros(START - 60_000_000)),
        last_error: Some("nothing answers".to_owned()),
        cursor: Some(17),
        pending: 3,
    };
    server.write(move |objects| record_status(objects, "pager", &status)).await;
    server.write(|objects| record_status(objects, "gone", &NotifierStatus::default())).await;
    expect![[r"
        Name  Type  State  Min Severity  Pending  Last Sent  Error  Age
        pager  Alertmanager  failing  high  3  60s  nothing answers  0s
    "]]
    .assert_eq(&server.table(&format!("GET {NOTIFIERS}")).await);
    let patch = json!({"spec": {"minSeverity": "low"}, "status": {"state": "active"}}).to_string();
    let (_, changed) = server.send(&format!("PATCH {NOTIFIERS}/pager"), &patch).await;
    assert_eq!(changed["status"]["state"], "failing");
}
