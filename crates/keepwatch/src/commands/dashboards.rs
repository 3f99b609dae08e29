//! `keepwatch dashboards export`: dashboards for systems that store events and metrics.

use std::process::ExitCode;

use anyhow::Result;
use detect::export::dashboard;

use crate::args::dashboards::{DashboardExportArgs, DashboardsCommand};
use crate::commands::export_files::{unknown, write};
use crate::terminal::eprint_line;

/// Runs the command.
pub(crate) fn run(command: &DashboardsCommand) -> Result<ExitCode> {
    let DashboardsCommand::Export(args) = command;
    export(args)
}

fn export(args: &DashboardExportArgs) -> Result<ExitCode> {
    let systems = dashboard::all();
    let system = systems.iter().find(|system| system.name == args.to).ok_or_else(|| {
        let known: Vec<&str> = systems.iter().map(|system| system.name).collect();
        unknown("to", &args.to, &known)
    })?;
    let requested = args.profile.as_deref();
    let profile = system
        .profiles
        .iter()
        .find(|profile| requested.is_none_or(|requested| requested == **profile));
    let profile = profile
        .ok_or_else(|| unknown("profile", requested.unwrap_or_default(), system.profiles))?;
    let files = system.write(profile);
    write(&files, args.out.as_deref())?;
    let count = files.len();
    let dashboards = if count == 1 { "dashboard" } else { "dashboards" };
    eprint_line(&format!("{count} {dashboards} for {} exported", system.title));
    Ok(ExitCode::SUCCESS)
}
