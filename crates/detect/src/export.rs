//! Rules out: the rules of the engine in the languages of other SIEMs.
//!
//! A rule is first brought into a form that no target has to compute anything of ([`RuleModel`]). A
//! target writes it, and says where it differs; what differs is not handed out unless that is asked
//! for, and then says so in its own description.
//!
//! Pure: what is done with the files is the caller's business.

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

/// A rule for a target.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The rule's id.
    pub rule: String,
    /// None when the rule is refused, or differs and that was not asked for.
    pub files: Vec<File>,
    /// How it compares with ours.
    pub fidelity: Fidelity,
}

/// Writes one rule that raises.
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
    let draft = match target.write(&model, choice) {
        Ok(draft) => draft,
        Err(reasons) => return refused(reasons),
    };
    let mut reasons = model.reasons.clone();
    for reason in draft.reasons {
        reason.add_to(&mut reasons);
    }
    let fidelity = Fidelity::of(reasons.clone());
    if fidelity.is_same() {
        return Exported { rule: id, files: draft.files, fidelity };
    }
    if !may_differ || fidelity.is_refused() {
        return Exported { rule: id, files: Vec::new(), fidelity };
    }
    model.differences = reasons;
    match target.write(&model, choice) {
        Ok(draft) => Exported { rule: id, files: draft.files, fidelity },
        Err(reasons) => refused(reasons),
    }
}

/// The rules that can be exported: those that raise, in the order of the set.
pub fn raising(rules: &RuleSet) -> impl Iterator<Item = &Rule> {
    rules.rules().iter().filter(|rule| rule.raises)
}
