//! Load at a steady rate: so many requests a second, whatever the server does.
//!
//! A request that is late because the one before it took long counts from when it was due, so that
//! a stall is seen by every request that it held up. Reads, and a change now and then; each of them
//! is an event. Any answer but the expected one is an error.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;

use crate::bench::machine::now;
use crate::fixtures::load_client::{Connection, Endpoint, Protocol};

/// Connections.
const CONNECTIONS: u32 = 16;
/// One request of so many is a change.
const CHANGE_EVERY: u64 = 5;
/// Where the objects are.
const COLLECTION: &str =
    "/apis/repositories.kio.kasten.io/v1alpha1/namespaces/kasten-io/storagerepositories";

/// Load that goes on until it is stopped.
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
    /// Starts `rate` requests a second, with these headers.
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
                make(&mut connection, &endpoint, headers, number).await?;
                let mut due = start + period * number / CONNECTIONS;
                // What was missed while the connections were made is not made up for.
                while due < now() {
                    due += period;
                }
                for count in 0.. {
                    let mut begin = due;
                    if now() < due {
                        tokio::time::sleep_until(due.into()).await;
                        begin = now();
                    }
                    if shared.stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    act(&mut connection, &endpoint, headers, number, count).await?;
                    lock(&shared.latencies).push(begin.elapsed());
                    due += period;
                }
                anyhow::Ok(())
            });
        }
        Ok(Self { tasks, shared })
    }

    /// The latencies since this was last asked.
    pub(crate) fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut *lock(&self.shared.latencies))
    }

    /// Fails if the load has come to an end by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.tasks.try_join_next() {
            None => Ok(()),
            Some(ended) => ended?.and_then(|()| anyhow::bail!("a connection ended")),
        }
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

fn lock(latencies: &Mutex<Vec<Duration>>) -> std::sync::MutexGuard<'_, Vec<Duration>> {
    latencies.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The object of a connection.
async fn make(
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
    reply.expect(201).context("cannot make an object to work with").map(drop)
}

async fn act(
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
