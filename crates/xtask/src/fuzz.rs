//! Builds the fuzz targets with coverage counters and runs them.
//!
//! It uses the stable toolchain: stable compiler flags enable the LLVM pass that adds the counters,
//! and the crate `libfuzzer-sys` contains libFuzzer. Without `unsafe` code no sanitizer is needed:
//! a finding is a panic, a hang, or high memory use. Inputs of findings are written to
//! `target/fuzz/artifacts`; after the fix, move them to `fuzz/corpus`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::{root, target};

/// The targets in `fuzz/Cargo.toml`.
const TARGETS: [&str; 5] = ["policy", "request_path", "audit_line", "document", "rules"];
/// Flags for coverage counters of edges and comparisons.
const FLAGS: [&str; 7] = [
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// Maximum input length, in bytes. Parser bugs need only short inputs.
const INPUT_LEN_MAX: u32 = 4096;
/// Maximum time for one input, in seconds. A slower input is a finding.
const HANG_SECONDS: u32 = 10;
/// Maximum memory of the process, in MiB. An input that exceeds it is a finding.
const MEMORY_MIB: u32 = 1024;

/// Runs the target `only`, or all targets, for `seconds` each. A run begins with the corpus.
pub(crate) fn run(seconds: u32, only: Option<&str>) -> anyhow::Result<()> {
    if let Some(only) = only {
        ensure!(TARGETS.contains(&only), "no target {only}: there are {}", TARGETS.join(", "));
    }
    let folder = target()?.join("fuzz");
    let binaries = build(&folder)?;
    for name in TARGETS.into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
        fuzz(&binaries.join(name), name, &folder, seconds)?;
    }
    Ok(())
}

/// Builds all targets into `folder` and returns the folder of the binaries.
fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let host = host()?;
    // With `--target`, even for the host, cargo does not apply `RUSTFLAGS` to build scripts and
    // procedural macros.
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--bins", "--target", &host])
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("CARGO_TARGET_DIR", folder)
        .current_dir(root().join("fuzz"))
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the fuzz targets cannot be built: {status}");
    Ok(folder.join(host).join("debug"))
}

fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not name its host")
}

/// Fuzzes a target. New inputs are written to `target/fuzz/corpus`; the seeds in `fuzz/corpus` do
/// not change.
fn fuzz(binary: &Path, name: &str, folder: &Path, seconds: u32) -> anyhow::Result<()> {
    let (corpus, artifacts) =
        (folder.join("corpus").join(name), folder.join("artifacts").join(name));
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let seeds = root().join("fuzz/corpus").join(name);
    let output = Command::new(binary)
        .arg(&corpus)
        .arg(&seeds)
        .arg(format!("-dict={}", root().join("fuzz/dictionaries").join(name).display()))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_LEN_MAX}"))
        .arg(format!("-timeout={HANG_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .args(["-print_final_stats=1", "-verbosity=1", "-print_pcs=0"])
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let last_lines: Vec<&str> = stderr.lines().rev().take(60).collect();
        for line in last_lines.iter().rev() {
            eprintln!("{line}");
        }
        bail!("fuzz target {name} found something, see {}", artifacts.display());
    }
    let executions =
        stderr.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let coverage =
        stderr.lines().rev().find_map(|line| line.split("cov: ").nth(1)?.split(' ').next());
    println!(
        "fuzz {name}: {} executions in {seconds} s, {} edges, nothing found",
        executions.context("no statistics")?.trim(),
        coverage.unwrap_or("?"),
    );
    Ok(())
}
