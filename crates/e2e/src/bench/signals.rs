//! Measures the time from the response to a request until a watch on signals delivers its signal,
//! under a constant load of other requests.
//!
//! One client deletes objects, and a rule raises a signal for each deletion. Another client watches
//! signals over the API, as a controller would. Both clients are in this process, so one clock
//! measures both ends.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::TryStreamExt;
use kube::api::{ApiResource, DynamicObject, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;

use super::POLICY;
use super::machine::now;
use crate::bench::constant_rate::ConstantRate;
use crate::fixtures::kubeconfig;
use crate::fixtures::load_client::{Endpoint, Protocol};
use crate::fixtures::process::Process;
use crate::fixtures::wait::until;

/// Number of objects that are deleted sequentially.
const DELETIONS: u32 = 500;
/// Time between two deletions.
const STEP: Duration = Duration::from_millis(20);
/// Maximum 99th percentile, in milliseconds.
const P99_MS_MAX: f64 = 10.0;
const COLLECTION: &str =
    "/apis/repositories.kio.kasten.io/v1alpha1/namespaces/kasten-io/storagerepositories";
const HEADERS: [(&str, &str); 1] = [("content-type", "application/json")];
/// A signal for each deleted object.
const RULE: &str = "title: An object of the benchmark was deleted
id: bench-deleted
status: test
level: low
logsource: {product: kubernetes, service: audit}
detection:
  deleted:
    verb: delete
    objectRef.resource: storagerepositories
    objectRef.name|startswith: bench-
  condition: deleted
keepwatch:
  group-by: [objectRef.name]
";

/// Runs the benchmark; fails if the 99th percentile exceeds the limit.
pub fn signals(rate: u32) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let policy = folder.path().join("policy.yaml");
    std::fs::write(&policy, POLICY)?;
    let home = folder.path().join("home");
    let arguments = [
        "up".to_owned(),
        format!("--dir={}", home.display()),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--policy={}", policy.display()),
    ];
    let binary = crate::fixtures::keepwatch::binary()?;
    let mut process = Process::start("keepwatch", &binary, &arguments, folder.path())?;
    let endpoint = until("the server serves its namespace", || {
        process.check()?;
        let Ok(endpoint) =
            kubeconfig::read(&home).and_then(|kubeconfig| kubeconfig.endpoint("kasten"))
        else {
            return Ok(None);
        };
        let is_ready = runtime.block_on(is_ready(&endpoint)).unwrap_or(false);
        Ok(is_ready.then_some(endpoint))
    })?;
    let admin = kubeconfig::read(&home)?.endpoint("admin")?;
    runtime.block_on(add_rule(&admin))?;
    let signal_times = Arc::new(Mutex::new(HashMap::new()));
    let watching = runtime.spawn(watch(home, Arc::clone(&signal_times)));
    let mut load = runtime.block_on(ConstantRate::start(&endpoint, &[], rate))?;
    let response_times = runtime.block_on(delete_objects(&endpoint))?;
    load.check()?;
    let signal_times = until("every signal is seen", || {
        ensure!(!watching.is_finished(), "the watch ended");
        let signal_times = signal_times.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((signal_times.len() >= response_times.len()).then(|| signal_times.clone()))
    })?;
    runtime.block_on(load.stop())?;
    watching.abort();
    report(rate, &response_times, &signal_times)
}

async fn is_ready(endpoint: &Endpoint) -> anyhow::Result<bool> {
    let mut connection = endpoint.connections(Protocol::Http1, 1).await?.remove(0);
    let path = "/api/v1/namespaces/kasten-io";
    Ok(connection.send(endpoint, "GET", path, &[], Bytes::new()).await?.code == 200)
}

async fn add_rule(admin: &Endpoint) -> anyhow::Result<()> {
    let rule = json!({
        "apiVersion": "siem.keepwatch.io/v1alpha1", "kind": "DetectionRule",
        "metadata": {"name": "bench-deleted"}, "spec": {"sigma": RULE},
    });
    let path = "/apis/siem.keepwatch.io/v1alpha1/detectionrules";
    let mut connection = admin.connections(Protocol::Http1, 1).await?.remove(0);
    connection
        .send(admin, "POST", path, &HEADERS, Bytes::from(rule.to_string()))
        .await?
        .expect(201)?;
    Ok(())
}

/// Records the time at which the signal of each object is first seen.
async fn watch(
    home: PathBuf,
    signal_times: Arc<Mutex<HashMap<String, Instant>>>,
) -> anyhow::Result<()> {
    let config = Kubeconfig::read_from(home.join("kubeconfig"))?;
    let options = KubeConfigOptions { context: Some("admin".to_owned()), ..Default::default() };
    let client = Client::try_from(Config::from_custom_kubeconfig(config, &options).await?)?;
    let kind = ApiResource {
        group: "siem.keepwatch.io".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "siem.keepwatch.io/v1alpha1".to_owned(),
        kind: "Signal".to_owned(),
        plural: "signals".to_owned(),
    };
    let signals: Api<DynamicObject> = Api::all_with(client, &kind);
    let events = signals.watch(&WatchParams::default(), "0").await?;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.try_next().await? {
        let time = now();
        if let WatchEvent::Added(signal) | WatchEvent::Modified(signal) = event
            && let Some(object) = signal.data["spec"]["groupBy"][0]["value"].as_str()
        {
            let mut signal_times = signal_times.lock().unwrap_or_else(PoisonError::into_inner);
            signal_times.entry(object.to_owned()).or_insert(time);
        }
    }
    Ok(())
}

/// Deletes objects sequentially and returns the time of each response.
async fn delete_objects(endpoint: &Endpoint) -> anyhow::Result<Vec<(String, Instant)>> {
    let mut connection = endpoint.connections(Protocol::Http1, 1).await?.remove(0);
    let mut response_times = Vec::new();
    for number in 0..DELETIONS {
        let name = format!("bench-{number}");
        let object = json!({
            "apiVersion": "repositories.kio.kasten.io/v1alpha1", "kind": "StorageRepository",
            "metadata": {"name": &name}, "spec": {"disableMaintenance": false},
        });
        let body = Bytes::from(object.to_string());
        connection.send(endpoint, "POST", COLLECTION, &HEADERS, body).await?.expect(201)?;
        let path = format!("{COLLECTION}/{name}");
        connection.send(endpoint, "DELETE", &path, &HEADERS, Bytes::new()).await?.expect(200)?;
        response_times.push((name, now()));
        tokio::time::sleep(STEP).await;
    }
    Ok(response_times)
}

fn report(
    rate: u32,
    response_times: &[(String, Instant)],
    signal_times: &HashMap<String, Instant>,
) -> anyhow::Result<()> {
    let mut latencies = Vec::new();
    for (object, response_time) in response_times {
        let signal_time =
            signal_times.get(object).with_context(|| format!("no signal of {object}"))?;
        latencies
            .push(signal_time.saturating_duration_since(*response_time).as_secs_f64() * 1000.0);
    }
    latencies.sort_unstable_by(f64::total_cmp);
    let percentile = |share: usize| latencies.get(latencies.len() * share / 100).copied();
    let [p50, p99] = [percentile(50), percentile(99)].map(Option::unwrap_or_default);
    let slowest = latencies.last().copied().unwrap_or_default();
    println!("| request answered → signal seen, {rate} requests/s beside | ms |");
    println!("|---|---:|");
    println!("| p50 | {p50:.2} |");
    println!("| p99 | {p99:.2} |");
    println!("| slowest of {} | {slowest:.2} |", latencies.len());
    ensure!(p99 <= P99_MS_MAX, "p99 is {p99:.2} ms, the goal is {P99_MS_MAX}");
    Ok(())
}
