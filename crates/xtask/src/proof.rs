//! Starts the kill test and the benchmarks, which live in the crate `cluster`.

use clap::Subcommand;

use crate::run;

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The API server beside Go's sample-apiserver: CPU per request, rate, latency, memory.
    Apiserver {
        /// Seconds of load per case.
        #[arg(long, default_value_t = 5)]
        seconds: u32,
    },
}

/// Runs the kill test on a release build.
pub(crate) fn kill(rounds: u32, seed: Option<u64>) -> anyhow::Result<()> {
    run("cargo", &["build", "--release", "--package", "keepwatch"])?;
    let rounds = rounds.to_string();
    let seed = seed.map(|seed| seed.to_string());
    let mut args = vec!["kill", "--rounds", &rounds];
    if let Some(seed) = &seed {
        args.extend(["--seed", seed]);
    }
    proof(&args)
}

/// Runs one benchmark on a release build.
pub(crate) fn bench(what: &Bench) -> anyhow::Result<()> {
    run("cargo", &["build", "--release", "--package", "keepwatch"])?;
    match what {
        Bench::Apiserver { seconds } => {
            proof(&["bench-apiserver", "--seconds", &seconds.to_string()])
        }
    }
}

fn proof(args: &[&str]) -> anyhow::Result<()> {
    let mut all = vec!["run", "--release", "--package", "cluster", "--bin", "proof", "--"];
    all.extend(args);
    run("cargo", &all)
}
