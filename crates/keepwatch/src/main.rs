//! Keepwatch: an aggregated Kubernetes API server whose every request is on record.
//!
//! Reads the command line, runs one command, and says how it ended: 0 when it did what was asked,
//! 1 when it could not, 2 when the command line makes no sense. Nothing else is decided here.

mod args;
mod certificate;
mod clock;
mod cluster;
mod commands;
mod corridors;
mod house;
mod log;
mod standalone;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return commands::refuse(&error),
    };
    commands::finish(commands::run(args.command))
}
