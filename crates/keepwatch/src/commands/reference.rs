//! `keepwatch reference`: pages of the documentation that are generated from the program itself.

mod annotations;
mod coverage;
mod limits;
mod metrics;
mod rules;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Command, CommandFactory as _};
use kasten::Installation;
use kasten::names::DOMAIN;

use crate::args::{Args, Page};

/// Prints one page: Markdown, or a manifest.
pub(crate) fn run(page: Page, pack: &str) -> Result<ExitCode> {
    let text = match page {
        Page::Kinds => kasten::reference() + &siem::reference(),
        Page::Cli => cli()?,
        Page::Limits => limits::page()?,
        Page::Metrics => metrics::page()?,
        Page::Annotations => annotations::page()?,
        Page::Apiservices => api_services()?,
        Page::PolicyK10 => audit::Builtin::K10.text(DOMAIN),
        Page::PolicyK10V7 => audit::Builtin::K10V7.text(DOMAIN),
        Page::PolicyExtended => audit::Builtin::Extended.text(DOMAIN),
        Page::Crds => kasten::config::definitions(),
        Page::Rules => rules::page(pack)?,
        Page::Coverage => coverage::page()?,
        Page::RulesExport => rules::exports()?,
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The groups and versions whose requests kube-apiserver proxies to this server.
fn api_services() -> Result<String> {
    let mut page =
        String::from("# Generated from the code: `cargo xtask codegen` writes this file.\n");
    let mut known = BTreeSet::new();
    let kinds = kasten::resources(&Installation::DEFAULT)
        .into_iter()
        .chain(siem::resources(&siem::Services::default()));
    for resource in kinds {
        if known.insert((resource.group, resource.version)) {
            writeln!(page, "- group: {}\n  version: {}", resource.group, resource.version)?;
        }
    }
    Ok(page)
}

/// Every command with its help.
fn cli() -> Result<String> {
    let mut page = String::from(
        "# Command line\n\nGenerated from the code: `cargo xtask codegen` writes this page.\n",
    );
    let mut command = Args::command().term_width(100);
    command.build();
    section(&mut page, &mut command, "keepwatch")?;
    Ok(page)
}

fn section(page: &mut String, command: &mut Command, name: &str) -> Result<()> {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end())?;
    for subcommand in command.get_subcommands_mut() {
        if subcommand.get_name() == "help" || subcommand.is_hide_set() {
            continue;
        }
        let name = format!("{name} {}", subcommand.get_name());
        section(page, subcommand, &name)?;
    }
    Ok(())
}
