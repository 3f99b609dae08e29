//! Removes the tests of fields that a profile lacks from conditions, so that no query uses a
//! missing field.

use super::condition::{Attribute, Condition, Operator};
use super::fidelity::{Effect, Reason, ReasonKind};
use super::profile::{Bodies, Column, Profile};
use crate::matcher::Dimension;
use crate::rule::{Body, Rule};

/// K10's aggregated API groups, without the domain.
const AGGREGATED: [&str; 6] =
    ["actions.", "apps.", "datamover.", "repositories.", "reporting.", "vault."];
/// API groups of other aggregated API servers: Keepwatch's and Stash's.
const AGGREGATED_OTHERS: [&str; 2] = ["repositories.stash.appscode.com", "siem.keepwatch.io"];

/// Which events of a rule have bodies.
#[derive(Clone, Copy, PartialEq)]
enum WithBodies {
    All,
    /// Those of API groups that are not aggregated.
    Some,
    None,
}

/// Fits the condition of a rule to the fields that the profile's events have.
pub(super) fn fitted(
    condition: &Condition,
    rule: &Rule,
    profile: &Profile,
    k10_domain: &str,
    reasons: &mut Vec<Reason>,
) -> Result<Condition, Reason> {
    let with_bodies = with_bodies(rule, profile, k10_domain);
    let mut missing = Vec::new();
    if with_bodies == WithBodies::Some {
        // The tests remain, and hold for the other events. Only the differences are collected.
        let is_missing = |attribute: &Attribute| is_missing(attribute, profile, false);
        without(condition, &is_missing, Effect::Fewer, &mut missing);
    }
    let has_bodies = with_bodies != WithBodies::None;
    let is_missing = |attribute: &Attribute| is_missing(attribute, profile, has_bodies);
    let fitted = without(condition, &is_missing, Effect::Fewer, &mut missing).simplified();
    if fitted == Condition::NEVER && *condition != Condition::NEVER {
        let names: Vec<String> = missing.iter().map(|reason| reason.detail.clone()).collect();
        return Err(Reason::refusal(ReasonKind::MissingField, names.join(", ")));
    }
    for reason in missing {
        reason.add_to(reasons);
    }
    Ok(fitted)
}

/// Whether the rule's events lack a field with this profile.
pub(super) fn lacks(
    attribute: &Attribute,
    rule: &Rule,
    profile: &Profile,
    k10_domain: &str,
) -> bool {
    let has_bodies = with_bodies(rule, profile, k10_domain) == WithBodies::All;
    is_missing(attribute, profile, has_bodies)
}

fn with_bodies(rule: &Rule, profile: &Profile, k10_domain: &str) -> WithBodies {
    match profile.bodies {
        Bodies::All => WithBodies::All,
        Bodies::NotOfAggregated => with_bodies_of_groups(rule, k10_domain),
        Bodies::None => WithBodies::None,
    }
}

fn is_missing(attribute: &Attribute, profile: &Profile, has_bodies: bool) -> bool {
    let is_body = attribute.is_of_body() || is_whole_body(attribute);
    (is_body && !has_bodies) || (profile.column)(attribute) == Column::Missing
}

fn is_whole_body(attribute: &Attribute) -> bool {
    matches!(attribute.keys().as_slice(), ["requestObject" | "responseObject"])
}

/// Which events have bodies if kube-apiserver does not read those of aggregated API groups.
fn with_bodies_of_groups(rule: &Rule, k10_domain: &str) -> WithBodies {
    let Body::Detection(expression) = &rule.body else {
        return WithBodies::All;
    };
    let requirements = expression.requirements();
    let is_aggregated = |group: &String| {
        let of_k10 = group.strip_suffix(k10_domain);
        AGGREGATED_OTHERS.contains(&group.as_str())
            || of_k10.is_some_and(|prefix| AGGREGATED.contains(&prefix))
    };
    let groups = requirements.of_dimension(Dimension::ApiGroup).into_iter().flatten();
    let (aggregated, others): (Vec<_>, Vec<_>) = groups.partition(|group| is_aggregated(group));
    match (aggregated.is_empty(), others.is_empty()) {
        (true, _) => WithBodies::All,
        (false, true) => WithBodies::None,
        (false, false) => WithBodies::Some,
    }
}

/// Replaces a test of a missing field, which never holds; `effect` is the result for detection.
fn without(
    condition: &Condition,
    is_missing: &dyn Fn(&Attribute) -> bool,
    effect: Effect,
    missing: &mut Vec<Reason>,
) -> Condition {
    let mut parts = |parts: &[Condition]| -> Vec<Condition> {
        parts.iter().map(|part| without(part, is_missing, effect, missing)).collect()
    };
    match condition {
        Condition::All(all) => Condition::All(parts(all)),
        Condition::Any(any) => Condition::Any(parts(any)),
        Condition::Not(inner) => {
            let other = if effect == Effect::Fewer { Effect::More } else { Effect::Fewer };
            without(inner, is_missing, other, missing).negated()
        }
        Condition::Test(attribute, operator) => {
            let compared = match operator {
                Operator::SameAs(other, _) if is_missing(other) => Some(other),
                _ => is_missing(attribute).then_some(attribute),
            };
            let Some(compared) = compared else {
                return condition.clone();
            };
            let is_dry_run =
                *compared == Attribute::named("requestObject.dryRun") || is_whole_body(compared);
            let reason = if is_dry_run {
                let detail = "dry runs of deletions match too";
                Reason::new(ReasonKind::DryRun, Effect::More, detail)
            } else {
                Reason::new(ReasonKind::MissingField, effect, compared.to_string())
            };
            if !missing.contains(&reason) {
                missing.push(reason);
            }
            Condition::NEVER
        }
    }
}
