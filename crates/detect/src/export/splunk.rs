//! Splunk: saved searches that alert, and the app around them.
//!
//! A search runs at intervals over a look-back and tells of what an event of the last interval is in.
//! `streamstats time_window=` makes windows slide, so a threshold means what ours means. Deliberately
//! absent: where alerts go; that is set on the searches once they are there.

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

/// The target.
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
            // It was written, so it may be.
            let exported = super::export(rules, rule, self, choice, true);
            Some(exported.files.into_iter().map(|file| file.text))
        });
        app::files(&rules.flatten().collect::<Vec<_>>(), choice.profile)
    }
}
