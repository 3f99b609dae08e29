//! Microsoft Sentinel: scheduled analytics rules, as ARM templates and as Bicep.
//!
//! A rule runs at intervals over a look-back. Its query finds every window with an event of the
//! last interval, so windows slide and a threshold has the engine's meaning. Each run with results
//! raises alerts, which are grouped into one incident. Deliberately absent: API calls.

mod bicep;
mod combined;
mod kql;
mod limits;
mod profiles;
mod query;
mod rule;
mod title;
mod translate;

use super::fidelity::Reason;
use super::model::RuleModel;
use super::profile::Profile;
use super::target::{Choice, Draft, File, Format, Target};
use crate::ruleset::RuleSet;
use rule::Template;

/// The export target Microsoft Sentinel.
pub(super) struct Sentinel;

const FORMATS: [Format; 2] = [
    Format { name: "arm", title: "A template of Azure Resource Manager, which Sentinel imports" },
    Format { name: "bicep", title: "A Bicep file, for `az deployment group create`" },
];

impl Target for Sentinel {
    fn name(&self) -> &'static str {
        "sentinel"
    }

    fn title(&self) -> &'static str {
        "Microsoft Sentinel"
    }

    fn profiles(&self) -> &'static [Profile] {
        &profiles::PROFILES
    }

    fn formats(&self) -> &'static [Format] {
        &FORMATS
    }

    fn write(&self, model: &RuleModel<'_>, choice: &Choice<'_>) -> Result<Draft, Vec<Reason>> {
        let (rule, reasons) = translate::rule(model, choice.profile)?;
        limits::check(&rule).map_err(|reason| vec![reason])?;
        Ok(Draft { files: vec![file(&model.rule.id, rule, choice)], reasons })
    }

    fn package(&self, rules: &RuleSet, written: &[&str], choice: &Choice<'_>) -> Vec<File> {
        let rule = combined::rule(rules, written, choice.profile);
        rule.map(|rule| file(combined::ID, rule, choice)).into_iter().collect()
    }
}

fn file(id: &str, rule: rule::Rule, choice: &Choice<'_>) -> File {
    let template = Template::of(id, rule);
    if choice.format.name == "bicep" {
        File { name: format!("{id}.bicep"), text: bicep::text(&template) }
    } else {
        File { name: format!("{id}.json"), text: template.json() }
    }
}
