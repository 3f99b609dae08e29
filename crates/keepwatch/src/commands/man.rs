//! `keepwatch man`: the manual page, generated from the same definitions as the help.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::Args;

/// Prints the page of the program, followed by those of its commands.
pub(crate) fn run() -> Result<ExitCode> {
    let mut page = Vec::new();
    let mut command = Args::command();
    command.build();
    Man::new(command.clone()).render(&mut page)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help")
    {
        let name = format!("keepwatch-{}", subcommand.get_name());
        Man::new(subcommand.clone()).title(name).render(&mut page)?;
    }
    io::stdout().write_all(&page)?;
    Ok(ExitCode::SUCCESS)
}
