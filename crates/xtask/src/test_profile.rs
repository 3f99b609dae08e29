//! The profile `suite`: one build for lints, server and tests.
//!
//! They share the dependencies of the release build. The server is built as for a release. For the
//! tests, the workspace's own crates are built without optimisation and with debug assertions. The
//! profile has a separate folder, so that its output cannot be mistaken for a release.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::e2e::{self, E2E, SERVER};
use crate::{cargo_with, metadata};

/// The name of the profile.
const PROFILE: &str = "suite";

/// Runs cargo with the settings of the test profile.
pub(crate) fn cargo_for_tests(args: &[&str], variables: &[(&str, &OsStr)]) -> anyhow::Result<()> {
    let settings = metadata()?
        .workspace_packages()
        .iter()
        .flat_map(|package| {
            ["opt-level=0", "debug-assertions=true", "codegen-units=16"]
                .map(|setting| format!("profile.{PROFILE}.package.{}.{setting}", package.name))
        })
        .collect::<Vec<_>>();
    let (command, rest) = args.split_first().context("no command for cargo")?;
    let configs = settings.iter().flat_map(|setting| ["--config", setting]);
    let args = [*command, "--profile", PROFILE].into_iter().chain(configs);
    cargo_with(&args.chain(rest.iter().copied()).collect::<Vec<_>>(), variables)
}

/// Copies the server and the e2e binary to a folder that no later build overwrites.
pub(crate) fn server() -> anyhow::Result<PathBuf> {
    let built = e2e::build(PROFILE)?;
    let folder = built.with_file_name("server");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in [SERVER, E2E] {
        let copy = folder.join(name);
        fs::copy(built.with_file_name(name), &copy)
            .with_context(|| format!("cannot write {}", copy.display()))?;
    }
    Ok(folder.join(SERVER))
}
