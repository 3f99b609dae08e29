//! Event sources as users read them.

use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use expect_test::{Expect, expect};
use siem::Services;
use siem::event_source::{EventSourceState, EventSources};

use crate::server::{START, TestServer};

const SOURCES: &str = "/apis/siem.keepwatch.io/v1alpha1/eventsources";

struct Sources;

impl EventSources for Sources {
    fn states(&self) -> Vec<EventSourceState> {
        let state = |cluster: &str| EventSourceState {
            name: format!("audit-webhook-{cluster}"),
            kind: "AuditWebhook".to_owned(),
            cluster: cluster.to_owned(),
            ..EventSourceState::default()
        };
        let busy = EventSourceState {
            last_event: Some(Timestamp::from_micros(START - 3_000_000)),
            lag: Some(Duration::from_secs(31)),
            events: 1200,
            duplicates: 400,
            quarantined: 1,
            rejected: 2,
            error: Some("the journal is full".to_owned()),
            ..state("prod")
        };
        vec![busy, state("test")]
    }
}

fn server() -> TestServer {
    TestServer::open(siem::resources(&Services {
        sources: Arc::new(Sources),
        ..Services::default()
    }))
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

#[tokio::test]
async fn kubectl_get_shows_what_each_source_received() {
    let server = server();
    check(
        &server.table(&format!("GET {SOURCES}")).await,
        &expect![[r"
            Name  Kind  Cluster  Last Event  Lag  Events  Duplicates  Quarantined  Error
            audit-webhook-prod  AuditWebhook  prod  3s  31s  1200  400  1  the journal is full
            audit-webhook-test  AuditWebhook  test  null  null  0  0  0  null
        "]],
    );
    let (code, source) = server.send(&format!("GET {SOURCES}/audit-webhook-prod"), "").await;
    assert_eq!((code, &source["status"]["rejectedRequests"]), (200, &2.into()));
}

#[tokio::test]
async fn sources_are_neither_written_nor_watched() {
    let server = server();
    for (line, expected) in [
        (format!("GET {SOURCES}/other"), 404),
        (format!("DELETE {SOURCES}/audit-webhook-prod"), 405),
        (format!("GET {SOURCES}?watch=true"), 405),
    ] {
        assert_eq!(server.send(&line, "").await.0, expected, "{line}");
    }
}
