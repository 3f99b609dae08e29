//! The one test command: what the desk, the README and CI run.
//!
//! Nothing is skipped silently: a step whose tool is missing fails.

use std::ffi::OsStr;
use std::time::Duration;

use crate::{cargo, cargo_with, codegen, fuzz, proof, root, tidy};

/// Rounds of the kill test in one test run.
const KILL_ROUNDS: u32 = 300;
/// The store is killed at each of its first so many flushes, and so many writes.
const KILL_POINTS: &str = "500";
/// Seconds for each fuzz target in one test run.
const FUZZ_SECONDS: u32 = 10;

/// Runs every step in order and stops at the first failure. `fast` leaves out what needs a
/// release build or a control plane.
///
/// Steps build the whole workspace at once: packages built one by one would get other features of
/// the same dependencies, and build those again.
pub(crate) fn run(fast: bool) -> anyhow::Result<()> {
    step("format", || {
        cargo(&["fmt", "--all", "--check"])?;
        cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])
    })?;
    step("tidy", || tidy::run(&root()))?;
    step("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    step("docs", || {
        // Module docs may point maintainers to private items.
        let deny =
            r#"build.rustdocflags=["-D", "warnings", "-A", "rustdoc::private_intra_doc_links"]"#;
        cargo(&["--config", deny, "doc", "--quiet", "--workspace", "--no-deps", "--lib"])
    })?;
    if fast {
        step("generated references", || codegen::run(true, None))?;
        return step("tests", || cargo(&["test", "--workspace", "--exclude", "cluster"]));
    }
    let server = step("release build", proof::server)?;
    step("generated references", || codegen::run(true, Some(&server)))?;
    step("tests, with the cluster suite", || {
        let variables = [
            ("KEEPWATCH_BIN", server.as_os_str()),
            ("KEEPWATCH_KILL_POINTS", OsStr::new(KILL_POINTS)),
        ];
        cargo_with(&["test", "--workspace"], &variables)
    })?;
    step("kill test", || proof::kill_built(&server, KILL_ROUNDS, None))?;
    step("fuzz targets", || fuzz::run(FUZZ_SECONDS, None))
}

fn step<T>(name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    println!("== {name}");
    let (result, took) = timed(work);
    println!(
        "== {name}: {} after {} s",
        if result.is_ok() { "ok" } else { "FAILED" },
        took.as_secs()
    );
    result
}

#[expect(clippy::disallowed_methods, reason = "a chore times its own steps")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}
