//! The one test command: what the desk, the README and CI run.
//!
//! Nothing is skipped silently: a step whose tool is missing fails.

use std::time::Duration;

use crate::{cargo, proof, root, tidy};

/// Rounds of the kill test in one test run.
const KILL_ROUNDS: u32 = 300;

/// Runs every step in order and stops at the first failure. `fast` leaves out what needs a
/// release build or a control plane.
pub(crate) fn run(fast: bool) -> anyhow::Result<()> {
    step("format", || cargo(&["fmt", "--all", "--check"]))?;
    step("tidy", || tidy::run(&root()))?;
    step("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    step("unit and integration tests", || cargo(&["test", "--workspace", "--exclude", "cluster"]))?;
    step("docs", || {
        let args = ["rustdoc", "--lib", "--", "-D", "warnings"];
        let rooms =
            ["event", "audit", "store", "apiserver", "kasten", "sink", "delivery", "testkit"];
        rooms.iter().try_for_each(|room| {
            let mut args = args.to_vec();
            args.splice(1..1, ["--package", room]);
            cargo(&args)
        })
    })?;
    if fast {
        return Ok(());
    }
    step("release build", || proof::server().map(drop))?;
    step("cluster suite", || cargo(&["test", "--package", "cluster"]))?;
    step("kill test", || proof::kill(KILL_ROUNDS, None))
}

fn step(name: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
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
