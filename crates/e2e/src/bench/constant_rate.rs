//! Load at a constant rate, independent of the server's speed.
//!
//! The latency of a delayed request counts from its scheduled time, so that a stall appears in
//! every request that it delayed. Most requests are reads, some are changes; each is an event. Any
//! unexpected response is an error.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;

use crate::bench::machine::now;
use crate::fixtures::load_client::{Connection, Endpoint, Protocol};

/// Number of connections.
const CONNECTIONS: u32 = 16;
/// One in this many requests is a change.
const CHANGE_EVERY: u64 = 5;
/// The collection of the objects.
const COLLECTION: &str =
    "/apis/repositories.kio.kasten.io/v1alpha1/namespaces/kasten-io/storagerepositories";

/// A running load.
pub(crate) struct ConstantRate {
    tasks: JoinSet<anyhow::Result<()>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    latencies: Mutex<Vec<Duration>>,
}

impl ConstantRate {
    /// Starts a load of `rate` requests per second, with these headers.
    pub(crate) async fn start(
        endpoint: &Endpoint,
        headers: &'static [(&str, &str)],
        rate: u32,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        let period = Duration::from_secs(1) * CONNECTIONS / rate;
        let start = now();
        for (number, mut connection) in
            (0_u32..).zip(endpoint.connections(Protocol::Http1, CONNECTIONS as usize).await?)
        {
            let (endpoint, shared) = (endpoint.clone(), Arc::clone(&shared));
            tasks.spawn(async move {
                create_object(&mut connection, &endpoint, headers, number).await?;
                let mut due = start + period * number / CONNECTIONS;
                // Skip the requests that were due while the connections were opened.
                while due < now() {
                    due += period;
                }
                for count in 0.. {
                    let mut start = due;
                    if now() < due {
                        tokio::time::sleep_until(due.into()).await;
                        start = now();
                    }
                    if shared.stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    send_request(&mut connection, &endpoint, headers, number, count).await?;
                    lock(&shared.latencies).push(start.elapsed());
                    due += period;
                }
                anyhow::Ok(())
            });
        }
        Ok(Self { tasks, shared })
    }

    /// Takes the latencies since the last call.
    pub(crate) fn take_latencies(&self) -> Vec<Duration> {
        std::mem::take(&mut *lock(&self.shared.latencies))
    }

    /// Fails if the load has ended early.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.tasks.try_join_next() {
            None => Ok(()),
            Some(result) => result?.and_then(|()| anyhow::bail!("a connection ended")),
        }
    }

    /// Stops the load.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while let Some(result) = self.tasks.join_next().await {
            result??;
        }
        Ok(())
    }
}

fn lock(latencies: &Mutex<Vec<Duration>>) -> std::sync::MutexGuard<'_, Vec<Duration>> {
    latencies.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates the object of a connection.
async fn create_object(
    connection: &mut Connection,
    endpoint: &Endpoint,
    headers: &[(&str, &str)],
    number: u32,
) -> anyhow::Result<()> {
    let body = json!({
        "apiVersion": "repositories.kio.kasten.io/v1alpha1", "kind": "StorageRepository",
        "metadata": {"name": format!("connection-{number}"), "labels": {"app": "shop", "tier": "backend"},
            "annotations": {"example.com/note": "x".repeat(120)}},
        "spec": {"disableMaintenance": false},
    });
    let headers = [headers, &[("content-type", "application/json")]].concat();
    let reply =
        connection.send(endpoint, "POST", COLLECTION, &headers, body.to_string().into()).await?;
    reply.expect(201).context("cannot create an object").map(drop)
}

async fn send_request(
    connection: &mut Connection,
    endpoint: &Endpoint,
    headers: &[(&str, &str)],
    number: u32,
    count: u64,
) -> anyhow::Result<()> {
    let object = format!("{COLLECTION}/connection-{number}");
    if !count.is_multiple_of(CHANGE_EVERY) {
        let reply = connection.send(endpoint, "GET", &object, headers, Bytes::new()).await?;
        return reply.expect(200).map(drop);
    }
    let headers = [headers, &[("content-type", "application/merge-patch+json")]].concat();
    let patch = json!({"metadata": {"annotations": {"example.com/count": count.to_string()}}});
    let patch = Bytes::from(patch.to_string());
    connection.send(endpoint, "PATCH", &object, &headers, patch).await?.expect(200).map(drop)
}
