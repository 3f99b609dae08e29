//! The profile `suite`: one build for lints, server and tests.
//!
//! They share the release build's dependencies. The server is built as for a release; for the tests, the
//! workspace's own crates are built without optimisation and with debug assertions. The profile has its own
//! folder, so that none of this is mistaken for a release.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::e2e::{self, E2E, SERVER};
use crate::{cargo_with, metadata};

/// Its name.
const PROFILE: &str = "suite";

/// Runs cargo with the settings of the tests.
pub(crate) fn cargo_for_tests(args: &[&str], variables: &[(&str, &OsStr)]) -> anyhow::Result<()> {
    let settings = metadata()?
        .workspace_packages()
        .iter()
        .flat_map(|package| {
            ["opt-level=0", "debug-assertions=true"]
                .map(|setting| format!("profile.{PROFILE}.package.{}.{setting}", package.name))
        })
        .collect::<Vec<_>>();
    let (command, rest) = args.split_first().context("no command for cargo")?;
    let configs = settings.iter().flat_map(|setting| ["--config", setting]);
    let args = [*command, "--profile", PROFILE].into_iter().chain(configs);
    cargo_with(&args.chain(rest.iter().copied()).collect::<Vec<_>>(), variables)
}

/// Copies the server and the e2e binary where no later build overwrites them.
pub(crate) fn server() -> anyhow::Result<PathBuf> {
    let built = e2e::build(PROFILE)?;
    let folder = built.with_file_name("server");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in [SERVER, E2E] {
        let kept = folder.join(name);
        fs::copy(built.with_file_name(name), &kept)
            .with_context(|| format!("cannot write {}", kept.display()))?;
    }
    Ok(folder.join(SERVER))
}
