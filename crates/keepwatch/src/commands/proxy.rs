//! `keepwatch proxy`: the server in front of an existing extension API server, and its installation.

mod cluster;
mod registration;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::proxy::{ProxyArgs, RegistrationCommand};
use crate::commands::serve;

/// Runs the command.
pub(crate) fn run(args: &ProxyArgs) -> Result<ExitCode> {
    match &args.command {
        Some(RegistrationCommand::Install(install)) => registration::install(install),
        Some(RegistrationCommand::Uninstall(uninstall)) => registration::uninstall(uninstall),
        None => serve::run_with(&args.serve, Some(&args.upstream)),
    }
}
