//! Suppressions for other systems: which events do not count for which rules, until when, and why.
//!
//! An event that is suppressed counts for nothing that is raised; so it is written as an event that the
//! rules of the other system leave out.

use event::Timestamp;

use super::condition::{Condition, Operator};
use super::expand::Expander;
use super::fidelity::{Fidelity, Reason};
use super::profile::Profile;
use super::target::{Choice, Target};
use super::{Exported, condition};
use crate::error::RuleError;
use crate::matcher::Expression;
use crate::ruleset::{Document, LoadOptions};
use crate::sigma;

/// A suppression as its object has it.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// Its name.
    pub name: String,
    /// The rules it is about; empty for every rule.
    pub rules: Vec<String>,
    /// Which events it is about.
    pub events: Expression,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// Where to read more; empty if nowhere.
    pub ticket: String,
}

impl Suppression {
    /// Reads a file of objects of the kind `Suppression`, or a list of them, as `kubectl` writes it.
    pub fn read(document: &Document, options: &LoadOptions) -> Result<Vec<Self>, Vec<RuleError>> {
        sigma::suppressions(document, options)
    }

    /// The events that do not count: none hides what is done to suppressions.
    pub(super) fn condition(
        &self,
        options: &LoadOptions,
        profile: &Profile,
    ) -> Result<Condition, Reason> {
        let expander = Expander { k10_namespace: &options.k10_namespace, dry_run: profile.dry_run };
        let events = expander.events(&self.events)?;
        let is_of_suppressions = Condition::All(vec![
            Condition::one_of("objectRef.apiGroup", &["siem.keepwatch.io"]),
            Condition::one_of("objectRef.resource", &["suppressions"]),
        ]);
        let names_another = matches!(&events, Condition::All(parts) if parts.iter().any(is_other));
        if names_another || is_other(&events) {
            return Ok(events);
        }
        Ok(Condition::All(vec![events, is_of_suppressions.negated()]).simplified())
    }

    /// For people: why, where to read more, and what differs.
    pub(super) fn description(&self, differences: &[Reason]) -> String {
        let mut text = self.reason.trim().to_owned();
        if !self.ticket.is_empty() {
            text.extend(["\n\n", self.ticket.as_str()]);
        }
        if !differences.is_empty() {
            let reasons: Vec<String> = differences.iter().map(ToString::to_string).collect();
            text.push_str("\n\nThis export does not hide the same events: ");
            text.push_str(&reasons.join("; "));
        }
        text
    }
}

/// Whether a part can only be met by what is done to something else than suppressions.
fn is_other(part: &Condition) -> bool {
    let Condition::Test(attribute, Operator::OneOf(texts, _)) = part else { return false };
    let resource = condition::Attribute::named("objectRef.resource");
    *attribute == resource && texts.iter().all(|text| text != "suppressions")
}

/// Writes one suppression.
pub fn export(
    suppression: &Suppression,
    target: &dyn Target,
    choice: &Choice<'_>,
    may_differ: bool,
) -> Exported {
    let rule = suppression.name.clone();
    let draft = match target.suppression(suppression, choice, &[]) {
        Ok(draft) => draft,
        Err(reasons) => {
            return Exported { rule, files: Vec::new(), fidelity: Fidelity::Refused(reasons) };
        }
    };
    let fidelity = Fidelity::of(draft.reasons.clone());
    if fidelity.is_same() {
        return Exported { rule, files: draft.files, fidelity };
    }
    let may_differ = may_differ && !fidelity.is_refused();
    let again = may_differ.then(|| target.suppression(suppression, choice, &draft.reasons).ok());
    let files = again.flatten().map(|draft| draft.files).unwrap_or_default();
    Exported { rule, files, fidelity }
}
