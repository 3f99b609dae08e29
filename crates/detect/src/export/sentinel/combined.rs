//! A rule for the deletion of restore points of every kind, with the name of K10's own rule for
//! Sentinel.
//!
//! It combines three rules, so it is disabled by default; enable it to replace them.

use std::time::Duration;

use super::limits;
use super::query;
use super::rule::{Rule, Severity};
use super::translate::frame;
use crate::export::condition::Condition;
use crate::export::model::{Query, RuleModel};
use crate::export::profile::Profile;
use crate::ruleset::RuleSet;

/// Id of the rule, and name of its file.
pub(super) const ID: &str = "kasten-restorepoint-resources-manually-deleted";
const NAME: &str = "Kasten RestorePoint Resources Manually Deleted";
/// The combined rules.
const PARTS: [&str; 3] = [
    "kasten-restorepoints-manually-deleted",
    "kasten-restorepointcontents-manually-deleted",
    "kasten-clusterrestorepoints-manually-deleted",
];
const LOOKBACK: Duration = Duration::from_hours(24);

/// The rule; `None` unless all of its parts are exported.
pub(super) fn rule(rules: &RuleSet, written: &[&str], profile: &Profile) -> Option<Rule> {
    if !PARTS.iter().all(|part| written.contains(part)) {
        return None;
    }
    let models: Vec<RuleModel<'_>> = PARTS
        .iter()
        .map(|part| {
            let rule = rules.find(part).and_then(|at| rules.rules().get(at))?;
            RuleModel::of(rules, rule, profile).ok()
        })
        .collect::<Option<_>>()?;
    let first = models.first()?;
    let conditions = models.iter().flat_map(|model| &model.queries);
    let condition =
        Condition::Any(conditions.map(|query| query.condition.clone()).collect()).simplified();
    let mut combined = first.clone();
    combined.queries = vec![Query { condition, ..first.queries.first()?.clone() }];
    let query::Query { text, frequency, period, groups, .. } =
        query::of(&combined, profile).ok()?;
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| {
            !line.starts_with("| extend AlertSeverity") && !line.starts_with("| extend AlertTitle")
        })
        .collect();
    let query = format!(
        "{}\n| extend AlertSeverity = iff(Resource == \"restorepoints\", \"Low\", \"High\"), \
         RuleSeverity = iff(Resource == \"restorepoints\", \"low\", \"high\")\n\
         | extend AlertTitle = strcat(Account, \" deleted \", Resource, \", count \", \
         tostring(Events))",
        lines.join("\n")
    );
    let description = "A person, or a service account that is not K10's, deleted restore points, \
                       their contents or cluster restore points. It finds what the three rules \
                       for these kinds find together: switch it on instead of them, not beside them."
        .to_owned();
    let attacks: Vec<_> = models.iter().map(|model| &model.attack).collect();
    let rule = Rule {
        query,
        query_frequency: frequency,
        query_period: period,
        enabled: false,
        ..frame(NAME, description, Severity::High, (&groups, LOOKBACK), &attacks)
    };
    limits::check(&rule).ok().map(|()| rule)
}
