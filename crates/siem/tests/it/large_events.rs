//! Large events: lists and watches of them are bounded like those of stored objects.

use apiserver::limits::{BYTES_SHARES, RESPONSES_BYTES_MAX, WATCHES_BYTES_MAX};
use bytes::Bytes;
use event::{Event, Json, Stage, Timestamp};
use futures::StreamExt as _;
use serde_json::Value;

use super::server::{START, TestServer, log_of};

const EVENTS: &str = "/apis/siem.keepwatch.io/v1alpha1/auditevents";
/// Size of the body of an event, in bytes. The record of it is a few kilobytes.
const BODY_BYTES: usize = 500_000;
const MIB: usize = 1 << 20;

/// A server with `count` events that are large, but small in the journal.
async fn server(count: usize) -> TestServer {
    let server = TestServer::open_with(|store| siem::Services {
        log: log_of(store),
        ..siem::Services::default()
    });
    for _ in 0..count {
        let body = format!(r#"{{"a":"{}"}}"#, "z".repeat(BODY_BYTES));
        let event = Event {
            request_object: Some(Json::from_normalized(Bytes::from(body))),
            ..Event::internal(Stage::ResponseComplete, "create", Timestamp::from_micros(START))
        };
        let record = event::record::write(&event);
        assert!(record.len() < 16 << 10, "{}", record.len());
        store::append(&server.store, record).await.unwrap();
    }
    server
}

/// The bytes of different buffers.
fn distinct_bytes(bodies: &[Bytes]) -> usize {
    let mut buffers: Vec<_> = bodies.iter().map(|body| (body.as_ptr(), body.len())).collect();
    buffers.sort_unstable();
    buffers.dedup();
    buffers.iter().map(|(_, len)| len).sum()
}

/// Regression: 160 lists that their clients did not read took 1.4 GB.
#[tokio::test]
async fn unread_lists_of_events_are_bounded() {
    let server = server(100).await;
    for (accept, page) in [
        ("application/json", 8 * MIB),
        ("application/json;as=Table;v=v1;g=meta.k8s.io", 4 * MIB),
        ("application/yaml", 2 * MIB),
    ] {
        let headers = [("accept", accept)];
        let mut bodies = Vec::new();
        let mut refused = 0;
        for _ in 0..40 {
            let response = server.response(&format!("GET {EVENTS}"), "", &headers).await;
            match response.code.as_u16() {
                200 => bodies.push(response.body),
                code => {
                    assert_eq!(code, 429);
                    refused += 1;
                }
            }
        }
        let longest = bodies.iter().map(Bytes::len).max().unwrap();
        assert!(longest < page + 2 * BODY_BYTES, "{accept}: {longest}");
        let share = RESPONSES_BYTES_MAX / BYTES_SHARES;
        assert!(distinct_bytes(&bodies) <= share + MIB, "{accept}: {}", distinct_bytes(&bodies));
        assert!(refused > 0, "{accept}: lists at different revisions do not share memory");
    }
    let mut bodies = Vec::new();
    for _ in 0..100 {
        let line = format!("GET {EVENTS}/00000000000000000007");
        bodies.push(server.response(&line, "", &[]).await.body);
    }
    assert!(distinct_bytes(&bodies) < MIB, "one event is in memory once");
}

/// Regression: 60 watches that their clients did not read took 4.7 GB.
#[tokio::test]
async fn unread_watches_of_events_are_bounded() {
    let server = server(100).await;
    let line = format!("GET {EVENTS}?watch=1&resourceVersion=1");
    let mut watches = Vec::new();
    for _ in 0..60 {
        watches.push(server.watch_reply(&line).await.frames);
    }
    let mut frames = Vec::new();
    for watch in &mut watches {
        frames.extend(watch.by_ref().take(2).collect::<Vec<_>>().await);
    }
    assert_eq!(
        (frames.len(), distinct_bytes(&frames) < 2 * MIB),
        (120, true),
        "equal events are shared"
    );
    let mut all: Vec<Bytes> = watches.swap_remove(0).collect().await;
    let share = WATCHES_BYTES_MAX / BYTES_SHARES;
    assert!(distinct_bytes(&all) <= share + MIB, "{}", distinct_bytes(&all));
    let last: Value = serde_json::from_slice(&all.pop().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["object"]["code"]), (&"ERROR".into(), &429.into()));
    drop((all, frames));
    let next: Vec<Bytes> = watches.swap_remove(0).take(3).collect().await;
    assert_eq!(next.len(), 3, "others go on");
}
