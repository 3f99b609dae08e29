//! The listener for admission reviews: every review with a UID is allowed, once it is recorded or
//! cannot be.

use std::time::Duration;

use event::annotations::{ADMISSION, GAP_TIME, OLD_OBJECT, QUARANTINE, SOURCE};
use event::{Event, Stage};
use serde_json::{Value, json};
use source::limits::{REVIEW_BYTES_MAX, REVIEW_TIME_MAX};
use source::listener::Refusal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fixture::{PROD_TOKEN, Response, TOKEN, TestServer, TestStore, events};

const JSON: &str = "Content-Type: application/json\r\n";
/// The path that has the token of the cluster `prod`.
const PATH: &str = "POST /admission/prod/a-token-of-prod-only";

/// The review of the deletion of a backup.
fn review(uid: &str) -> Value {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": uid,
        "kind": {"group": "velero.io", "version": "v1", "kind": "Backup"},
        "resource": {"group": "velero.io", "version": "v1", "resource": "backups"},
        "namespace": "shop", "operation": "DELETE",
        "userInfo": {"username": "alice", "groups": ["devs"]},
        "object": null, "oldObject": {"metadata": {"name": "b"}, "spec": {"ttl": "1h"}},
        "dryRun": false, "options": {"kind": "DeleteOptions"}}})
}

async fn send(server: &TestServer, line: &str, body: &str) -> Response {
    let headers = format!("{JSON}Content-Length: {}\r\n", body.len());
    server.send(&format!("{line}?timeout=2s"), &headers, body.as_bytes(), None).await
}

/// Checks that a review is allowed, and whether it is said to be recorded.
#[track_caller]
fn assert_allowed(response: &Response, uid: &str, is_recorded: bool) {
    assert_eq!(response.code, 200, "{}", response.body);
    let mut review_response = json!({"uid": uid, "allowed": true});
    if is_recorded {
        review_response["auditAnnotations"] = json!({"record": uid});
    }
    let expected = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "response": review_response});
    assert_eq!(serde_json::from_str::<Value>(&response.body).unwrap(), expected);
}

fn is_sent(event: &Event) -> bool {
    event.annotations.contains_key(ADMISSION)
}

#[tokio::test]
async fn a_review_is_allowed_once_its_event_is_durable_and_recorded_once() {
    let on = TestStore::new();
    let server = TestServer::start_admission(&on).await;
    for (uid, recorded) in [("u-1", 1), ("u-1", 1), ("u-2", 2)] {
        let response = send(&server, PATH, &review(uid).to_string()).await;
        assert_allowed(&response, uid, true);
        assert_eq!(events(&server.store).await.len(), recorded, "{uid}");
    }
    let events = events(&server.store).await;
    let event = &events[0];
    assert_eq!((&*event.audit_id, event.stage), ("u-1", Stage::RequestReceived));
    assert_eq!((&*event.verb, &*event.user.username), ("delete", "alice"));
    assert_eq!(event.annotations[OLD_OBJECT], r#"{"metadata":{"name":"b"},"spec":{"ttl":"1h"}}"#);
    assert_eq!(event.object_ref.as_ref().unwrap().name, "b");
    let state = server.status();
    assert_eq!((state.recorded, state.duplicates, state.rejected), (2, 1, 0));
    server.close().await;

    // The identities come back from the journal.
    let server = TestServer::start_admission(&on).await;
    assert_allowed(&send(&server, PATH, &review("u-1").to_string()).await, "u-1", true);
    assert_eq!((server.status().recorded, server.status().duplicates), (0, 1));
    server.close().await;
}

#[tokio::test]
async fn a_token_is_accepted_in_a_header_or_in_the_path_of_its_cluster() {
    let server = TestServer::start_admission(&TestStore::new()).await;
    let body = review("u").to_string();
    let plain = format!("{JSON}Content-Length: {}\r\n", body.len());
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n{plain}");
    for (path, headers, expected) in [
        ("/admission/prod", bearer(PROD_TOKEN), 200),
        (&format!("/admission/prod/{PROD_TOKEN}"), plain.clone(), 200),
        (&format!("/admission/test/{TOKEN}"), plain.clone(), 200),
        (&format!("/admission/test/{PROD_TOKEN}"), plain.clone(), 403),
        (&format!("/admission/other/{TOKEN}"), plain.clone(), 404),
        ("/admission/prod/a-wrong-token-of-prod", plain.clone(), 401),
        // The token of the path counts if there is one.
        ("/admission/prod/a-wrong-token-of-prod", bearer(PROD_TOKEN), 401),
        ("/admission/prod/", plain.clone(), 401),
        ("/admission/prod", plain.clone(), 401),
        ("/audit/prod", bearer(PROD_TOKEN), 403),
    ] {
        let response = server.send(&format!("POST {path}"), &headers, body.as_bytes(), None).await;
        assert_eq!(response.code, expected, "{path}: {}", response.body);
        assert!(!response.body.contains("token-of-prod"), "{}", response.body);
    }
    let get = server.send(&PATH.replace("POST", "GET"), JSON, b"", None).await;
    assert_eq!(get.code, 405);
    let expected = [
        (Refusal::NoCredentials, 1),
        (Refusal::Token, 3),
        (Refusal::Cluster, 2),
        (Refusal::Path, 1),
    ];
    assert_eq!(server.refused(), expected);
    server.close().await;
}

#[tokio::test]
async fn a_body_that_is_no_review_is_quarantined_and_allowed_if_it_has_a_uid() {
    let server = TestServer::start_admission(&TestStore::new()).await;
    let cut = r#"{"kind":"AdmissionReview","request":{"uid":"u-cut","operation""#;
    assert_allowed(&send(&server, PATH, cut).await, "u-cut", false);
    let beta = review("u-beta").to_string().replace("k8s.io/v1", "k8s.io/v1beta1");
    for (body, expected) in [
        (beta.as_str(), "v1beta1 is not supported"),
        ("{}", "the kind is not AdmissionReview"),
        ("", "not an AdmissionReview"),
    ] {
        let response = send(&server, PATH, body).await;
        assert_eq!(response.code, 400, "{body}");
        assert!(response.body.contains(expected), "{}", response.body);
    }
    let events = events(&server.store).await;
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| event.annotations.contains_key(QUARANTINE)));
    // It may contain keys.
    let text = format!("{:?}", events[1].request_object);
    assert!(text.contains("u-beta") && !text.contains("ttl"), "{text}");
    assert_eq!((server.status().quarantined, server.status().rejected), (4, 4));
    server.close().await;
}

#[tokio::test]
async fn a_review_above_the_limit_is_allowed_and_leaves_its_beginning() {
    let server = TestServer::start_admission(&TestStore::new()).await;
    let start = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-long","#;
    let headers = format!("{JSON}Content-Length: {}\r\n", REVIEW_BYTES_MAX + 1);
    let response = server.send(PATH, &headers, start.as_bytes(), None).await;
    assert_allowed(&response, "u-long", false);
    let events = events(&server.store).await;
    assert!(events[0].annotations[QUARANTINE].starts_with("the review is longer than"));
    server.close().await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_allowed_in_time() {
    let server = TestServer::start_admission(&TestStore::new()).await;
    let start = r#"{"request":{"uid":"u-slow","#;
    let headers = format!("{JSON}Content-Length: {}\r\n", start.len() + 1);
    let before = Instant::now();
    let response = server.send(PATH, &headers, start.as_bytes(), None).await;
    assert_allowed(&response, "u-slow", false);
    assert!(before.elapsed() < REVIEW_TIME_MAX + Duration::from_secs(5), "{:?}", before.elapsed());
    server.close().await;
}

/// A full journal must not stop a cluster, and must not be silent either.
#[tokio::test]
async fn a_review_is_allowed_when_the_journal_is_full_and_a_gap_is_recorded() {
    let mut on = TestStore::new();
    on.settings.limit_bytes = 4 << 20;
    let server = TestServer::start_admission(&on).await;
    let journal = server.store.journal();
    journal.register("slow", 0).await.unwrap();
    let long = "x".repeat(100 << 10);
    let mut number = 0;
    loop {
        let uid = format!("u-{number}");
        let mut review = review(&uid);
        review["request"]["oldObject"]["spec"]["ttl"] = long.as_str().into();
        let response = send(&server, PATH, &review.to_string()).await;
        let body: Value = serde_json::from_str(&response.body).unwrap();
        let is_recorded = body["response"].get("auditAnnotations").is_some();
        assert_allowed(&response, &uid, is_recorded);
        if !is_recorded {
            break;
        }
        number += 1;
        assert!(number < 200, "the journal is never full");
    }
    assert!(server.status().error.unwrap().contains("full"));
    let recorded = events(&server.store).await.iter().filter(|event| is_sent(event)).count();
    assert_eq!(recorded, number);
    on.advance(5);
    // The reader is done, so that there is room again.
    journal.remove("slow").await.unwrap();
    while {
        number += 1;
        let response = send(&server, PATH, &review(&format!("u-{number}")).to_string()).await;
        !response.body.contains("auditAnnotations")
    } {
        assert!(number < 1000, "no review is recorded");
    }
    // Regression: the gap was recorded while the review waited, so that it was answered late.
    let gap = async || events(&server.store).await.into_iter().find(|event| event.verb == "gap");
    assert_eq!(gap().await, None);
    let stop = CancellationToken::new();
    stop.cancel();
    server.receipts(stop).await;
    let gap = gap().await.expect("a gap");
    assert_eq!(gap.annotations[SOURCE], "admission-webhook-prod");
    assert!(gap.annotations.contains_key(GAP_TIME), "{gap:?}");
    server.close().await;
}
