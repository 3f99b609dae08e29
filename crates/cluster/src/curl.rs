//! curl, a client of HTTP that is not ours.

use std::process::Command;

use crate::process::output;

/// The body of an answer that says success.
pub(crate) fn curl(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    output(Command::new("curl").args(["-sS", "--fail-with-body"]).args(arguments))
}
