//! Responses that clients do not read: lists and watches of large objects stay within the limits on
//! the server's memory, over both protocols, and other requests are served meanwhile.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use e2e::fixtures::load_client::{Connection, Endpoint, Protocol};
use e2e::fixtures::proc_status;
use e2e::fixtures::standalone::{NAMESPACE, Standalone};
use http::Response;
use hyper::body::Incoming;
use serde_json::json;

use crate::buckets::run;

/// Large objects, and the bytes of each one's value before base64.
const OBJECTS: usize = 16;
const OBJECT_BYTES: usize = 700_000;
/// Requests of each kind whose responses are not read.
const UNREAD_RESPONSES: usize = 40;
/// Requests on one HTTP/2 connection.
const STREAMS: usize = 8;
/// Bytes by which they may raise the server's memory together: one user's limits on long lists and
/// long watch events, the lists that are rendered concurrently, and their source data.
const COST_MAX: u64 = 192 << 20;

/// Forty lists of 40 MB once took 1.9 GB as long as their connections were open.
#[test]
fn unread_responses_stay_within_the_memory_limits() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let server = Standalone::start_with(folder.path(), &["--policy=k10"], &[]).await.unwrap();
        for number in 0..OBJECTS {
            let value = STANDARD.encode(vec![b'x'; OBJECT_BYTES]);
            let secret = json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": format!("large-{number}")}, "data": {"value": value}});
            server.create("/api/v1", "secrets", &secret).await.unwrap();
        }
        let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
        let process = server.process.id();
        let mut report = String::new();
        let mut max_cost = 0;
        for (name, query) in [
            ("equal lists", "?"),
            ("other lists", "?timeoutSeconds="),
            ("lists for people", "?pretty=1&timeoutSeconds="),
            ("equal watches", "?watch=1"),
            ("other watches", "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        ] {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                proc_status::reset_vm_hwm(process).unwrap();
                let before = proc_status::vm_rss(process).unwrap();
                let path = |number: usize| match query.strip_suffix('=') {
                    Some(_) => format!("{secrets}{query}{}", number + 1),
                    None => format!("{secrets}{query}"),
                };
                let responses = send_without_reading(&server.admin, protocol, path).await;
                let mut other_connection =
                    server.worker.connections(Protocol::Http1, 1).await.unwrap().remove(0);
                let path = format!("/api/v1/namespaces/{NAMESPACE}");
                let reply =
                    other_connection.send(&server.worker, "GET", &path, &[], Bytes::new()).await;
                assert!(reply.unwrap().code < 500, "others are served");
                let cost = proc_status::vm_hwm(process).unwrap().saturating_sub(before);
                let started =
                    responses.iter().filter(|(_, response)| response.status() == 200).count();
                assert!(started > 0, "{name} {protocol:?}: none was begun");
                writeln!(report, "{name} {protocol:?}: {started} begun, {} MiB", cost >> 20)
                    .unwrap();
                max_cost = max_cost.max(cost);
                drop(responses);
            }
        }
        println!("{report}");
        assert!(max_cost <= COST_MAX, "{report}");
    });
}

/// Sends the requests and holds the responses without reading them.
async fn send_without_reading(
    endpoint: &Endpoint,
    protocol: Protocol,
    path: impl Fn(usize) -> String,
) -> Vec<(Connection, Response<Incoming>)> {
    let mut responses = Vec::new();
    while responses.len() < UNREAD_RESPONSES {
        // The server closes a connection without requests after a while.
        let connections = if protocol == Protocol::Http1 { 1 } else { STREAMS };
        for mut connection in endpoint.connections(protocol, connections).await.unwrap() {
            let path = path(responses.len());
            let response =
                connection.start_request(endpoint, "GET", &path, &[], Bytes::new()).await;
            responses.push((connection, response.unwrap()));
        }
    }
    responses
}
