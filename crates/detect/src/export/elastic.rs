//! Elastic Security: detection rules that Kibana imports, one NDJSON line per rule.
//!
//! Each rule uses the language that keeps its meaning: `KQL` for case-sensitive comparisons, EQL for
//! case-insensitive ones and for sequences, ES|QL for counts by groups, new terms for first-seen
//! rules. Deliberately absent: API calls, and actions, which belong to connectors.

mod dashboard;
mod eql;
mod esql;
mod kql;
mod profiles;
mod rule;
mod search;
mod threat;

use super::fidelity::Reason;
use super::model::RuleModel;
use super::profile::Profile;
use super::target::{Choice, Draft, File, Format, Target};
use crate::ruleset::RuleSet;

/// The export target Elastic Security.
pub(super) struct Elastic;

const FORMATS: [Format; 1] =
    [Format { name: "ndjson", title: "A rule as Kibana imports it, one line each" }];

/// The dashboards for a profile.
pub(super) fn dashboards(profile: &str) -> Vec<File> {
    let profile = profiles::PROFILES.iter().find(|known| known.name == profile);
    profile.map(dashboard::of).into_iter().collect()
}

impl Target for Elastic {
    fn name(&self) -> &'static str {
        "elastic"
    }

    fn title(&self) -> &'static str {
        "Elastic Security"
    }

    fn profiles(&self) -> &'static [Profile] {
        &profiles::PROFILES
    }

    fn formats(&self) -> &'static [Format] {
        &FORMATS
    }

    fn write(&self, model: &RuleModel<'_>, choice: &Choice<'_>) -> Result<Draft, Vec<Reason>> {
        let (search, reasons) = search::of(model, choice.profile)?;
        let rule = rule::json(model, choice.profile, &search);
        let name = format!("{}.ndjson", model.rule.id);
        Ok(Draft { files: vec![File { name, text: format!("{rule}\n") }], reasons })
    }

    fn package(&self, _rules: &RuleSet, _written: &[&str], choice: &Choice<'_>) -> Vec<File> {
        vec![profiles::mappings(choice.profile)]
    }
}
