//! `keepwatch doctor`: reads a cluster, and says what an attacker could do unseen and how to set up
//! Keepwatch there.
//!
//! The crate `doctor` judges what the module `cluster` read. Nothing is written to the cluster.

mod cluster;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use detect::{LoadOptions, RuleSet, builtin};
use doctor::{Findings, Options};
use serde::Serialize;

use crate::app;
use crate::args::doctor::{DoctorArgs, DoctorFormat};
use crate::printable::plain;

pub(crate) use cluster::{BODY_BYTES_MAX, PAGE, PAGES_MAX};

/// Runs the command.
pub(crate) fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let rules = RuleSet::load(builtin::documents(), &LoadOptions::default())
        .map_err(|errors| anyhow!("the rules cannot be read: {errors:?}"))?;
    let facts = app::runtime()?.block_on(cluster::read(args))?;
    let options = Options { cluster_name: args.cluster_name.clone(), bucket: args.bucket.clone() };
    let findings = Findings::of(&facts, &options, &rules);
    let text = match args.output {
        DoctorFormat::Table => doctor::page(&findings, &yaml(&findings.values)?),
        DoctorFormat::Json => serde_json::to_string_pretty(&findings)? + "\n",
        DoctorFormat::Yaml => yaml(&findings)?,
        DoctorFormat::Values => yaml(&findings.values)?,
        DoctorFormat::Facts => serde_json::to_string_pretty(&facts)? + "\n",
    };
    // The cluster chooses names, images and messages.
    for line in text.lines() {
        writeln!(io::stdout(), "{}", plain(line))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn yaml<T: Serialize>(value: &T) -> Result<String> {
    let json = serde_json::to_vec(value)?;
    Ok(String::from_utf8(apiserver::yaml(&json).to_vec())?)
}
