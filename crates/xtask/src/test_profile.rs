//! The profile `suite`: what the tests of everything need, built once.
//!
//! Lints, server and tests share the dependencies of a release, and what builds them. The server is
//! as it is released; for the tests our own crates are built quickly and with debug assertions. The
//! folder is its own, so that no such build ever lies where a release is looked for.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::e2e::{self, E2E, SERVER};
use crate::{cargo_with, metadata};

/// Its name.
const PROFILE: &str = "suite";

/// Runs cargo on our own crates as the tests have them.
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

/// The server, and the e2e binary beside it, where no later build writes over them.
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
