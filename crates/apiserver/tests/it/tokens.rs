//! Bearer tokens, reviewed by a mock of kube-apiserver.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::cluster::{Script, mock_apiserver};
use crate::harness::{Client, Protocol, TestServer, TestServerOptions, check_record, get, line};

const THING: &str = "/apis/test.io/v1/namespaces/shop/things/x";

/// The response to a `TokenReview`.
pub(crate) fn review(status: &Value) -> (u16, Value) {
    let (kind, api) = ("TokenReview", "authentication.k8s.io/v1");
    (201, json!({"apiVersion": api, "kind": kind, "metadata": {}, "spec": {}, "status": status}))
}

pub(crate) fn alice() -> Value {
    json!({
        "authenticated": true,
        "user": {
            "username": "alice", "uid": "7", "groups": ["dev"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]},
        },
        "audiences": ["https://kubernetes.default.svc"],
    })
}

/// A server with a mock that returns this response.
async fn open(response: (u16, Value)) -> (Arc<Script>, TestServer) {
    let (script, client) = mock_apiserver([response]).await;
    (
        script,
        TestServer::open_options(TestServerOptions {
            tokens: Some(client),
            ..TestServerOptions::default()
        })
        .await,
    )
}

/// Sends a token without a client certificate.
async fn send_token(server: &TestServer, token: &str) -> StatusCode {
    let mut client = Client::connect(server.address, &server.ca.pem(), None, Protocol::Http1).await;
    let header = format!("Bearer {token}");
    client.send(get(THING, &[("authorization", &header)])).await.code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_review_authenticates_and_is_cached() {
    let (script, server) = open(review(&alice())).await;
    for _ in 0..3 {
        assert_eq!(
            send_token(&server, "good").await,
            404,
            "alice is authorized; the object does not exist"
        );
    }
    assert_eq!(script.request_count(), 1, "the review is cached");
    assert_eq!(send_token(&server, "other").await, 404);
    assert_eq!(script.request_count(), 2, "each token has its own review");
    let (path, request) = script.first();
    assert_eq!(path, "/apis/authentication.k8s.io/v1/tokenreviews");
    // Without audiences, kube-apiserver checks the token against its own.
    assert_eq!(request["spec"], json!({"token": "good"}));
    let events = server.close().await;
    let user = &events[0].user;
    assert_eq!((user.username.as_str(), user.uid.as_str()), ("alice", "7"));
    assert_eq!(user.groups, ["dev", "system:authenticated"]);
    assert_eq!(user.extra["authentication.kubernetes.io/credential-id"], ["JTI=1"]);
    for event in &events {
        let written = event::record::write(event);
        assert!(!String::from_utf8_lossy(&written).contains("good"), "no token is recorded");
    }
}

/// `reviews` is the number of reviews when the same token is sent twice.
async fn check_refused(response: (u16, Value), reviews: usize) {
    let response_text = response.1.to_string();
    let (script, server) = open(response).await;
    for _ in 0..2 {
        assert_eq!(send_token(&server, "bad").await, 401, "{response_text}");
    }
    assert_eq!(script.request_count(), reviews, "{response_text}");
    check_record(
        server,
        "
        ResponseStarted get /apis/test.io/v1/namespaces/shop/things/x 401 -
        ResponseStarted get /apis/test.io/v1/namespaces/shop/things/x 401 -
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_token_is_rejected_and_that_is_cached() {
    check_refused(review(&json!({"authenticated": false})), 1).await;
    check_refused(review(&json!({"authenticated": false, "error": "expired"})), 1).await;
    // A token for another audience than kube-apiserver's.
    let audience =
        json!({"authenticated": false, "error": "token audiences [\"vault\"] is invalid"});
    check_refused(review(&audience), 1).await;
    check_refused(review(&json!({"authenticated": true})), 1).await;
    check_refused(review(&json!({"authenticated": true, "user": {"groups": ["dev"]}})), 1).await;
    check_refused(review(&Value::Null), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unanswered_token_review_is_401_and_not_cached() {
    let failure =
        |code: u16| json!({"kind": "Status", "status": "Failure", "message": "no", "code": code});
    check_refused((403, failure(403)), 2).await;
    check_refused((404, failure(404)), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_cluster_tokens_are_rejected() {
    let server = TestServer::open().await;
    assert_eq!(send_token(&server, "good").await, 401);
    for header in ["Bearer", "Bearer ", "Basic Zm9v", "good"] {
        // An unauthenticated client loses its connection.
        let mut client =
            Client::connect(server.address, &server.ca.pem(), None, Protocol::Http1).await;
        let reply = client.send(get(THING, &[("authorization", header)])).await;
        assert_eq!(reply.code, 401, "{header}");
    }
    let events = server.close().await;
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|event| line(event).contains("401 -")));
}
