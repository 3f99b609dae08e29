//! Splunk: saved searches with alerts, and the app that contains them.
//!
//! A search runs at intervals over a look-back and reports every window with an event of the last
//! interval. `streamstats time_window=` makes windows slide, so a threshold has the engine's
//! meaning. Deliberately absent: alert actions, which are configured on the installed searches.

mod app;
mod profiles;
mod search;
mod spl;
mod stanza;
mod title;

use super::fidelity::Reason;
use super::model::RuleModel;
use super::profile::Profile;
use super::target::{Choice, Draft, File, Format, Target};
use crate::ruleset::RuleSet;

/// The export target Splunk.
pub(super) struct Splunk;

const FORMATS: [Format; 1] = [Format {
    name: "conf",
    title: "A stanza of savedsearches.conf each, and an app with all of them",
}];

impl Target for Splunk {
    fn name(&self) -> &'static str {
        "splunk"
    }

    fn title(&self) -> &'static str {
        "Splunk"
    }

    fn profiles(&self) -> &'static [Profile] {
        &profiles::PROFILES
    }

    fn formats(&self) -> &'static [Format] {
        &FORMATS
    }

    fn write(&self, model: &RuleModel<'_>, choice: &Choice<'_>) -> Result<Draft, Vec<Reason>> {
        let search = search::of(model, choice.profile).map_err(|reason| vec![reason])?;
        let (text, mut reasons) = stanza::text(model, &search);
        for reason in search.reasons {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        let name = format!("{}.conf", model.rule.id);
        Ok(Draft { files: vec![File { name, text }], reasons })
    }

    fn package(&self, rules: &RuleSet, written: &[&str], choice: &Choice<'_>) -> Vec<File> {
        let rules = written.iter().filter_map(|id| {
            let rule = rules.find(id).and_then(|at| rules.rules().get(at))?;
            // The caller exported this rule already, so differences are accepted.
            let exported = super::export(rules, rule, self, choice, true);
            Some(exported.files.into_iter().map(|file| file.text))
        });
        app::files(&rules.flatten().collect::<Vec<_>>(), choice.profile)
    }
}
