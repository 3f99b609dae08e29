//! Exports suppressions to other systems.
//!
//! A suppressed event raises no signal, so the exported suppression excludes the event from the
//! rules of the other system.

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

/// A `Suppression` object.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// Name of the object.
    pub name: String,
    /// Ids of the suppressed rules; empty for every rule.
    pub rules: Vec<String>,
    /// Condition on the events.
    pub events: Expression,
    /// Time of expiry.
    pub expires_at: Timestamp,
    /// Reason, as free text.
    pub reason: String,
    /// Reference to a ticket; may be empty.
    pub ticket: String,
}

impl Suppression {
    /// Parses a file of `Suppression` objects, or a list of them, as `kubectl` writes it.
    pub fn read(document: &Document, options: &LoadOptions) -> Result<Vec<Self>, Vec<RuleError>> {
        sigma::suppressions(document, options)
    }

    /// The condition of the excluded events. Requests that change suppressions are never excluded.
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

    /// The description: reason, ticket, and differences.
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

/// Whether a part can match only requests for objects other than suppressions.
fn is_other(part: &Condition) -> bool {
    let Condition::Test(attribute, Operator::OneOf(texts, _)) = part else { return false };
    let resource = condition::Attribute::named("objectRef.resource");
    *attribute == resource && texts.iter().all(|text| text != "suppressions")
}

/// Exports one suppression.
pub fn export(
    suppression: &Suppression,
    target: &dyn Target,
    choice: &Choice<'_>,
    may_differ: bool,
) -> Exported {
    let rule = suppression.name.clone();
    let output = match target.suppression(suppression, choice, &[]) {
        Ok(output) => output,
        Err(reasons) => {
            return Exported { rule, files: Vec::new(), fidelity: Fidelity::Refused(reasons) };
        }
    };
    let fidelity = Fidelity::of(output.reasons.clone());
    if fidelity.is_same() {
        return Exported { rule, files: output.files, fidelity };
    }
    let may_differ = may_differ && !fidelity.is_refused();
    let second = may_differ.then(|| target.suppression(suppression, choice, &output.reasons).ok());
    let files = second.flatten().map(|output| output.files).unwrap_or_default();
    Exported { rule, files, fidelity }
}
