//! Datadog Cloud SIEM: rules for its API, and for Terraform.
//!
//! Datadog's windows slide, and a missing group-by value forms a separate group; therefore a
//! threshold has the engine's meaning, up to a window of a day. Deliberately absent: API calls.

mod dashboard;
mod profiles;
mod query;
mod rule;
mod suppression;
mod terraform;
mod text;
mod translate;

use super::fidelity::Reason;
use super::model::RuleModel;
use super::profile::Profile;
use super::suppression::Suppression;
use super::target::{Choice, Draft, File, Format, Target};
use crate::ruleset::RuleSet;

/// The export target Datadog.
pub(super) struct Datadog;

const FORMATS: [Format; 2] = [
    Format { name: "json", title: "The body of a request to create a rule" },
    Format { name: "terraform", title: "A resource of Datadog's provider" },
];

/// Terraform's declaration of the provider.
const PROVIDER: &str = r#"terraform {
  required_providers {
    datadog = {
      source = "DataDog/datadog"
    }
  }
}
"#;

/// The dashboards for a profile.
pub(super) fn dashboards(profile: &str) -> Vec<File> {
    let profile = profiles::PROFILES.iter().find(|known| known.name == profile);
    profile.map(dashboard::of).into_iter().collect()
}

impl Target for Datadog {
    fn name(&self) -> &'static str {
        "datadog"
    }

    fn title(&self) -> &'static str {
        "Datadog Cloud SIEM"
    }

    fn profiles(&self) -> &'static [Profile] {
        &profiles::PROFILES
    }

    fn formats(&self) -> &'static [Format] {
        &FORMATS
    }

    fn write(&self, model: &RuleModel<'_>, choice: &Choice<'_>) -> Result<Draft, Vec<Reason>> {
        let (mut rule, reasons) = translate::rule(model, choice.profile)?;
        let id = &model.rule.id;
        if choice.has_suppressions {
            rule.tags.push(format!("{}:{id}", suppression::TAG));
        }
        let (name, text) = match choice.format.name {
            "terraform" => (format!("{id}.tf"), terraform::resource(id, &rule)),
            _ => (format!("{id}.json"), rule.json()),
        };
        Ok(Draft { files: vec![File { name, text }], reasons })
    }

    fn suppression(
        &self,
        suppression: &Suppression,
        choice: &Choice<'_>,
        differences: &[Reason],
    ) -> Result<Draft, Vec<Reason>> {
        suppression::draft(suppression, choice, differences)
    }

    fn package(&self, _rules: &RuleSet, _written: &[&str], choice: &Choice<'_>) -> Vec<File> {
        let provider = File { name: "versions.tf".to_owned(), text: PROVIDER.to_owned() };
        if choice.format.name == "terraform" { vec![provider] } else { Vec::new() }
    }
}
