//! `keepwatch rules export`: rules in the languages of other SIEMs.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use detect::export::{self, Choice, Exported, File, Format, Profile, Target};
use detect::{Rule, RuleSet};

use crate::args::rules::ExportArgs;
use crate::commands::export_files::{unknown, write};
use crate::commands::{FAILED, Misuse, say};
use crate::printable::plain;
use crate::rule_files;

/// Runs the command.
pub(super) fn run(args: &ExportArgs) -> Result<ExitCode> {
    let rules = rule_files::load(&args.rules)?;
    if args.matrix {
        io::stdout().write_all(export::matrix::markdown(&rules).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = target(args.to.as_deref().unwrap_or_default())?;
    let profile = profile(target, args.profile.as_deref())?;
    let format = format(target, args.format.as_deref())?;
    let choice = Choice { profile, format, options: rules.options() };
    let exported: Vec<Exported> = chosen(&rules, &args.ids)?
        .into_iter()
        .map(|rule| export::export(&rules, rule, target, &choice, args.allow_lossy))
        .collect();
    let written: Vec<&str> =
        exported.iter().filter(|it| !it.files.is_empty()).map(|it| it.rule.as_str()).collect();
    let mut files: Vec<File> = exported.iter().flat_map(|it| it.files.clone()).collect();
    if !written.is_empty() {
        files.extend(target.package(&rules, &written, &choice));
    }
    write(&files, args.out.as_deref())?;
    exported.iter().for_each(explain);
    let left_out = exported.len() - written.len();
    say(&format!("{} rules exported, {left_out} left out", written.len()));
    // What was asked for by name has to be there.
    let is_complete = left_out == 0 || (args.ids.is_empty() && !written.is_empty());
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Why a rule is not written.
fn explain(exported: &Exported) {
    if !exported.files.is_empty() {
        return;
    }
    let reasons: Vec<String> =
        exported.fidelity.reasons().iter().map(ToString::to_string).collect();
    let help = if exported.fidelity.is_refused() { "" } else { "; --allow-lossy writes it" };
    let (rule, fidelity) = (plain(&exported.rule), exported.fidelity.as_str());
    say(&format!("{rule} is left out ({fidelity}): {}{help}", plain(&reasons.join("; "))));
}

fn target(name: &str) -> Result<&'static dyn Target, Misuse> {
    export::named(name).ok_or_else(|| {
        let known: Vec<&str> = export::all().iter().map(|it| it.name()).collect();
        unknown("to", name, &known)
    })
}

fn profile(target: &dyn Target, name: Option<&str>) -> Result<&'static Profile, Misuse> {
    let profiles = target.profiles();
    let found = profiles.iter().find(|it| name.is_none_or(|name| it.name == name));
    found.ok_or_else(|| {
        let known: Vec<&str> = profiles.iter().map(|it| it.name).collect();
        unknown("profile", name.unwrap_or_default(), &known)
    })
}

fn format(target: &dyn Target, name: Option<&str>) -> Result<&'static Format, Misuse> {
    let formats = target.formats();
    let found = formats.iter().find(|it| name.is_none_or(|name| it.name == name));
    found.ok_or_else(|| {
        let known: Vec<&str> = formats.iter().map(|it| it.name).collect();
        unknown("format", name.unwrap_or_default(), &known)
    })
}

/// The rules that are named, in the order of the set; else all that raise.
fn chosen<'r>(rules: &'r RuleSet, ids: &[String]) -> Result<Vec<&'r Rule>, Misuse> {
    let mut named = Vec::new();
    for id in ids {
        let found = rules.find(id).filter(|at| rules.rules().get(*at).is_some_and(|it| it.raises));
        let Some(found) = found else {
            let hint = "`keepwatch rules list` names those that raise signals";
            return Err(Misuse(vec![format!("there is no rule {id:?}: {hint}")]));
        };
        named.push(found);
    }
    let rules = rules
        .rules()
        .iter()
        .enumerate()
        .filter(|(at, rule)| if ids.is_empty() { rule.raises } else { named.contains(at) });
    Ok(rules.map(|(_, rule)| rule).collect())
}
