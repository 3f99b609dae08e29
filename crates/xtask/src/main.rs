//! Development tasks: test, check and measure the workspace.
//!
//! Each task is one file. The kill tests and benchmarks are in the crate `e2e` and only started from here,
//! so that `cargo xtask tidy` builds in seconds.

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
    /// Run all checks: format, lints, tidy, unit tests, integration tests, end-to-end tests.
    Test {
        /// Leave out what needs a release build or a control plane.
        #[arg(long)]
        fast: bool,
    },
    /// Budgets, headers, names, the crate table.
    Tidy,
    /// Build third-party programs that the e2e suite runs, into a cache.
    Assets,
    /// SIGKILL the server under load and compare what it kept with what it answered.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 300)]
        rounds: u32,
        /// Repeat a run; each run prints its own.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// SIGKILL the uploading process during uploads, and read the archive back.
    KillUploads {
        /// How often.
        #[arg(long, default_value_t = 300)]
        rounds: u32,
        /// Repeat a run; each run prints its own.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Take the bucket away under load, give it back, and read the archive: nothing lost or repeated.
    Outage {
        /// How often.
        #[arg(long, default_value_t = 1)]
        turns: u32,
        /// Seconds without the bucket.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Requests a second.
        #[arg(long, default_value_t = 1000)]
        rate: u32,
        /// Folder in which the server keeps everything, such as one in memory.
        #[arg(long)]
        place: Option<PathBuf>,
    },
    /// Change keys, authority and role token of buckets under load, and read the archives.
    Rotate {
        /// How often, each.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
    },
    /// Read the golden files of exported rules with the programs of their targets.
    Exports,
    /// Fuzz what parses input from outside; without a target, all of it.
    Fuzz {
        /// For how long, each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// One of the binaries below `fuzz/fuzz_targets`.
        target: Option<String>,
    },
    /// Run a benchmark, beside another program where there is one to compare with.
    Bench {
        #[command(subcommand)]
        what: e2e::Bench,
    },
    /// Write the generated references below `docs/reference`.
    Codegen {
        /// Change nothing; fail when something is out of date.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().task {
        Task::Test { fast } => test::run(fast),
        Task::Tidy => tidy::run(&root()),
        Task::Assets => assets::all(),
        Task::Kill { rounds, seed } => e2e::kill(rounds, seed),
        Task::KillUploads { rounds, seed } => e2e::kill_uploads(rounds, seed),
        Task::Outage { turns, seconds, rate, place } => {
            e2e::outage(turns, seconds, rate, place.as_deref())
        }
        Task::Rotate { rounds } => e2e::rotate(rounds),
        Task::Exports => exports::read_all(),
        Task::Fuzz { seconds, target } => fuzz::run(seconds, target.as_deref()),
        Task::Bench { what } => e2e::bench(&what),
        Task::Codegen { check } => codegen::run(check, None),
    }
}

/// The root of the checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").components().collect()
}

/// Runs cargo in the root of the checkout; anything but success is an error.
fn cargo(args: &[&str]) -> anyhow::Result<()> {
    cargo_with(args, &[])
}

/// The same, with variables in the environment.
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

/// Where cargo puts what it builds.
fn target() -> anyhow::Result<PathBuf> {
    Ok(metadata()?.target_directory.into_std_path_buf())
}

/// What cargo knows of our own crates.
fn metadata() -> anyhow::Result<cargo_metadata::Metadata> {
    Ok(cargo_metadata::MetadataCommand::new().current_dir(root()).no_deps().exec()?)
}
