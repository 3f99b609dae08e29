//! curl, a client of HTTP that is not ours.

use std::process::Command;

use anyhow::{Context, ensure};

/// The body of an answer that says success.
pub(crate) fn curl(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let answer = Command::new("curl")
        .args(["-sS", "--fail-with-body"])
        .args(arguments)
        .output()
        .context("cannot start curl")?;
    let said = String::from_utf8_lossy(&answer.stdout);
    let error = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.success(), "curl {arguments:?}: {said} {error}");
    Ok(answer.stdout)
}
