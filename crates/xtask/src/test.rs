//! The one test command, for developers and CI.
//!
//! Nothing is skipped silently: a step whose tool is missing fails.

use std::ffi::OsStr;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;

use crate::test_profile::{self, cargo_for_tests};
use crate::{cargo, codegen, e2e, exports, root, tidy};

/// Rounds of the kill test in one test run.
const KILL_ROUNDS: u32 = 300;
/// Number of kill points at flushes, and at writes, of the store.
const KILL_POINTS: &str = "500";
/// Clippy with warnings as errors.
const LINTS: [&str; 6] = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
/// Documentation. Module docs may link to private items.
const DOCS: [&str; 7] = [
    "doc",
    "--config",
    r#"build.rustdocflags=["-D", "warnings", "-A", "rustdoc::private_intra_doc_links"]"#,
    "--quiet",
    "--workspace",
    "--no-deps",
    "--lib",
];
/// Niceness of the build of third-party programs.
const NICENESS: i32 = 10;

/// Runs every step in order and stops at the first failure. `fast` skips the steps that need an
/// optimised build or a control plane.
///
/// Each step builds the whole workspace: separate builds of single packages would enable other
/// features of the same dependencies and build those again.
pub(crate) fn run(fast: bool) -> anyhow::Result<()> {
    step("format", || {
        cargo(&["fmt", "--all", "--check"])?;
        cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?;
        cargo(&["fmt", "--manifest-path", "differential/Cargo.toml", "--check"])
    })?;
    step("tidy", || tidy::run(&root()))?;
    if fast { run_fast() } else { run_all() }
}

fn run_fast() -> anyhow::Result<()> {
    step("lints", || cargo(&LINTS))?;
    step("docs", || cargo(&DOCS))?;
    step("generated references", || codegen::run(true, None))?;
    step("tests", || cargo(&["test", "--workspace", "--exclude", "e2e"]))
}

fn run_all() -> anyhow::Result<()> {
    // These take minutes and do not use all processors.
    let third_party_build = thread::spawn(|| {
        rustix::process::nice(NICENESS)?;
        // Report the failure now: the result is read much later.
        assets::all().inspect_err(|error| eprintln!("== third-party programs: FAILED: {error:#}"))
    });
    step("lints", || cargo_for_tests(&LINTS, &[]))?;
    step("docs", || cargo_for_tests(&DOCS, &[]))?;
    let server = step("server", test_profile::server)?;
    step("generated references", || codegen::run(true, Some(&server)))?;
    step("kill test", || e2e::kill_built(&server, "kill", KILL_ROUNDS, None))?;
    let variables =
        [("KEEPWATCH_BIN", server.as_os_str()), ("KEEPWATCH_KILL_POINTS", OsStr::new(KILL_POINTS))];
    step("tests", || {
        let targets = ["test", "--workspace", "--lib", "--bins", "--test", "it"];
        cargo_for_tests(&targets, &variables)?;
        cargo_for_tests(&["test", "--quiet", "--workspace", "--doc"], &[])
    })?;
    step("alerts of another engine", || {
        cargo(&["test", "--quiet", "--locked", "--manifest-path", e2e::DIFFERENTIAL])
    })?;
    step("third-party programs", || {
        third_party_build.join().map_err(|_panic| anyhow!("their build panicked"))?
    })?;
    step("exported rules", exports::validate_all)?;
    step("e2e suite", || cargo_for_tests(&["test", "--workspace", "--test", "suite"], &variables))
}

fn step<T>(name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    println!("== {name}");
    let (result, elapsed) = timed(work);
    println!(
        "== {name}: {} after {} s",
        if result.is_ok() { "ok" } else { "FAILED" },
        elapsed.as_secs()
    );
    result
}

#[expect(clippy::disallowed_methods, reason = "a task times its own steps")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}
