//! Measures how the size of the store affects latency: GET from an empty store compared with one of
//! 10,000 objects and 100,000 events.
//!
//! Two servers run concurrently and get requests in turns, so that other load on the machine
//! affects both equally; the medians of the turns are compared. Both record every request with its
//! bodies before the response. The client reads all objects in an order that defeats caches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use rand::RngExt;
use serde_json::json;

use super::{POLICY, machine};
use crate::fixtures::load_client::{Connection, Endpoint, Protocol};
use crate::fixtures::process::Process;
use crate::fixtures::wait::until;
use crate::fixtures::{kubeconfig, proc_status};

/// Number of objects in the full store.
const OBJECTS: u32 = 10_000;
/// Minimum number of events in the full store.
const EVENTS: u32 = 100_000;
/// Number of objects in the other store.
const FEW_OBJECTS: u32 = 10;
/// Number of concurrent clients.
const CONNECTIONS: usize = 8;
/// Maximum ratio of the 99th percentiles.
const RATIO_MAX: f64 = 1.2;
/// The collection of the objects.
const COLLECTION: &str =
    "/apis/repositories.kio.kasten.io/v1alpha1/namespaces/kasten-io/storagerepositories";
const HEADERS: [(&str, &str); 1] = [("content-type", "application/json")];

/// Measures both servers in turns; fails if the full one is too slow.
pub fn weight(seconds: u32, rounds: u32) -> anyhow::Result<()> {
    ensure!(rounds > 0 && seconds > 0, "nothing to measure");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("policy.yaml"), POLICY)?;
    let light = Subject::start(&runtime, folder.path(), "light", FEW_OBJECTS)?;
    let heavy = Subject::start(&runtime, folder.path(), "heavy", OBJECTS)?;
    runtime.block_on(light.fill(0))?;
    runtime.block_on(heavy.fill(EVENTS))?;
    eprintln!("filled: {OBJECTS} objects and at least {EVENTS} events");
    let duration = Duration::from_secs(u64::from(seconds));
    let mut turns: [Vec<Turn>; 2] = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (subject, turns) in [&light, &heavy].into_iter().zip(&mut turns) {
            let turn = runtime.block_on(subject.measure(duration))?;
            eprintln!("round {round}, {}: {turn:?}", subject.name);
            // Skip the first round, which is a warm-up.
            if round > 0 {
                turns.push(turn);
            }
        }
    }
    report(&turns[0], &turns[1])
}

fn report(light: &[Turn], heavy: &[Turn]) -> anyhow::Result<()> {
    println!("| GET, {CONNECTIONS} connections | empty store | full store | ratio |");
    println!("|---|---:|---:|---:|");
    let ratio = |name: &str, value: fn(&Turn) -> f64| {
        let (light, heavy) = (median(light, value), median(heavy, value));
        println!("| {name} | {light:.3} | {heavy:.3} | {:.2} |", heavy / light);
        heavy / light
    };
    ratio("p50 ms", |turn| turn.p50_ms);
    let slowest = ratio("p99 ms", |turn| turn.p99_ms);
    ratio("CPU µs per request", |turn| turn.cpu_us);
    ratio("RSS MiB", |turn| turn.rss_mib);
    ensure!(slowest <= RATIO_MAX, "p99 is {slowest:.2} times that of an empty store");
    Ok(())
}

fn median(turns: &[Turn], value: fn(&Turn) -> f64) -> f64 {
    let mut values: Vec<f64> = turns.iter().map(value).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The measurement of one turn.
#[derive(Debug)]
struct Turn {
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
    rss_mib: f64,
}

/// A server and its number of objects.
struct Subject {
    name: &'static str,
    process: Process,
    endpoint: Arc<Endpoint>,
    objects: u32,
}

impl Subject {
    fn start(
        runtime: &tokio::runtime::Runtime,
        folder: &Path,
        name: &'static str,
        objects: u32,
    ) -> anyhow::Result<Self> {
        let home = folder.join(name);
        let arguments = [
            "up".to_owned(),
            format!("--dir={}", home.display()),
            "--listen=127.0.0.1:0".to_owned(),
            format!("--policy={}", folder.join("policy.yaml").display()),
        ];
        let binary = crate::fixtures::keepwatch::binary()?;
        let mut process = Process::start(name, &binary, &arguments, folder)?;
        let endpoint = until("the server serves its namespace", || {
            process.check()?;
            let Ok(endpoint) =
                kubeconfig::read(&home).and_then(|kubeconfig| kubeconfig.endpoint("kasten"))
            else {
                return Ok(None);
            };
            Ok(runtime.block_on(is_ready(&endpoint)).unwrap_or(false).then_some(endpoint))
        })?;
        Ok(Self { name, process, endpoint: Arc::new(endpoint), objects })
    }

    /// Creates all objects and reads them until the store has this many events.
    async fn fill(&self, events: u32) -> anyhow::Result<()> {
        self.on_all_connections(|connection, endpoint, number| {
            let objects = self.objects;
            async move {
                let mut connection = connection;
                for index in (number..objects).step_by(CONNECTIONS) {
                    connection
                        .send(&endpoint, "POST", COLLECTION, &HEADERS, object(index))
                        .await?
                        .expect(201)?;
                }
                for index in (number..events.saturating_sub(objects)).step_by(CONNECTIONS) {
                    get(&mut connection, &endpoint, index % objects).await?;
                }
                anyhow::Ok(Vec::new())
            }
        })
        .await
        .map(drop)
    }

    async fn measure(&self, duration: Duration) -> anyhow::Result<Turn> {
        let pids = [self.process.id()];
        let before = machine::cpu(&pids)?;
        let start = machine::now();
        let mut latencies = self
            .on_all_connections(|connection, endpoint, _| {
                let objects = self.objects;
                async move {
                    let mut connection = connection;
                    let mut latencies = Vec::new();
                    while start.elapsed() < duration {
                        let index = rand::rng().random_range(0..objects);
                        let start = machine::now();
                        get(&mut connection, &endpoint, index).await?;
                        latencies.push(start.elapsed());
                    }
                    anyhow::Ok(latencies)
                }
            })
            .await?;
        latencies.sort_unstable();
        let count = latencies.len();
        let percentile = |percent: usize| {
            let latency = latencies.get(count * percent / 100).copied();
            latency.map(|latency| latency.as_secs_f64() * 1e3).context("nothing was answered")
        };
        let cpu = machine::cpu(&pids)?.saturating_sub(before).as_secs_f64();
        let rss = proc_status::vm_rss(self.process.id())?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        Ok(Turn {
            p50_ms: percentile(50)?,
            p99_ms: percentile(99)?,
            cpu_us: cpu * 1e6 / count as f64,
            rss_mib: rss as f64 / f64::from(1 << 20),
        })
    }

    /// Runs `work` on all connections, with their indices, and collects the measurements.
    async fn on_all_connections<F>(
        &self,
        work: impl Fn(Connection, Arc<Endpoint>, u32) -> F,
    ) -> anyhow::Result<Vec<Duration>>
    where
        F: Future<Output = anyhow::Result<Vec<Duration>>> + Send + 'static,
    {
        let mut tasks = tokio::task::JoinSet::new();
        for (number, connection) in
            (0..).zip(self.endpoint.connections(Protocol::Http1, CONNECTIONS).await?)
        {
            tasks.spawn(work(connection, Arc::clone(&self.endpoint), number));
        }
        let mut measured = Vec::new();
        while let Some(done) = tasks.join_next().await {
            measured.extend(done??);
        }
        Ok(measured)
    }
}

async fn is_ready(endpoint: &Endpoint) -> anyhow::Result<bool> {
    let mut connection = endpoint.connections(Protocol::Http1, 1).await?.remove(0);
    let namespace = "/api/v1/namespaces/kasten-io";
    Ok(connection.send(endpoint, "GET", namespace, &[], Bytes::new()).await?.code == 200)
}

async fn get(connection: &mut Connection, endpoint: &Endpoint, index: u32) -> anyhow::Result<()> {
    let path = format!("{COLLECTION}/object-{index}");
    connection.send(endpoint, "GET", &path, &HEADERS, Bytes::new()).await?.expect(200).map(drop)
}

fn object(index: u32) -> Bytes {
    json!({
        "apiVersion": "repositories.kio.kasten.io/v1alpha1",
        "kind": "StorageRepository",
        "metadata": {
            "name": format!("object-{index}"),
            "namespace": "kasten-io",
            "labels": {"app": "shop", "team": "storefront", "tier": "backend"},
            "annotations": {"example.com/note": "x".repeat(180)},
        },
        "spec": {"disableMaintenance": false},
    })
    .to_string()
    .into()
}
