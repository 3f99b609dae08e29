//! `keepwatch policy`: checks a policy, and explains its decisions.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use audit::{Builtin, Policy, Strictness};
use kasten::Installation;

use crate::args::PolicyCommand;
use crate::commands::FAILED;
use crate::terminal::eprint_line;
use crate::usage_error::installation;

/// Runs one of the commands about policies.
pub(crate) fn run(command: &PolicyCommand) -> Result<ExitCode> {
    match command {
        PolicyCommand::Check { file, strict } => {
            let strictness = if *strict { Strictness::Strict } else { Strictness::Kubernetes };
            load(file, strictness)?;
            writeln!(io::stdout(), "{}: valid", file.display())?;
            Ok(ExitCode::SUCCESS)
        }
        PolicyCommand::Explain { policy, k10_api_domain, requests } => {
            let installation = installation(k10_api_domain, kasten::names::K10_NAMESPACE)?;
            let policy = named(policy, &installation)?;
            let all_valid = if requests == Path::new("-") {
                explain(&policy, io::stdin().lock())?
            } else {
                let file = File::open(requests)
                    .with_context(|| format!("cannot read {}", requests.display()))?;
                explain(&policy, BufReader::new(file))?
            };
            Ok(if all_valid { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
        }
    }
}

/// The policy of `--policy`: a built-in one by name, for this installation, or a file.
pub(crate) fn named(name: &str, installation: &Installation) -> Result<Policy> {
    match Builtin::ALL.into_iter().find(|builtin| builtin.as_str() == name) {
        Some(builtin) => Ok(Policy::builtin(builtin, installation.domain())?),
        None => load(Path::new(name), Strictness::Kubernetes),
    }
}

/// Loads a policy file. Warnings go to stderr.
pub(crate) fn load(path: &Path, strictness: Strictness) -> Result<Policy> {
    let unreadable = || format!("cannot read audit policy {}", path.display());
    let mut text = Vec::new();
    // One byte more than allowed suffices for the loader to reject it.
    File::open(path)
        .and_then(|file| file.take(audit::POLICY_LEN_MAX as u64 + 1).read_to_end(&mut text))
        .with_context(unreadable)?;
    let loaded = Policy::load(&text, strictness)
        .map_err(|error| anyhow!("audit policy {}: {error}", path.display()))?;
    for warning in &loaded.warnings {
        eprint_line(&format!("warning: audit policy {}: {warning}", path.display()));
    }
    Ok(loaded.policy)
}

/// Whether every line was a request.
fn explain(policy: &Policy, requests: impl BufRead) -> Result<bool> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut all_valid = true;
    for (index, line) in requests.lines().enumerate() {
        let line = line.context("cannot read the requests")?;
        if line.trim().is_empty() {
            continue;
        }
        match audit::explain::line(policy, &line) {
            Ok(response) => writeln!(out, "{response}")?,
            Err(error) => {
                all_valid = false;
                eprint_line(&format!("line {}: {:#}", index + 1, anyhow::Error::new(error)));
            }
        }
    }
    out.flush()?;
    Ok(all_valid)
}
