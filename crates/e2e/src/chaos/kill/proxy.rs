//! The kill test of the auditing proxy: kills `keepwatch proxy` in front of sample-apiserver under
//! load (SIGKILL), repeatedly, and compares what the API server did with what is on record.
//!
//! The API server is not killed, so its objects and its own audit log show every effect. At the end:
//! - every write that reached it has a record with the same audit ID and user;
//! - every request with a response has a record with the code that the client saw;
//! - every audit ID has one record, and one without an outcome says so;
//! - each object is as the records say.
//!
//! The clients connect to the proxy with the certificate of the front proxy, as kube-apiserver does.
//! Each request has an audit ID that names its round, its client and its number. One run in eight is
//! killed while it starts.

mod comparison;
mod load;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Runtime;

use self::comparison::Comparison;
use super::load::LoggedResponse;
use crate::bench::front_proxy;
use crate::fixtures::control_plane::ControlPlane;
use crate::fixtures::load_client::Endpoint;
use crate::fixtures::proxy::Proxy;
use crate::fixtures::sample_apiserver::SampleApiserver;
use crate::fixtures::until;

/// Most runs are killed after this many responses.
const RESPONSES_BEFORE_KILL: std::ops::Range<usize> = 1..150;
/// Further microseconds before the kill.
const KILL_DELAY_US: std::ops::Range<u64> = 0..3000;
/// Milliseconds before the kill of a run that only starts.
const START_MS: std::ops::Range<u64> = 1..100;

/// The highest level for everything, so that the comparison covers all requests.
const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
rules:\n- level: RequestResponse\n";

/// Runs the test in `folder`, with a control plane of its own.
pub fn run(folder: &Path, rounds: u32, seed: Option<u64>) -> anyhow::Result<()> {
    let seed = seed.unwrap_or_else(rand::random);
    println!("kill test of the proxy: {rounds} rounds, --seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut random = StdRng::seed_from_u64(seed);
    let plane = ControlPlane::start(folder)?;
    let peer = SampleApiserver::start(&plane, comparison::PEER_POLICY)?;
    let mut proxy = Proxy::start(&plane, &peer, POLICY)?;
    proxy.install(&plane)?;
    ensure!(proxy.process.stop()?.success(), "the proxy did not end in order");
    let endpoint = front_proxy(&plane, &proxy.extension, proxy.address())?;
    let mut responses = Vec::new();
    for round in 0..rounds {
        let killed = kill_once(&runtime, &mut proxy, &endpoint, round, random.random());
        responses.extend(killed.with_context(|| format!("round {round} of --seed {seed}"))?);
        if (round + 1) % 50 == 0 {
            println!("{} rounds: {} responses", round + 1, responses.len());
        }
    }
    let events = record_unknown_outcomes(&runtime, &mut proxy)?;
    let direct = front_proxy(&plane, &peer.extension, peer.address)?;
    let objects = runtime.block_on(load::objects(&direct))?;
    let comparison = Comparison::of(&events, &peer.audit_log, &responses, &objects)
        .with_context(|| format!("--seed {seed}"))?;
    println!("kill test of the proxy passed: {rounds} kills, {comparison}");
    Ok(())
}

/// Starts the proxy, kills it, and returns the responses that its clients read.
fn kill_once(
    runtime: &Runtime,
    proxy: &mut Proxy,
    endpoint: &Endpoint,
    round: u32,
    seed: u64,
) -> anyhow::Result<Vec<LoggedResponse>> {
    let mut random = StdRng::seed_from_u64(seed);
    proxy.launch()?;
    if random.random_ratio(1, 8) {
        let delay = Duration::from_millis(random.random_range(START_MS));
        runtime.block_on(async { tokio::time::sleep(delay).await });
        proxy.process.kill()?;
        return Ok(Vec::new());
    }
    proxy.wait_listening()?;
    runtime.block_on(async {
        let clients = load::start(endpoint, round, seed);
        clients.wait_for_responses(random.random_range(RESPONSES_BEFORE_KILL)).await?;
        tokio::time::sleep(Duration::from_micros(random.random_range(KILL_DELAY_US))).await;
        proxy.process.kill()?;
        Ok(clients.response_log().await)
    })
}

/// Runs the proxy until it has an event of each request that an earlier run left. Returns all events.
fn record_unknown_outcomes(
    runtime: &Runtime,
    proxy: &mut Proxy,
) -> anyhow::Result<Vec<event::Event>> {
    until("every request that was forwarded has an event", || {
        proxy.restart()?;
        ensure!(proxy.process.stop()?.success(), "the proxy did not end in order");
        Ok((runtime.block_on(proxy.intents())? == 0).then_some(()))
    })?;
    runtime.block_on(proxy.stop_and_read())
}
