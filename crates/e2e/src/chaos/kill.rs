//! The kill test: kills the server under load (SIGKILL), repeatedly, and compares its responses
//! with its store.
//!
//! The same oracle checks every round. A client logs a response once it has read all of it. After
//! the kill, the store is opened and read:
//! - every request with a response has exactly one event, with the status code that the client saw;
//! - replaying the events of changes in journal order gives exactly the stored objects with their
//!   resource versions: no change without its event, no event without its change.
//!
//! At the end the server runs once more and is shut down normally. Its signals must be those that
//! the rules find in its journal, each opened once: no kill loses or duplicates a signal. Two
//! receivers, which are never killed, must have received a notification of each signal.
//!
//! The load is creates, updates, deletes, reads, lists, conflicts and denied requests of 16
//! clients. A run prints its seed; the same seed repeats the run as far as timing allows.

#![expect(clippy::print_stdout, reason = "reports progress to the developer")]

mod detection;
mod load;
mod notifiers;
mod oracle;
pub mod proxy;
mod requests;
pub mod uploads;
mod users;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::fixtures::process::Process;
use crate::fixtures::{keepwatch, standalone};

/// Concurrent clients.
pub(crate) const CLIENTS: usize = 16;
/// Most runs are killed after this many responses. This does not depend on the machine's speed, so
/// there is always something to compare.
const RESPONSES_BEFORE_KILL: std::ops::Range<usize> = 1..200;
/// Further microseconds before the kill.
const KILL_DELAY_US: std::ops::Range<u64> = 0..3000;
/// One run in four is killed after this many milliseconds, even during start-up.
const RUN_MS: std::ops::Range<u64> = 15..250;

/// Runs the test. Fails at the first difference, with round and seed.
pub fn run(rounds: u32, seed: Option<u64>) -> anyhow::Result<()> {
    let keepwatch = keepwatch::binary()?;
    let seed = seed.unwrap_or_else(rand::random);
    println!("kill test: {rounds} rounds, --seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("policy.yaml"), POLICY)?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut total = oracle::Comparison::default();
    let mut test = runtime.block_on(Test::open(&keepwatch, folder.path()))?;
    for round in 0..rounds {
        let comparison = runtime
            .block_on(test.round(round, random.random()))
            .with_context(|| format!("round {round} of --seed {seed}"))?;
        total.add(&comparison);
        if (round + 1) % 50 == 0 {
            println!("{} rounds: {total}", round + 1);
        }
    }
    let enough = 5 * u64::from(rounds);
    anyhow::ensure!(total.responses > enough && total.changes > enough, "too little: {total}");
    let (signals, notifications) = runtime.block_on(test.finish_and_compare())?;
    println!("signals of each rule: {:?}", signals.rules);
    println!("kill test passed: {rounds} kills, {total}, {signals}, {notifications}");
    Ok(())
}

/// The highest level for everything, so that the comparison covers all requests.
const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
rules:\n- level: RequestResponse\n";

/// The state between two runs of the server.
struct Test {
    keepwatch: PathBuf,
    folder: PathBuf,
    replayed: oracle::ReplayedObjects,
    users: users::Users,
    receivers: notifiers::Receivers,
}

impl Test {
    /// Lets the server create its first objects before the first kill.
    async fn open(keepwatch: &Path, folder: &Path) -> anyhow::Result<Self> {
        let receivers = notifiers::Receivers::start().await?;
        let (home, arguments) = arguments(folder);
        let mut server = Process::start("keepwatch", keepwatch, &arguments, folder)?;
        let endpoints = load::endpoints(&home, &mut server).await?;
        receivers.register(&endpoints.admin).await?;
        anyhow::ensure!(server.stop()?.success(), "the server did not end in order");
        let (users, replayed) = (users::Users::create(&home)?, oracle::ReplayedObjects::default());
        let (keepwatch, folder) = (keepwatch.to_owned(), folder.to_owned());
        Ok(Self { keepwatch, folder, replayed, users, receivers })
    }

    /// Runs the server until its kill, and compares.
    async fn round(&mut self, round: u32, seed: u64) -> anyhow::Result<oracle::Comparison> {
        let mut random = StdRng::seed_from_u64(seed);
        self.receivers.inject_fault(&mut random);
        let (home, arguments) = arguments(&self.folder);
        let mut server = Process::start("keepwatch", &self.keepwatch, &arguments, &self.folder)?;
        let endpoints = load::endpoints(&home, &mut server).await?;
        let clients = load::start(endpoints, &self.users, round, seed)?;
        if random.random_ratio(1, 4) {
            tokio::time::sleep(Duration::from_millis(random.random_range(RUN_MS))).await;
        } else {
            clients.wait_for_responses(random.random_range(RESPONSES_BEFORE_KILL)).await?;
            tokio::time::sleep(Duration::from_micros(random.random_range(KILL_DELAY_US))).await;
        }
        server.kill()?;
        self.receivers.record_kill();
        let response_log = clients.response_log().await;
        oracle::compare(&home, &response_log, &mut self.replayed).await
    }

    /// Waits until the detector has read the whole journal and the notifiers have sent everything.
    /// Then compares the signals and notifications.
    async fn finish_and_compare(
        mut self,
    ) -> anyhow::Result<(detection::SignalComparison, notifiers::NotificationComparison)> {
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
            self.receivers.record_kill();
        }
        let signals = detection::compare(&home).await?;
        anyhow::ensure!(!signals.signals.is_empty(), "no signals: {signals}");
        let notifications = self.receivers.compare(&signals.signals)?;
        Ok((signals, notifications))
    }
}

/// The server's data folder and arguments.
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
