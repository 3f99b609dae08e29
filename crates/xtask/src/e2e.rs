//! Starts the kill tests and benchmarks of the crate `e2e`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Subcommand;

use crate::{cargo, root, target};

/// The server's binary.
pub(crate) const SERVER: &str = "keepwatch";
/// The binary of the crate `e2e`, in the same folder.
pub(crate) const E2E: &str = "e2e";

/// The comparison of the detector with another engine. It is a separate workspace.
pub(crate) const DIFFERENTIAL: &str = "differential/Cargo.toml";

/// The benchmarks.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Compare the API server with Go's sample-apiserver: CPU per request, rate, latency, memory.
    Apiserver {
        /// Seconds of load per case.
        #[arg(long, default_value_t = 5)]
        seconds: u32,
        /// Measure Keepwatch alone, for a profiler.
        #[arg(long)]
        alone: bool,
        /// Compare with Keepwatch without its detector, instead of sample-apiserver.
        #[arg(long, conflicts_with = "alone")]
        detection: bool,
        /// Compare with a minimal durable server instead of sample-apiserver.
        #[arg(long, conflicts_with_all = ["alone", "detection"])]
        bare: bool,
    },
    /// Compare delivery of the journal as compressed objects with the compressor alone.
    Delivery {
        /// Number of events in the journal.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
    /// Compare the detector with another Sigma engine: rate, scaling with rules, memory of groups.
    Detect,
    /// Measure an installed server without users: objects and heartbeats an hour, CPU time.
    Idle {
        /// Duration in minutes.
        #[arg(long, default_value_t = 60)]
        minutes: u32,
    },
    /// Measure the index of events: bytes, CPU time, and first pages of a journal of ten million
    /// events.
    Index {
        /// Number of events in the journal; ten million take 7 GB of disk.
        #[arg(long, default_value_t = 10_000_000)]
        events: u64,
    },
    /// Measure the audit webhook: events per second of CPU time, and the memory of a long request.
    Ingestion {
        /// Number of requests of 400 events.
        #[arg(long, default_value_t = 500)]
        requests: usize,
        /// Number of events of the long request; 100,000 are 130 MB. It must arrive within 35 seconds.
        #[arg(long, default_value_t = 100_000)]
        long: usize,
    },
    /// Compare sample-apiserver's own audit log with the proxy in front of one that has none: CPU
    /// per request.
    Proxy {
        /// Seconds of load per case.
        #[arg(long, default_value_t = 5)]
        seconds: u32,
        /// Measure the proxy once, for a profiler.
        #[arg(long)]
        alone: bool,
    },
    /// Measure the time from the response to a request until a watcher sees its signal.
    Signals {
        /// Requests per second of the concurrent load.
        #[arg(long, default_value_t = 1000)]
        rate: u32,
    },
    /// Compare GET from an empty store with GET from one with 10,000 objects and 100,000 events.
    Weight {
        /// Seconds of load per measurement.
        #[arg(long, default_value_t = 3)]
        seconds: u32,
        /// Number of measurements of each store, in turns.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
    },
}

/// Runs a kill test on a release build.
pub(crate) fn kill(test: &str, rounds: u32, seed: Option<u64>) -> anyhow::Result<()> {
    kill_built(&server()?, test, rounds, seed)
}

/// Runs a kill test on an existing build of the server, with the e2e binary in the same folder.
pub(crate) fn kill_built(
    server: &Path,
    test: &str,
    rounds: u32,
    seed: Option<u64>,
) -> anyhow::Result<()> {
    let rounds = rounds.to_string();
    let seed = seed.map(|seed| seed.to_string());
    let mut args = vec![test, "--rounds", &rounds];
    if let Some(seed) = &seed {
        args.extend(["--seed", seed]);
    }
    run(server, &args)
}

/// Runs the outage test on a release build.
pub(crate) fn outage(
    turns: u32,
    seconds: u32,
    rate: u32,
    data_dir: Option<&Path>,
) -> anyhow::Result<()> {
    let [turns, seconds, rate] = [turns, seconds, rate].map(|number| number.to_string());
    let data_dir = data_dir.map(|data_dir| data_dir.display().to_string());
    let mut args = vec!["outage", "--turns", &turns, "--seconds", &seconds, "--rate", &rate];
    if let Some(data_dir) = &data_dir {
        args.extend(["--data-dir", data_dir]);
    }
    run(&server()?, &args)
}

/// Runs the rotation test on a release build.
pub(crate) fn rotate(rounds: u32) -> anyhow::Result<()> {
    run(&server()?, &["rotate", "--rounds", &rounds.to_string()])
}

/// Runs a benchmark on a release build.
pub(crate) fn bench(benchmark: &Bench) -> anyhow::Result<()> {
    match benchmark {
        Bench::Detect => cargo(&["run", "--release", "--locked", "--manifest-path", DIFFERENTIAL]),
        Bench::Apiserver { seconds, alone, detection, bare } => {
            let seconds = seconds.to_string();
            let mut args = vec!["bench-apiserver", "--seconds", &seconds];
            args.extend(alone.then_some("--alone"));
            args.extend(detection.then_some("--detection"));
            args.extend(bare.then_some("--bare"));
            run(&server()?, &args)
        }
        Bench::Delivery { events } => {
            run(&server()?, &["bench-delivery", "--events", &events.to_string()])
        }
        Bench::Idle { minutes } => {
            run(&server()?, &["bench-idle", "--minutes", &minutes.to_string()])
        }
        Bench::Index { events } => {
            run(&server()?, &["bench-index", "--events", &events.to_string()])
        }
        Bench::Ingestion { requests, long } => run(
            &server()?,
            &["bench-ingestion", "--requests", &requests.to_string(), "--long", &long.to_string()],
        ),
        Bench::Proxy { seconds, alone } => {
            let seconds = seconds.to_string();
            let mut args = vec!["bench-proxy", "--seconds", &seconds];
            args.extend(alone.then_some("--alone"));
            run(&server()?, &args)
        }
        Bench::Signals { rate } => run(&server()?, &["bench-signals", "--rate", &rate.to_string()]),
        Bench::Weight { seconds, rounds } => run(
            &server()?,
            &["bench-weight", "--seconds", &seconds.to_string(), "--rounds", &rounds.to_string()],
        ),
    }
}

/// Builds the server and the e2e binary with the release profile, and returns the server's path.
pub(crate) fn server() -> anyhow::Result<PathBuf> {
    build("release")
}

/// Builds the server and the e2e binary with a profile, and returns the server's path.
pub(crate) fn build(profile: &str) -> anyhow::Result<PathBuf> {
    let build_flags = ["--workspace", "--bin", SERVER, "--bin", E2E];
    cargo(&[&["build", "--profile", profile], &build_flags[..]].concat())?;
    Ok(target()?.join(profile).join(SERVER))
}

fn run(server: &Path, args: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(server.with_file_name(E2E))
        .args(args)
        .env("KEEPWATCH_BIN", server)
        .current_dir(root())
        .status()
        .context("cannot start the e2e binary")?;
    ensure!(status.success(), "`e2e {}` failed: {status}", args.join(" "));
    Ok(())
}
