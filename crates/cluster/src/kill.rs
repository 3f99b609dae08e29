//! The kill test: SIGKILL the real server under load, again and again, and compare what it
//! answered with what it kept.
//!
//! One oracle for every round. Each client writes down an answer once it has the whole of it. After
//! the kill the store is opened and read:
//! - every answered request has exactly one event, with the code the client saw;
//! - replaying the events of changes in the order of the journal gives exactly the objects that are
//!   there, with their resource versions: no change without its event, no event without its change.
//!
//! At the end the server runs once more and ends in order. Its signals must be those that the rules
//! find in its journal, each opened once: none is lost or doubled by a kill.
//!
//! The load is made of creates, updates, deletes, reads, lists, conflicts and refusals of 16
//! clients. A run prints its seed and can be repeated by it as far as the machine allows.

#![expect(clippy::print_stdout, reason = "tells whoever runs it how far it is")]

mod detection;
mod load;
mod oracle;
pub mod uploads;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::keepwatch;
use crate::process::Process;

/// Clients at the same time.
pub(crate) const CLIENTS: usize = 16;
/// Most lives end after so many answers, however fast the machine is, so that there is something
/// to compare.
const LIFE_ANSWERS: std::ops::Range<usize> = 1..200;
/// And then in the middle of whatever goes on, so many microseconds later.
const LIFE_REST_US: std::ops::Range<u64> = 0..3000;
/// One life of four ends after so many milliseconds, be it in the middle of its start.
const LIFE_MS: std::ops::Range<u64> = 15..250;

/// Runs the test; fails at the first difference and names round and seed.
pub fn run(rounds: u32, seed: Option<u64>) -> anyhow::Result<()> {
    let keepwatch = keepwatch::binary()?;
    let seed = seed.unwrap_or_else(rand::random);
    println!("kill test: {rounds} rounds, --seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("policy.yaml"), POLICY)?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut total = oracle::Tally::default();
    let mut kept = oracle::Kept::default();
    for round in 0..rounds {
        let round_seed = random.random();
        let tally = runtime
            .block_on(one(&keepwatch, folder.path(), round, round_seed, &mut kept))
            .with_context(|| format!("round {round} of --seed {seed}"))?;
        total.add(&tally);
        if (round + 1) % 50 == 0 {
            println!("{} rounds: {total}", round + 1);
        }
    }
    let enough = 5 * u64::from(rounds);
    anyhow::ensure!(total.answered > enough && total.changes > enough, "too little: {total}");
    let signals = runtime.block_on(settle_signals(&keepwatch, folder.path()))?;
    anyhow::ensure!(signals.signals > 0, "no signals: {signals}");
    println!("kill test passed: {rounds} kills, {total}, {signals}");
    Ok(())
}

/// Everything at the highest level, so that nothing is exempt from the comparison.
const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
rules:\n- level: RequestResponse\n";

/// Lets the detector come to the end of the journal, and compares what it has found.
async fn settle_signals(keepwatch: &Path, folder: &Path) -> anyhow::Result<detection::Compared> {
    let (home, arguments) = arguments(folder);
    let mut server = Process::start("keepwatch", keepwatch, &arguments, folder)?;
    load::endpoints(&home, &mut server).await?;
    anyhow::ensure!(server.stop()?.success(), "the server did not end in order");
    detection::compare(&home).await
}

/// The folder of the server, and how it is started.
fn arguments(folder: &Path) -> (PathBuf, [String; 4]) {
    let home = folder.join("home");
    let arguments = [
        "up".to_owned(),
        format!("--dir={}", home.display()),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--policy={}", folder.join("policy.yaml").display()),
    ];
    (home, arguments)
}

async fn one(
    keepwatch: &Path,
    folder: &Path,
    round: u32,
    seed: u64,
    kept: &mut oracle::Kept,
) -> anyhow::Result<oracle::Tally> {
    let mut random = StdRng::seed_from_u64(seed);
    let (home, arguments) = arguments(folder);
    let mut server = Process::start("keepwatch", keepwatch, &arguments, folder)?;
    let endpoints = load::endpoints(&home, &mut server).await?;
    let clients = load::start(endpoints, round, seed);
    if random.random_ratio(1, 4) {
        tokio::time::sleep(Duration::from_millis(random.random_range(LIFE_MS))).await;
    } else {
        clients.answered(random.random_range(LIFE_ANSWERS)).await?;
        tokio::time::sleep(Duration::from_micros(random.random_range(LIFE_REST_US))).await;
    }
    server.kill()?;
    let ledger = clients.ledger().await;
    oracle::compare(&home, &ledger, kept).await
}
