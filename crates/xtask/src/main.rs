//! Development tasks: test, check and measure the workspace.
//!
//! Each task is a file. The kill tests and benchmarks are in the crate `e2e` and are only started
//! from here, so that `cargo xtask tidy` builds in seconds.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task talks to the person who runs it"
)]

mod codegen;
mod e2e;
mod exports;
mod fuzz;
mod test;
mod test_profile;
mod tidy;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};

/// Development tasks.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all checks: formatting, lints, tidy, unit tests, integration tests, end-to-end tests.
    Test {
        /// Skip the steps that need a release build or a control plane.
        #[arg(long)]
        fast: bool,
    },
    /// Check budgets, file headers, names, and the table of crates.
    Tidy,
    /// Build the third-party programs of the end-to-end tests into a cache.
    Assets,
    /// Kill the server under load (SIGKILL) and compare its store with its responses.
    Kill {
        /// Number of kills.
        #[arg(long, default_value_t = 300)]
        rounds: u32,
        /// Seed of a run to repeat. Each run prints its seed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Kill the auditing proxy under load (SIGKILL) and compare its records with the API server behind
    /// it.
    KillProxy {
        /// Number of kills.
        #[arg(long, default_value_t = 300)]
        rounds: u32,
        /// Seed of a run to repeat. Each run prints its seed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Kill the uploading process during uploads (SIGKILL), and check the archive.
    KillUploads {
        /// Number of kills.
        #[arg(long, default_value_t = 300)]
        rounds: u32,
        /// Seed of a run to repeat. Each run prints its seed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Stop the bucket's server under load, start it again, and check the archive.
    Outage {
        /// Number of outages.
        #[arg(long, default_value_t = 1)]
        turns: u32,
        /// Seconds of each outage.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Requests per second.
        #[arg(long, default_value_t = 1000)]
        rate: u32,
        /// Folder for the server's data, for example in memory.
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
    /// Rotate keys, CA and role token of buckets under load, and check the archives.
    Rotate {
        /// Number of rotations of each.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
    },
    /// Validate the golden files of exported rules with the programs of their targets.
    Exports,
    /// Fuzz the parsers of external input. Without a target, all of them.
    Fuzz {
        /// Seconds per target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// A target in `fuzz/fuzz_targets`.
        target: Option<String>,
    },
    /// Run a benchmark, where possible in comparison with another program.
    Bench {
        #[command(subcommand)]
        benchmark: e2e::Bench,
    },
    /// Generate the reference pages in `docs/reference` and files of the chart.
    Codegen {
        /// Do not write; fail if a file is out of date.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().task {
        Task::Test { fast } => test::run(fast),
        Task::Tidy => tidy::run(&root()),
        Task::Assets => assets::all(),
        Task::Kill { rounds, seed } => e2e::kill("kill", rounds, seed),
        Task::KillProxy { rounds, seed } => e2e::kill("kill-proxy", rounds, seed),
        Task::KillUploads { rounds, seed } => e2e::kill("kill-uploads", rounds, seed),
        Task::Outage { turns, seconds, rate, data_dir } => {
            e2e::outage(turns, seconds, rate, data_dir.as_deref())
        }
        Task::Rotate { rounds } => e2e::rotate(rounds),
        Task::Exports => exports::validate_all(),
        Task::Fuzz { seconds, target } => fuzz::run(seconds, target.as_deref()),
        Task::Bench { benchmark } => e2e::bench(&benchmark),
        Task::Codegen { check } => codegen::run(check, None),
    }
}

/// The root of the checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").components().collect()
}

/// Runs cargo in the root of the checkout. An exit code other than 0 is an error.
fn cargo(args: &[&str]) -> anyhow::Result<()> {
    cargo_with(args, &[])
}

/// Like [`cargo`], with additional environment variables.
fn cargo_with(args: &[&str], variables: &[(&str, &OsStr)]) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args(args)
        .envs(variables.iter().copied())
        .current_dir(root())
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "`cargo {}` failed: {status}", args.join(" "));
    Ok(())
}

/// cargo's target directory.
fn target() -> anyhow::Result<PathBuf> {
    Ok(metadata()?.target_directory.into_std_path_buf())
}

/// cargo's metadata of the workspace's own packages.
fn metadata() -> anyhow::Result<cargo_metadata::Metadata> {
    Ok(cargo_metadata::MetadataCommand::new().current_dir(root()).no_deps().exec()?)
}
