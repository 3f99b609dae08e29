//! The commands, one file each, and how a command ends.

mod completions;
mod cursors;
mod dashboards;
mod detect;
mod events;
mod export_files;
mod investigate;
mod man;
mod policy;
mod reference;
mod rules;
mod serve;
mod uninstall;
mod up;

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::Result;
use kasten::{Installation, InstallationError};

use crate::args::Command;
use crate::terminal::eprint_line;

/// The command did not do what was asked.
const FAILED: u8 = 1;
/// The command line makes no sense.
const USAGE_ERROR: u8 = 2;

/// Flags that make no sense, each with its name.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) Vec<String>);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for UsageError {}

/// The K10 that flags describe.
pub(crate) fn installation(domain: &str, namespace: &str) -> Result<Installation, UsageError> {
    Installation::new(domain, namespace).map_err(|error| {
        let flag = match error {
            InstallationError::Domain => format!("--k10-api-domain={domain}"),
            InstallationError::Namespace => format!("--k10-namespace={namespace}"),
        };
        UsageError(vec![format!("{flag} {error}")])
    })
}

/// Runs one command to its end.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Detect(args) => detect::run(&args),
        Command::Rules(command) => rules::run(&command),
        Command::Dashboards(command) => dashboards::run(&command),
        Command::Investigate(command) => investigate::run(&command),
        Command::Policy(command) => policy::run(&command),
        Command::Events(command) => events::run(&command),
        Command::Cursors(command) => cursors::run(&command),
        Command::Uninstall(args) => uninstall::run(&args),
        Command::Completions { shell } => completions::run(shell),
        Command::Man => man::run(),
        Command::Reference { page } => reference::run(page),
    }
}

/// One line for people on stderr if it failed; nothing at all if whoever read stdout has left.
pub(crate) fn finish(outcome: Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprint_line(&format!("error: {error:#}"));
            ExitCode::from(if error.is::<UsageError>() { USAGE_ERROR } else { FAILED })
        }
    }
}

/// Help and version go to stdout, complaints to stderr.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && !io::stderr().is_terminal() {
        eprint_line(error.render().to_string().trim_end());
    } else {
        // If this cannot be written, there is no other place to report it.
        error.print().ok();
    }
    if error.use_stderr() { ExitCode::from(USAGE_ERROR) } else { ExitCode::SUCCESS }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
