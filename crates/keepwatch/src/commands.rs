//! The commands, one file each, and their exit codes.

mod completions;
mod cursors;
mod dashboards;
mod detect;
mod doctor;
mod events;
mod export_files;
mod forward;
mod investigate;
mod man;
mod policy;
mod proxy;
mod reference;
mod rules;
mod serve;
mod source;
mod uninstall;
mod up;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::Result;

use crate::args::Command;
use crate::terminal::eprint_line;
use crate::usage_error::UsageError;

/// Exit code: the command failed.
const FAILED: u8 = 1;
/// Exit code: the command line is invalid.
const USAGE_ERROR: u8 = 2;

/// Runs one command.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Proxy(args) => proxy::run(&args),
        Command::Detect(args) => detect::run(&args),
        Command::Rules(command) => rules::run(&command),
        Command::Dashboards(command) => dashboards::run(&command),
        Command::Investigate(command) => investigate::run(&command),
        Command::Policy(command) => policy::run(&command),
        Command::Events(command) => events::run(&command),
        Command::Doctor(args) => doctor::run(&args),
        Command::Source(command) => source::run(&command),
        Command::Forward(args) => forward::run(&args),
        Command::Cursors(command) => cursors::run(&command),
        Command::Uninstall(args) => uninstall::run(&args),
        Command::Completions { shell } => completions::run(shell),
        Command::Man => man::run(),
        Command::Reference { page, pack } => reference::run(page, &pack),
    }
}

/// Prints the error, if there is one, as one line on stderr. A closed stdout is not an error.
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

/// Prints help and version to stdout, usage errors to stderr.
pub(crate) fn report_usage_error(error: &clap::Error) -> ExitCode {
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
