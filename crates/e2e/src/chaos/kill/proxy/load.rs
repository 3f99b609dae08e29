//! The clients of the proxy, and the objects that they leave.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::chaos::kill::load::{Clients, ResponseLog};
use crate::fixtures::load_client::{Connection, Endpoint, Protocol, Reply};

/// The API version and the collection of the objects.
const API_VERSION: &str = "wardle.example.com/v1alpha1";
const COLLECTION: &str = "/apis/wardle.example.com/v1alpha1/namespaces/default/flunders";
/// Concurrent clients.
const CLIENTS: usize = 8;
/// Names that each client creates, changes and deletes repeatedly. No other client uses them.
const NAMES: u32 = 3;
/// Objects in a page of the list at the end.
const PAGE: usize = 500;
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
/// The annotation of an object with the audit ID of its last change.
const CHANGED_BY: &str = "example.com/audit-id";

/// A request: round, client, number.
pub(super) type Id = (u32, usize, u64);

/// The audit ID of a request.
fn audit_id((round, client, number): Id) -> String {
    format!("kill-{round}-{client}-{number}")
}

/// The request with an audit ID; `None` if it is not one of these clients.
pub(super) fn parse_id(audit_id: &str) -> Option<Id> {
    let mut parts = audit_id.strip_prefix("kill-")?.split('-');
    let id =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(id)
}

/// The user of a client.
pub(super) fn user_of(client: usize) -> String {
    format!("client-{client}")
}

/// Starts all clients. Each runs until the proxy is killed.
pub(super) fn start(endpoint: &Endpoint, round: u32, seed: u64) -> Clients {
    let mut clients = Clients::default();
    for client in 0..CLIENTS {
        let endpoint = endpoint.clone();
        let random = StdRng::seed_from_u64(seed.wrapping_add(client as u64));
        clients.spawn(|mut response_log| async move {
            // The client ends when the connection ends, which is not an error.
            run_client(&endpoint, (round, client), random, &mut response_log).await.err();
            response_log
        });
    }
    clients
}

async fn run_client(
    endpoint: &Endpoint,
    (round, client): (u32, usize),
    mut random: StdRng,
    response_log: &mut ResponseLog,
) -> anyhow::Result<()> {
    let protocol = if client.is_multiple_of(2) { Protocol::Http1 } else { Protocol::Http2 };
    let mut connection = endpoint.connections(protocol, 1).await?.remove(0);
    let user = user_of(client);
    let mut versions: HashMap<String, String> = HashMap::new();
    for number in 0_u64.. {
        let id = audit_id((round, client, number));
        let name = format!("object-{round}-{client}-{}", random.random_range(0..NAMES));
        let version = versions.get(&name).map(String::as_str);
        let (method, path, content_type, body) = next_request(&mut random, &id, &name, version);
        let headers = [
            ("x-remote-user", user.as_str()),
            ("x-remote-group", "system:masters"),
            ("audit-id", &id),
            ("content-type", content_type),
        ];
        let reply = connection.send(endpoint, method, &path, &headers, body).await?;
        if reply.code < 300
            && let Some(version) = resource_version(&reply)
        {
            versions.insert(name, version);
        }
        response_log.push(id, reply.code);
    }
    Ok(())
}

/// Method, path, content type and body. A replacement needs a version, which may be an old one.
fn next_request(
    random: &mut StdRng,
    id: &str,
    name: &str,
    version: Option<&str>,
) -> (&'static str, String, &'static str, Bytes) {
    let object = format!("{COLLECTION}/{name}");
    let annotations = json!({CHANGED_BY: id});
    let mut full = json!({"apiVersion": API_VERSION, "kind": "Flunder",
        "metadata": {"name": name, "annotations": annotations}, "spec": {"reference": "x"}});
    match random.random_range(0..100) {
        0..40 => ("POST", COLLECTION.to_owned(), JSON, full.to_string().into()),
        40..55 => {
            full["metadata"]["resourceVersion"] = version.unwrap_or("1").into();
            ("PUT", object, JSON, full.to_string().into())
        }
        55..70 => {
            let patch = json!({"metadata": {"annotations": annotations}});
            ("PATCH", object, MERGE_PATCH, patch.to_string().into())
        }
        70..90 => ("DELETE", object, JSON, Bytes::new()),
        _ => ("GET", object, JSON, Bytes::new()),
    }
}

fn resource_version(reply: &Reply) -> Option<String> {
    let object: Value = serde_json::from_slice(&reply.body).ok()?;
    object.pointer("/metadata/resourceVersion")?.as_str().map(str::to_owned)
}

/// All objects, with the request that changed each last.
pub(super) async fn objects(endpoint: &Endpoint) -> anyhow::Result<BTreeMap<String, Id>> {
    let headers = [("x-remote-user", "admin"), ("x-remote-group", "system:masters")];
    let mut connection: Connection = endpoint.connections(Protocol::Http1, 1).await?.remove(0);
    let (mut objects, mut next) = (BTreeMap::new(), String::new());
    loop {
        let path = format!("{COLLECTION}?limit={PAGE}&continue={next}");
        let reply = connection.send(endpoint, "GET", &path, &headers, Bytes::new()).await?;
        let page: Value = serde_json::from_slice(&reply.expect(200)?.body)?;
        for item in page["items"].as_array().context("a list without items")? {
            let name = item["metadata"]["name"].as_str().context("an object without a name")?;
            let changed_by = item["metadata"]["annotations"][CHANGED_BY].as_str();
            let id = changed_by.and_then(parse_id);
            objects.insert(name.to_owned(), id.with_context(|| format!("who changed {name}"))?);
        }
        page["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut next);
        if next.is_empty() {
            return Ok(objects);
        }
    }
}
