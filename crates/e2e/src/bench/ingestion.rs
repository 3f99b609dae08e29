//! Measures the audit webhook: the CPU time of an event of 1.3 KB in requests as kube-apiserver sends
//! them, over TLS, and the memory of a request of any length.
//!
//! Two servers are measured, without and with rules. Both write lines to a file and have the index of
//! events. What a request does not wait for counts too: CPU time is that until the server is idle
//! again. `cargo bench -p source --bench recording` measures recording alone.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use tokio::runtime::Runtime;

use super::{POLICY, front_proxy, machine};
use crate::fixtures::control_plane::ControlPlane;
use crate::fixtures::keepwatch::{ExtraArgs, Keepwatch};
use crate::fixtures::load_client::{Endpoint, Protocol};
use crate::fixtures::proc_status;
use crate::fixtures::process::free_port;
use crate::fixtures::wait::until;

/// Events in a request: kube-apiserver's default.
const BATCH: usize = 400;
/// Requests at a time: kube-apiserver sends several batches over one connection of HTTP/2.
const STREAMS: usize = 4;
/// The size of a typical audit event, in bytes.
const EVENT_BYTES: usize = 1_300;
const TOKEN: &str = "a-token-of-this-benchmark";
const PATH: &str = "/audit/prod?timeout=30s";

/// Sends this number of requests, and one with `long` events, to both servers, and prints the figures.
pub fn ingestion(requests: usize, long: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let plane = ControlPlane::start(folder.path())?;
    println!("| | events | CPU µs/event | events per core-second | events/s | peak MiB | before |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, rules) in [("without rules", false), ("with rules", true)] {
        let server = Server::start(&runtime, &plane, rules)?;
        let batches = vec![BATCH; requests];
        server.measure(&runtime, &format!("{name}, requests of {BATCH}"), &batches)?;
        server.measure(&runtime, &format!("{name}, one long request"), &[long])?;
        // The next one must not know these events.
        let data = server.keepwatch.data();
        drop(server);
        std::fs::remove_dir_all(data)?;
    }
    Ok(())
}

/// The server, and where events are sent.
struct Server {
    keepwatch: Keepwatch,
    webhook: Arc<Endpoint>,
}

impl Server {
    fn start(runtime: &Runtime, plane: &ControlPlane, rules: bool) -> anyhow::Result<Self> {
        let (tokens, port) = (plane.folder().join("tokens"), free_port()?);
        std::fs::write(&tokens, TOKEN)?;
        let arguments = vec![
            format!("--audit-webhook-port={port}"),
            "--audit-webhook-clusters=prod".to_owned(),
            format!("--audit-webhook-token-file={}", tokens.display()),
            format!("--siem-detection={rules}"),
        ];
        let extra = ExtraArgs { arguments, ..ExtraArgs::default() };
        let keepwatch = Keepwatch::start_with(plane, POLICY, extra)?;
        let address = SocketAddr::new(keepwatch.address().ip(), port);
        let webhook = front_proxy(plane, &keepwatch.extension, address)?;
        until("the webhook answers", || Ok(runtime.block_on(post(&webhook, list(0, 1))).ok()))?;
        Ok(Self { keepwatch, webhook: Arc::new(webhook) })
    }

    /// Sends lists of these lengths, and prints what that took.
    fn measure(&self, runtime: &Runtime, name: &str, lengths: &[usize]) -> anyhow::Result<()> {
        let pid = self.keepwatch.process.id();
        let before = runtime.block_on(machine::cpu_when_idle(&[pid]))?;
        proc_status::reset_vm_hwm(pid)?;
        let (rss, start) = (proc_status::vm_rss(pid)?, machine::now());
        runtime.block_on(self.send(lengths))?;
        let wall = start.elapsed();
        let cpu = runtime.block_on(machine::cpu_when_idle(&[pid]))?.saturating_sub(before);
        let count: usize = lengths.iter().sum();
        let (events, cpu) = (f64::from(u32::try_from(count)?), cpu.as_secs_f64());
        println!(
            "| {name} | {count} | {:.1} | {:.0} | {:.0} | {} | {} |",
            cpu * 1e6 / events,
            events / cpu,
            events / wall.as_secs_f64(),
            proc_status::vm_hwm(pid)? >> 20,
            rss >> 20
        );
        Ok(())
    }

    /// Sends lists of these lengths with different events, several at a time.
    async fn send(&self, lengths: &[usize]) -> anyhow::Result<()> {
        let mut tasks = tokio::task::JoinSet::new();
        let connections = self.webhook.connections(Protocol::Http2, STREAMS).await?;
        for (stream, mut connection) in connections.into_iter().enumerate() {
            let (webhook, all) = (Arc::clone(&self.webhook), lengths.to_vec());
            tasks.spawn(async move {
                for (at, length) in all.into_iter().enumerate().skip(stream).step_by(STREAMS) {
                    // Distinct also from the events of the other call.
                    let first = (length << 40) + at * length;
                    let body = list(first, length);
                    let headers = headers();
                    let headers = [(headers[0].0, headers[0].1.as_str()), JSON];
                    let reply = connection.send(&webhook, "POST", PATH, &headers, body).await?;
                    reply.expect(200)?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(sent) = tasks.join_next().await {
            sent??;
        }
        Ok(())
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn headers() -> [(&'static str, String); 1] {
    [("authorization", format!("Bearer {TOKEN}"))]
}

async fn post(webhook: &Endpoint, body: Bytes) -> anyhow::Result<()> {
    let mut connections = webhook.connections(Protocol::Http2, 1).await?;
    let connection = connections.first_mut().context("no connection")?;
    let headers = headers();
    let headers = [(headers[0].0, headers[0].1.as_str()), JSON];
    connection.send(webhook, "POST", PATH, &headers, body).await?.expect(200)?;
    Ok(())
}

/// A list of events with a request body, as kube-apiserver sends it.
fn list(first: usize, count: usize) -> Bytes {
    let mut list = Vec::with_capacity(count * (EVENT_BYTES + 1) + 128);
    list.extend_from_slice(
        br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#,
    );
    for number in first..first + count {
        list.extend_from_slice(if number == first { b"" } else { b"," });
        event(number, &mut list);
    }
    list.extend_from_slice(b"]}");
    Bytes::from(list)
}

fn event(number: usize, list: &mut Vec<u8>) {
    let start = list.len();
    list.extend_from_slice(
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"7d0f3a52-{number:020}","stage":"ResponseComplete","requestURI":"/apis/velero.io/v1/namespaces/shop/backups/nightly-{number}?fieldManager=kubectl","verb":"patch","user":{{"username":"alice@example.com","uid":"u-alice","groups":["devs","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI=5b1c"]}}}},"sourceIPs":["203.0.113.7"],"userAgent":"kubectl/v1.37.2 (linux/amd64) kubernetes/abcdef0","objectRef":{{"resource":"backups","namespace":"shop","name":"nightly-{number}","apiGroup":"velero.io","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestObject":{{"spec":{{"ttl":"720h0m0s","text":""#
        )
        .as_bytes(),
    );
    let end = br#""}},"requestReceivedTimestamp":"2026-11-23T09:29:57.000000Z","stageTimestamp":"2026-11-23T09:29:58.000000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}"#;
    let left = EVENT_BYTES.saturating_sub(list.len() - start + end.len());
    list.extend((0..left).map(|at| b'a' + u8::try_from((at + number) % 26).unwrap_or_default()));
    list.extend_from_slice(end);
}
