//! The profile `suite`: what the tests of everything need, built once.
//!
//! Lints, server and tests share the dependencies of a release, and what builds them. The server is
//! as it is released; for the tests our own crates are built quickly and with debug assertions. The
//! folder is its own, so that no such build ever lies where a release is looked for.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::{cargo, cargo_with, metadata};

/// Runs cargo on our own crates as the tests have them.
pub(crate) fn cargo_for_tests(args: &[&str], variables: &[(&str, &OsStr)]) -> anyhow::Result<()> {
    let settings = metadata()?
        .workspace_packages()
        .iter()
        .flat_map(|package| {
            ["opt-level=0", "debug-assertions=true"]
                .map(|setting| format!("profile.suite.package.{}.{setting}", package.name))
        })
        .collect::<Vec<_>>();
    let (command, rest) = args.split_first().context("no command for cargo")?;
    let configs = settings.iter().flat_map(|setting| ["--config", setting]);
    let args = [*command, "--profile", "suite"].into_iter().chain(configs);
    cargo_with(&args.chain(rest.iter().copied()).collect::<Vec<_>>(), variables)
}

/// The server, and the proofs beside it, where no later build writes over them.
pub(crate) fn server() -> anyhow::Result<PathBuf> {
    let (server, proof) = ("keepwatch", "proof");
    cargo(&["build", "--profile", "suite", "--workspace", "--bin", server, "--bin", proof])?;
    let built = metadata()?.target_directory.into_std_path_buf().join("suite");
    let kept = built.join("server");
    fs::create_dir_all(&kept).with_context(|| format!("cannot create {}", kept.display()))?;
    for name in [server, proof] {
        let to = kept.join(name);
        fs::copy(built.join(name), &to)
            .with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(kept.join(server))
}
