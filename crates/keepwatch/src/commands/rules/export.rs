//! `keepwatch rules export`: rules in the languages of other SIEMs.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use detect::export::{
    self, Choice, Exported, File, Format, Profile, Suppression, Target, suppression,
};
use detect::{Rule, RuleSet};

use crate::args::rules::ExportArgs;
use crate::commands::FAILED;
use crate::commands::export_files::{unknown, write};
use crate::printable::plain;
use crate::rule_files;
use crate::terminal::eprint_line;
use crate::usage_error::UsageError;

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
    let suppressions = suppressions(&args.suppressions, &rules)?;
    let has_suppressions = !suppressions.is_empty();
    let choice = Choice { profile, format, options: rules.options(), has_suppressions };
    let exported: Vec<Exported> = selected(&rules, &args.ids)?
        .into_iter()
        .map(|rule| export::export(&rules, rule, target, &choice, args.allow_lossy))
        .collect();
    let written: Vec<&str> = exported
        .iter()
        .filter(|rule| !rule.files.is_empty())
        .map(|rule| rule.rule.as_str())
        .collect();
    let suppressed: Vec<Exported> = suppressions
        .iter()
        .map(|suppression| suppression::export(suppression, target, &choice, args.allow_lossy))
        .collect();
    let all = exported.iter().chain(&suppressed);
    let mut files: Vec<File> = all.flat_map(|exported| exported.files.clone()).collect();
    if !written.is_empty() {
        files.extend(target.package(&rules, &written, &choice));
    }
    write(&files, args.out.as_deref())?;
    exported.iter().chain(&suppressed).for_each(explain);
    let left_out = exported.len() - written.len();
    eprint_line(&format!("{} rules exported, {left_out} left out", written.len()));
    let without = suppressed.iter().filter(|exported| exported.files.is_empty()).count();
    if has_suppressions {
        let written = suppressed.len() - without;
        eprint_line(&format!("{written} suppressions exported, {without} left out"));
    }
    // Rules that are named explicitly must be exportable.
    let is_complete =
        without == 0 && (left_out == 0 || (args.ids.is_empty() && !written.is_empty()));
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// The suppressions of these files and folders; each names existing rules.
fn suppressions(paths: &[PathBuf], rules: &RuleSet) -> Result<Vec<Suppression>> {
    let mut suppressions = Vec::new();
    for document in rule_files::read_all(paths)? {
        let read = Suppression::read(&document, rules.options()).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow!("suppressions cannot be used:\n{}", lines.join("\n"))
        })?;
        suppressions.extend(read);
    }
    for suppression in &suppressions {
        let unknown = suppression.rules.iter().find(|rule| rules.find(rule).is_none());
        if let Some(rule) = unknown {
            let (name, rule) = (plain(&suppression.name), plain(rule));
            bail!("the suppression {name} names the rule {rule}, which does not exist");
        }
    }
    Ok(suppressions)
}

/// Reports why a rule is not exported.
fn explain(exported: &Exported) {
    if !exported.files.is_empty() {
        return;
    }
    let reasons: Vec<String> =
        exported.fidelity.reasons().iter().map(ToString::to_string).collect();
    let help = if exported.fidelity.is_refused() { "" } else { "; --allow-lossy writes it" };
    let (rule, fidelity) = (plain(&exported.rule), exported.fidelity.as_str());
    eprint_line(&format!("{rule} is left out ({fidelity}): {}{help}", plain(&reasons.join("; "))));
}

fn target(name: &str) -> Result<&'static dyn Target, UsageError> {
    export::named(name).ok_or_else(|| {
        let known: Vec<&str> = export::all().iter().map(|target| target.name()).collect();
        unknown("to", name, &known)
    })
}

fn profile(target: &dyn Target, name: Option<&str>) -> Result<&'static Profile, UsageError> {
    let profiles = target.profiles();
    let profile = profiles.iter().find(|profile| name.is_none_or(|name| profile.name == name));
    profile.ok_or_else(|| {
        let known: Vec<&str> = profiles.iter().map(|profile| profile.name).collect();
        unknown("profile", name.unwrap_or_default(), &known)
    })
}

fn format(target: &dyn Target, name: Option<&str>) -> Result<&'static Format, UsageError> {
    let formats = target.formats();
    let format = formats.iter().find(|format| name.is_none_or(|name| format.name == name));
    format.ok_or_else(|| {
        let known: Vec<&str> = formats.iter().map(|format| format.name).collect();
        unknown("format", name.unwrap_or_default(), &known)
    })
}

/// The named rules in the order of the set, or all that raise signals.
fn selected<'r>(rules: &'r RuleSet, ids: &[String]) -> Result<Vec<&'r Rule>, UsageError> {
    let mut named = Vec::new();
    for id in ids {
        let index = rules
            .find(id)
            .filter(|index| rules.rules().get(*index).is_some_and(|rule| rule.raises));
        let Some(index) = index else {
            let hint = "`keepwatch rules list` names those that raise signals";
            return Err(UsageError(vec![format!("there is no rule {id:?}: {hint}")]));
        };
        named.push(index);
    }
    let rules =
        rules.rules().iter().enumerate().filter(|(index, rule)| {
            if ids.is_empty() { rule.raises } else { named.contains(index) }
        });
    Ok(rules.map(|(_, rule)| rule).collect())
}
