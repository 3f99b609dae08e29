//! Exports rules to the languages of other SIEMs.
//!
//! A rule is first converted to a [`RuleModel`], which contains no computed fields. A target writes
//! the model and reports the differences. A rule that differs is exported only on request, and its
//! description then lists the differences.
//!
//! The module is pure: the caller writes the files.

pub mod attack;
pub mod condition;
pub mod dashboard;
mod datadog;
mod elastic;
mod expand;
mod falco;
mod fidelity;
mod hcl;
mod loki;
pub mod matrix;
mod model;
mod plain;
pub mod profile;
mod route;
mod sentinel;
mod sigma;
mod splunk;
pub mod suppression;
mod target;

pub use fidelity::{Effect, Fidelity, Reason, ReasonKind};
pub use model::{Counts, Key, Query, RuleModel, SeverityCase, Who};
pub use profile::Profile;
pub use suppression::Suppression;
pub use target::{Choice, Draft, File, Format, Target, all, named};

use crate::rule::Rule;
use crate::ruleset::RuleSet;

/// An exported rule.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Id of the rule.
    pub rule: String,
    /// Files of the rule. Empty if the rule is refused, or if it differs and that was not
    /// requested.
    pub files: Vec<File>,
    /// Comparison with the engine's rule.
    pub fidelity: Fidelity,
}

/// Exports one rule that raises signals.
pub fn export(
    rules: &RuleSet,
    rule: &Rule,
    target: &dyn Target,
    choice: &Choice<'_>,
    may_differ: bool,
) -> Exported {
    let id = rule.id.clone();
    let refused = |reasons| Exported {
        rule: id.clone(),
        files: Vec::new(),
        fidelity: Fidelity::Refused(reasons),
    };
    let mut model = match RuleModel::of(rules, rule, choice.profile) {
        Ok(model) => model,
        Err(reasons) => return refused(reasons),
    };
    let output = match target.write(&model, choice) {
        Ok(output) => output,
        Err(reasons) => return refused(reasons),
    };
    let mut reasons = model.reasons.clone();
    for reason in output.reasons {
        reason.add_to(&mut reasons);
    }
    let fidelity = Fidelity::of(reasons.clone());
    if fidelity.is_same() {
        return Exported { rule: id, files: output.files, fidelity };
    }
    if !may_differ || fidelity.is_refused() {
        return Exported { rule: id, files: Vec::new(), fidelity };
    }
    model.differences = reasons;
    match target.write(&model, choice) {
        Ok(output) => Exported { rule: id, files: output.files, fidelity },
        Err(reasons) => refused(reasons),
    }
}

/// The rules that can be exported: those that raise signals, in the order of the set.
pub fn raising(rules: &RuleSet) -> impl Iterator<Item = &Rule> {
    rules.rules().iter().filter(|rule| rule.raises)
}
