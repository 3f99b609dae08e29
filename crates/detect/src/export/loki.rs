//! Loki: rules for its ruler, in `LogQL`.
//!
//! Ranges end at each evaluation, so counts slide by the group's interval. Queries list the fields,
//! because the parser without a list would turn every field of a body into a label. Deliberately
//! absent: sequences, which the language does not support.

mod dashboard;
mod profiles;
mod query;
mod rule;
mod stage;

use super::fidelity::Reason;
use super::model::RuleModel;
use super::profile::Profile;
use super::target::{Choice, Draft, File, Format, Target};

/// The export target Loki.
pub(super) struct Loki;

const FORMATS: [Format; 1] =
    [Format { name: "yaml", title: "A file of rule groups for the ruler, as `lokitool` loads it" }];

/// The dashboards for a profile.
pub(super) fn dashboards(profile: &str) -> Vec<File> {
    let profile = profiles::PROFILES.iter().find(|known| known.name == profile);
    profile.map(dashboard::of).into_iter().collect()
}

impl Target for Loki {
    fn name(&self) -> &'static str {
        "loki"
    }

    fn title(&self) -> &'static str {
        "Grafana Loki"
    }

    fn profiles(&self) -> &'static [Profile] {
        &profiles::PROFILES
    }

    fn formats(&self) -> &'static [Format] {
        &FORMATS
    }

    fn write(&self, model: &RuleModel<'_>, choice: &Choice<'_>) -> Result<Draft, Vec<Reason>> {
        let (search, reasons) = query::of(model, choice.profile)?;
        let text = rule::yaml(model, &search);
        Ok(Draft { files: vec![File { name: format!("{}.yaml", model.rule.id), text }], reasons })
    }
}
