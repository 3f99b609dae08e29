//! The listener over TLS: who may send, what is answered, and that 200 means recorded.

use std::time::Duration;

use event::annotations::{QUARANTINE, QUARANTINE_BYTES, SOURCE_CLUSTER};
use source::limits::{
    ADDRESS_CONNECTIONS_MAX, BODY_BYTES_MAX, LONG_EVENT_BYTES, QUARANTINE_BYTES_MAX,
};
use source::listener::Refusal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fixture::{PROD_TOKEN, TOKEN, TestServer, TestStore, event, events, list};

const JSON: &str = "Content-Type: application/json\r\n";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn a_list_is_answered_with_200_once_its_events_are_recorded() {
    let on = TestStore::new();
    let server = TestServer::start(&on).await;
    let body = list(&[event("a"), event("b")]);
    for (sent, recorded) in [(&body, 2), (&body, 2), (&list(&[event("c")]), 3)] {
        let response = server.post(sent).await;
        assert_eq!((response.code, &*response.body), (200, ""));
        assert_eq!(events(&server.store).await.len(), recorded);
    }
    let state = server.status();
    assert_eq!((state.received, state.recorded, state.duplicates, state.rejected), (5, 3, 2, 0));
    server.close().await;

    // The identities come back from the journal.
    let server = TestServer::start(&on).await;
    assert_eq!(server.post(&body).await.code, 200);
    assert_eq!((server.status().recorded, server.status().duplicates), (0, 2));
    server.close().await;
}

/// Checks the status code of a request without events, and a header of the response.
async fn check(server: &TestServer, line: &str, headers: &str, expected: (u16, &str)) {
    let response = server.send(line, headers, b"", None).await;
    let (code, header) = expected;
    assert_eq!(response.code, code, "{line} {headers}: {}", response.body);
    assert!(response.head.contains(header), "{line} {headers}: {}", response.head);
    assert!(!response.body.contains(TOKEN) && response.body.len() < 200, "{}", response.body);
}

#[tokio::test]
async fn requests_that_cannot_be_recorded_are_rejected() {
    let server = TestServer::start(&TestStore::new()).await;
    let (token, length) = (bearer(TOKEN), "Content-Length: 0\r\n");
    let sent = format!("{token}{JSON}{length}");
    let path = "POST /audit/prod";
    for (line, headers, expected) in [
        (path, JSON.to_owned(), (401, "www-authenticate: bearer")),
        (path, format!("{}{JSON}", bearer("0123456789abcdeg")), (401, "www-authenticate: bearer")),
        // An unauthenticated sender does not learn which clusters there are.
        ("POST /audit/other", JSON.to_owned(), (401, "")),
        ("GET /", JSON.to_owned(), (401, "")),
        ("POST /audit/other", sent.clone(), (404, "")),
        ("POST /audit/", sent.clone(), (404, "")),
        ("POST /audit/prod/x", sent.clone(), (404, "")),
        ("GET /metrics", sent.clone(), (404, "")),
        ("GET /audit/prod", sent.clone(), (405, "allow: post")),
        (path, format!("{token}{length}"), (415, "")),
        (path, format!("{token}Content-Type: text/plain\r\n{length}"), (415, "")),
        (path, format!("{token}{JSON}Content-Encoding: gzip\r\n{length}"), (415, "")),
    ] {
        check(&server, line, &headers, expected).await;
    }
    assert_eq!(events(&server.store).await, []);
    let state = server.status();
    assert_eq!((state.received, state.rejected), (0, 4));
    assert!(state.error.unwrap().starts_with("the Content-Type is"));
    assert_eq!(
        server.refused(),
        [(Refusal::NoCredentials, 3), (Refusal::Token, 1), (Refusal::Path, 4)]
    );
    server.close().await;
}

#[tokio::test]
async fn a_sender_that_fails_before_its_request_is_counted_by_its_reason() {
    let server = TestServer::start(&TestStore::new()).await;
    // It trusts another CA than that of the serving certificate.
    assert!(server.handshake(&server.client_authority, None).await.is_err());
    let mut plain = server.connect().await;
    plain.write_all(b"POST /audit/prod HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    plain.read_to_end(&mut Vec::new()).await.ok();
    let mut check = server.connect().await;
    check.shutdown().await.unwrap();
    check.read_to_end(&mut Vec::new()).await.ok();
    let unknown = server.authority.client("kube-apiserver", &[]);
    let headers = format!("{JSON}Content-Length: 0\r\n");
    let response = server.send("POST /audit/prod", &headers, b"", Some(&unknown)).await;
    assert_eq!(response.code, 401);
    let expected = [
        (Refusal::Handshake, 1),
        (Refusal::Tls, 1),
        (Refusal::ServingCertificate, 1),
        (Refusal::Certificate, 1),
    ];
    assert_eq!(server.refused(), expected);
    server.close().await;
}

#[tokio::test]
async fn a_body_above_the_limit_leaves_one_record_and_is_answered_with_413() {
    let server = TestServer::start(&TestStore::new()).await;
    let body = list(&[event("a").replace("alice", &"x".repeat(QUARANTINE_BYTES_MAX))]);
    let start = &body.as_bytes()[..QUARANTINE_BYTES_MAX];
    let length = BODY_BYTES_MAX + 1;
    let headers = format!("{}{JSON}Content-Length: {length}\r\n", bearer(TOKEN));
    for _attempt in 0..2 {
        let response = server.send("POST /audit/prod", &headers, start, None).await;
        assert_eq!(response.code, 413, "{}", response.body);
    }
    let events = events(&server.store).await;
    let [event] = &*events else { panic!("{} events", events.len()) };
    assert!(event.annotations[QUARANTINE].starts_with("the body is longer than"));
    assert_eq!(event.annotations[QUARANTINE_BYTES], length.to_string());
    assert!(
        event.request_object.as_ref().unwrap().as_bytes().starts_with(br#"{"text":"{\"kind\""#)
    );
    let state = server.status();
    assert_eq!((state.quarantined, state.duplicates, state.rejected), (2, 1, 2));
    assert!(state.error.unwrap().starts_with("the body is longer than"));
    server.close().await;
}

#[tokio::test]
async fn a_client_certificate_of_the_ca_replaces_the_token() {
    let server = TestServer::start(&TestStore::new()).await;
    let body = list(&[event("a")]);
    let headers = format!("{JSON}Content-Length: {}\r\n", body.len());
    let known = server.client_authority.client("kube-apiserver", &[]);
    let unknown = server.authority.client("kube-apiserver", &[]);
    for (identity, expected) in [(&known, 200), (&unknown, 401)] {
        let line = "POST /audit/prod";
        let response = server.send(line, &headers, body.as_bytes(), Some(identity)).await;
        assert_eq!(response.code, expected);
    }
    server.close().await;
}

#[tokio::test]
async fn the_credentials_of_one_cluster_cannot_send_events_of_another() {
    let on = TestStore::new();
    let names = [("prod", "apiserver-prod"), ("test", "apiserver-test"), ("test", "both")];
    let server = TestServer::start_with(&on, &[&names[..], &[("prod", "both")]].concat()).await;
    let body = list(&[event("a")]);
    let json = format!("{JSON}Content-Length: {}\r\n", body.len());
    let identity = |name: &str| server.client_authority.client(name, &[]);
    let prod = format!("{}{json}", bearer(PROD_TOKEN));
    for (path, headers, identity, expected) in [
        ("/audit/prod", &prod, None, 200),
        ("/audit/test", &prod, None, 403),
        ("/audit/other", &prod, None, 403),
        ("/", &prod, None, 403),
        ("/audit/prod", &json, Some(identity("apiserver-prod")), 200),
        ("/audit/test", &json, Some(identity("apiserver-prod")), 403),
        ("/audit/test", &json, Some(identity("both")), 200),
        ("/audit/prod", &json, Some(identity("other")), 401),
        // Both of its credentials count.
        ("/audit/test", &prod, Some(identity("apiserver-test")), 200),
    ] {
        let line = format!("POST {path}");
        let response = server.send(&line, headers, body.as_bytes(), identity.as_ref()).await;
        assert_eq!(response.code, expected, "{path}: {}", response.body);
    }
    let clusters = events(&server.store).await;
    let clusters = clusters.iter().map(|event| &*event.annotations[SOURCE_CLUSTER]);
    assert_eq!(clusters.collect::<Vec<_>>(), ["prod", "test"]);
    assert_eq!(server.refused(), [(Refusal::Certificate, 1), (Refusal::Cluster, 4)]);
    server.close().await;
}

#[tokio::test]
async fn a_full_journal_is_answered_with_503_and_a_time() {
    let mut on = TestStore::new();
    on.settings.limit_bytes = 4 << 20;
    let server = TestServer::start(&on).await;
    // A reader that reads nothing, so that no record is removed.
    server.store.journal().register("slow", 0).await.unwrap();
    let mut number = 0;
    let refused = loop {
        let text = "x".repeat(8000);
        let item = |at: usize| event(&format!("{number}-{at}")).replace("/backups/b", &text);
        let items: Vec<String> = (0..20).map(item).collect();
        let response = server.post(&list(&items)).await;
        if response.code != 200 {
            break response;
        }
        number += 1;
        assert!(number < 100, "the journal is never full");
    };
    assert_eq!(refused.code, 503, "{}", refused.body);
    let retry = refused.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    assert!((1..=10).contains(&retry.parse::<u64>().unwrap()), "{retry}");
    assert!(server.status().error.unwrap().contains("full"));
    // The rest of the journal is for the server's own requests.
    store::append(&server.store, bytes::Bytes::from_static(b"own")).await.unwrap();
    server.close().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_acknowledged_and_its_copy_is_recorded() {
    let server = TestServer::start(&TestStore::new()).await;
    let body = list(&[event("a"), event("b")]);
    let headers = format!("{}{JSON}Content-Length: {}\r\n", bearer(TOKEN), body.len());
    for sent in [10, body.len() / 2, body.len() - 1] {
        server.abandon("POST /audit/prod", &headers, &body.as_bytes()[..sent]).await;
    }
    assert_eq!(server.post(&body).await.code, 200);
    let ids: Vec<String> =
        events(&server.store).await.into_iter().map(|event| event.audit_id).collect();
    assert_eq!(ids, ["a", "b"]);
    server.close().await;
}

/// Its memory must be free before the next long event is received.
#[tokio::test]
async fn a_long_event_is_durable_before_the_rest_of_its_request_is_received() {
    let server = TestServer::start(&TestStore::new()).await;
    let long = event("a").replace("alice", &"x".repeat(LONG_EVENT_BYTES + (64 << 10)));
    let body = list(&[long, event("b")]);
    let headers = format!("{}{JSON}Content-Length: {}\r\n", bearer(TOKEN), body.len());
    let sent = &body.as_bytes()[..body.len() - 10];
    let request = server.begin("POST /audit/prod", &headers, sent, None).await;
    let journal = server.store.journal();
    let recorded = journal.wait_past(0);
    tokio::time::timeout(Duration::from_secs(30), recorded).await.unwrap().unwrap();
    drop(request);
    server.close().await;
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let server = TestServer::start(&TestStore::new()).await;
    let mut connections = Vec::new();
    for _ in 0..ADDRESS_CONNECTIONS_MAX {
        connections.push(server.connect().await);
    }
    let refused = server.connect().await;
    assert_eq!(refused.peek(&mut [0]).await.unwrap_or_default(), 0, "it is closed");
    drop(connections);
    server.close().await;
}
