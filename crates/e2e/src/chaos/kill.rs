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
//! find in its journal, each opened once: none is lost or doubled by a kill. Two receivers, which are
//! never killed, must have taken each of them from a notifier.
//!
//! The load is made of creates, updates, deletes, reads, lists, conflicts and refusals of 16
//! clients. A run prints its seed and can be repeated by it as far as the machine allows.

#![expect(clippy::print_stdout, reason = "tells whoever runs it how far it is")]

mod acts;
mod cast;
mod detection;
mod load;
mod notifiers;
mod oracle;
pub mod uploads;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::fixtures::process::Process;
use crate::fixtures::{keepwatch, standalone};

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
    let mut test = runtime.block_on(Test::open(&keepwatch, folder.path()))?;
    for round in 0..rounds {
        let tally = runtime
            .block_on(test.round(round, random.random()))
            .with_context(|| format!("round {round} of --seed {seed}"))?;
        total.add(&tally);
        if (round + 1) % 50 == 0 {
            println!("{} rounds: {total}", round + 1);
        }
    }
    let enough = 5 * u64::from(rounds);
    anyhow::ensure!(total.answered > enough && total.changes > enough, "too little: {total}");
    let (signals, sent) = runtime.block_on(test.settle())?;
    println!("signals of each rule: {:?}", signals.rules);
    println!("kill test passed: {rounds} kills, {total}, {signals}, {sent}");
    Ok(())
}

/// Everything at the highest level, so that nothing is exempt from the comparison.
const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
rules:\n- level: RequestResponse\n";

/// What lasts from one life of the server to the next.
struct Test {
    keepwatch: PathBuf,
    folder: PathBuf,
    kept: oracle::Kept,
    cast: cast::Cast,
    receivers: notifiers::Receivers,
}

impl Test {
    /// Lets the server make everything that is there before the first kill.
    async fn open(keepwatch: &Path, folder: &Path) -> anyhow::Result<Self> {
        let receivers = notifiers::Receivers::start().await?;
        let (home, arguments) = arguments(folder);
        let mut server = Process::start("keepwatch", keepwatch, &arguments, folder)?;
        let endpoints = load::endpoints(&home, &mut server).await?;
        receivers.register(&endpoints.admin).await?;
        anyhow::ensure!(server.stop()?.success(), "the server did not end in order");
        let (cast, kept) = (cast::Cast::of(&home)?, oracle::Kept::default());
        let (keepwatch, folder) = (keepwatch.to_owned(), folder.to_owned());
        Ok(Self { keepwatch, folder, kept, cast, receivers })
    }

    /// One life of the server, and what it has left.
    async fn round(&mut self, round: u32, seed: u64) -> anyhow::Result<oracle::Tally> {
        let mut random = StdRng::seed_from_u64(seed);
        self.receivers.misbehave(&mut random);
        let (home, arguments) = arguments(&self.folder);
        let mut server = Process::start("keepwatch", &self.keepwatch, &arguments, &self.folder)?;
        let endpoints = load::endpoints(&home, &mut server).await?;
        let clients = load::start(endpoints, &self.cast, round, seed)?;
        if random.random_ratio(1, 4) {
            tokio::time::sleep(Duration::from_millis(random.random_range(LIFE_MS))).await;
        } else {
            clients.answered(random.random_range(LIFE_ANSWERS)).await?;
            tokio::time::sleep(Duration::from_micros(random.random_range(LIFE_REST_US))).await;
        }
        server.kill()?;
        self.receivers.life_ends();
        let ledger = clients.ledger().await;
        oracle::compare(&home, &ledger, &mut self.kept).await
    }

    /// Lets the detector come to the end of the journal and the notifiers send everything, and
    /// compares what was found and sent.
    async fn settle(mut self) -> anyhow::Result<(detection::Compared, notifiers::Sent)> {
        let (home, arguments) = arguments(&self.folder);
        for is_sent in [false, true] {
            let mut server =
                Process::start("keepwatch", &self.keepwatch, &arguments, &self.folder)?;
            let endpoints = load::endpoints(&home, &mut server).await?;
            standalone::wait_detected(&endpoints.admin).await?;
            if is_sent {
                self.receivers.wait_sent(&endpoints.admin).await?;
            }
            anyhow::ensure!(server.stop()?.success(), "the server did not end in order");
            self.receivers.life_ends();
        }
        let signals = detection::compare(&home).await?;
        anyhow::ensure!(!signals.signals.is_empty(), "no signals: {signals}");
        let sent = self.receivers.compare(&signals.signals)?;
        Ok((signals, sent))
    }
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
