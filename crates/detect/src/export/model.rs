//! The model of a rule for exports: queries, group-by, counts, time span and texts.
//!
//! It is built once per rule and profile, so that no target reads rules or computes fields.

use std::time::Duration;

use event::signal::Attack;
use event::{InternalEvent, Severity};

use super::condition::{Attribute, Condition};
use super::expand::{self, Expander};
use super::fidelity::{Effect, Reason, ReasonKind};
use super::profile::{Profile, Word};
use super::route;
use crate::engine::attack;
use crate::field::{Field, Path};
use crate::matcher::Dimension;
use crate::rule::{Body, Correlation, CorrelationKind, Rule};
use crate::ruleset::RuleSet;

/// Why exported rules do not compare with the object before a change.
const OLD_OBJECT: &str = "only they have the object before a change";

/// A rule that raises signals, and the detection rules that it counts.
#[derive(Clone, Debug)]
pub struct RuleModel<'r> {
    /// The rule, for its texts.
    pub rule: &'r Rule,
    /// Its queries: one for a detection rule, else one for each rule that a correlation counts, in
    /// order.
    pub queries: Vec<Query<'r>>,
    /// The group-by keys. The cluster is part of every group and is not listed.
    pub group_by: Vec<Key>,
    /// The counting of the rule.
    pub counts: Counts,
    /// Length of the window; zero for single events.
    pub timespan: Duration,
    /// Severity cases, most severe first; never empty.
    pub cases: Vec<SeverityCase>,
    /// Upper bound of the count, if the rule has one.
    pub at_most: Option<u64>,
    /// Tactics and techniques of ATT&CK 19.
    pub attack: Attack,
    /// Condition for K10 impersonating another user, who is then the `actor`.
    pub is_for_another: Condition,
    /// Differences that follow from the profile.
    pub reasons: Vec<Reason>,
    /// Differences that the exported description must list.
    pub differences: Vec<Reason>,
}

/// A query for the events of a detection rule.
#[derive(Clone, Debug)]
pub struct Query<'r> {
    /// The detection rule.
    pub rule: &'r Rule,
    /// Label of letters, digits and underscores; unique among the queries.
    pub label: String,
    /// Condition on the events.
    pub condition: Condition,
    /// The rule's group-by keys for this query: aliases differ.
    pub group_by: Vec<Key>,
}

/// A key of a group-by or of a value count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Name in the rule.
    pub name: String,
    /// The recorded field; for a computed user, the field of `user`.
    pub attribute: Attribute,
    /// The user whose field is read.
    pub who: Who,
}

/// A user of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The field itself determines the user, or is not of a user.
    Named,
    /// The impersonated user if present, else the user.
    Effective,
    /// The impersonated user if K10 impersonates it ([`RuleModel::is_for_another`]), else the user.
    Actor,
}

impl Key {
    /// The same field of the impersonated user.
    pub fn impersonated(&self) -> Attribute {
        let keys = self.attribute.keys();
        let rest = keys.iter().skip(1).copied();
        Attribute::of(std::iter::once("impersonatedUser").chain(rest).map(str::to_owned).collect())
    }
}

/// The counting of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Every single event.
    Single,
    /// Events with a new value.
    FirstSeen {
        /// The fields of the value.
        fields: Vec<Key>,
        /// Learning time after the first event, without signals.
        learning: Duration,
        /// Time after which a value is forgotten.
        forget_after: Duration,
    },
    /// Number of events.
    Events,
    /// Distinct values of a key.
    Values(Key),
    /// Queries with an event, in any order.
    Queries,
    /// One event of each query, in order.
    Sequence,
    /// Absence: no event for the time span after an event.
    Absence,
}

/// A severity case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeverityCase {
    /// Display name; may be empty.
    pub name: String,
    /// Severity of the signal.
    pub severity: Severity,
    /// Smallest count for which the case holds.
    pub at_least: u64,
}

impl<'r> RuleModel<'r> {
    /// Builds the model of a rule for a profile.
    pub fn of(rules: &'r RuleSet, rule: &'r Rule, profile: &Profile) -> Result<Self, Vec<Reason>> {
        let k10_namespace = rules.options().k10_namespace.as_str();
        let expander = Expander { k10_namespace, dry_run: profile.dry_run };
        let of_rule = |reason: Reason| vec![reason];
        let counted: Vec<&Rule> = match &rule.body {
            Body::Detection(_) => vec![rule],
            Body::Correlation(correlation) => {
                correlation.rules.iter().filter_map(|at| rules.rules().get(*at)).collect()
            }
        };
        let mut reasons = Vec::new();
        let mut queries = Vec::with_capacity(counted.len());
        for (index, part) in counted.iter().enumerate() {
            lacking(part, profile, &mut reasons);
            written_fields(part, &mut reasons);
            old_object(part, &mut reasons);
            let domain = &rules.options().k10_domain;
            let condition = expander.rule(part).map_err(of_rule)?;
            if condition == Condition::NEVER {
                // What remains without the admission webhook matches no event.
                return Err(of_rule(Reason::refusal(ReasonKind::OldObject, OLD_OBJECT)));
            }
            let condition = route::fitted(&condition, part, profile, domain, &mut reasons);
            queries.push(Query {
                rule: part,
                label: label(part, index, &counted),
                condition: condition.map_err(of_rule)?,
                group_by: keys(&fields(rule, index)).map_err(of_rule)?,
            });
        }
        let counts = counts(rule).map_err(of_rule)?;
        let domain = &rules.options().k10_domain;
        for query in &mut queries {
            let lacks = |key: &Key| route::lacks(&key.attribute, query.rule, profile, domain);
            keep_known(&mut query.group_by, &counts, &lacks, &mut reasons);
        }
        supersedes(rules, rule, &mut reasons);
        downtime(rules, rule, &mut reasons);
        let refusals: Vec<Reason> =
            reasons.iter().filter(|reason| reason.effect == Effect::Refusal).cloned().collect();
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let (timespan, count_min, count_max) = match &rule.body {
            Body::Detection(_) => (0, 1, u64::MAX),
            Body::Correlation(Correlation { timespan, condition, .. }) => {
                (*timespan, condition.at_least.max(1), condition.at_most)
            }
        };
        Ok(Self {
            rule,
            group_by: queries.first().map(|query| query.group_by.clone()).unwrap_or_default(),
            queries,
            counts,
            timespan: Duration::from_micros(u64::try_from(timespan).unwrap_or_default()),
            cases: cases(rule, count_min),
            at_most: (count_max != u64::MAX).then_some(count_max),
            attack: attack::of_tags(&rule.tags),
            is_for_another: expander.is_for_another(),
            reasons,
            differences: Vec::new(),
        })
    }

    /// The description in Markdown, with the differences of this export.
    pub fn description(&self) -> String {
        let mut text = self.rule.description.trim().to_owned();
        for reason in self
            .differences
            .iter()
            .filter(|reason| !matches!(reason.effect, Effect::None | Effect::Rare))
        {
            let direction = match reason.effect {
                Effect::Fewer => "finds less than the rule it is made of",
                Effect::More => "finds more than the rule it is made of",
                _ => "finds other things than the rule it is made of",
            };
            let separator = if text.is_empty() { "" } else { "\n\n" };
            text.extend([separator, "This export ", direction, ": ", &reason.to_string(), "."]);
        }
        text
    }

    /// Refuses queries with different group-by fields, for a target with one query for all.
    pub(super) fn check_groups(&self) -> Result<(), Reason> {
        if self.queries.iter().any(|query| query.group_by != self.group_by) {
            return Err(Reason::refusal(ReasonKind::Grouping, "by another field each"));
        }
        Ok(())
    }

    /// The label of the count.
    pub fn label(&self) -> &str {
        self.queries.first().map_or("", |query| &query.label)
    }
}

/// The group-by fields of the query with that index, with their names in the rule.
fn fields(rule: &Rule, index: usize) -> Vec<(String, &Field)> {
    match &rule.body {
        Body::Detection(_) => {
            rule.signal.group_by.iter().map(|field| (field.to_string(), field)).collect()
        }
        Body::Correlation(correlation) => correlation
            .group_by
            .iter()
            .filter_map(|group| Some((group.name.clone(), group.fields.get(index)?)))
            .collect(),
    }
}

/// Removes keys that the profile's events lack.
fn keep_known(
    group_by: &mut Vec<Key>,
    counts: &Counts,
    lacks: &dyn Fn(&Key) -> bool,
    reasons: &mut Vec<Reason>,
) {
    let counted = match counts {
        Counts::Values(key) => std::slice::from_ref(key),
        Counts::FirstSeen { fields, .. } => fields,
        _ => &[],
    };
    let counted = counted.iter().filter(|key| lacks(key));
    let mut missing: Vec<Reason> = counted
        .map(|key| Reason::refusal(ReasonKind::MissingField, key.attribute.to_string()))
        .collect();
    group_by.retain(|key| {
        let is_lacking = lacks(key);
        if is_lacking {
            let name = key.attribute.to_string();
            missing.push(match counts {
                Counts::Single => Reason::new(
                    ReasonKind::Grouping,
                    Effect::None,
                    format!("not by `{name}`, which events lack"),
                ),
                _ => Reason::refusal(ReasonKind::MissingField, name),
            });
        }
        !is_lacking
    });
    for reason in missing {
        reason.add_to(reasons);
    }
}

fn keys(fields: &[(String, &Field)]) -> Result<Vec<Key>, Reason> {
    fields.iter().map(|(name, field)| key(name, field)).collect()
}

/// The key of a field.
pub(super) fn key(name: &str, field: &Field) -> Result<Key, Reason> {
    let (who, attribute) = match field.path() {
        Path::EffectiveUser(user) => (Who::Effective, Path::User(user.clone())),
        Path::Actor(user) => (Who::Actor, Path::User(user.clone())),
        other => (Who::Named, other.clone()),
    };
    let attribute = match who {
        Who::Named => expand::raw(field)?,
        Who::Effective | Who::Actor => Attribute::of(attribute.v1_keys()),
    };
    Ok(Key { name: name.to_owned(), attribute, who })
}

fn counts(rule: &Rule) -> Result<Counts, Reason> {
    let time = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or_default());
    Ok(match &rule.body {
        Body::Detection(_) => match &rule.signal.first_seen {
            None => Counts::Single,
            Some(first_seen) => Counts::FirstSeen {
                fields: first_seen
                    .fields
                    .iter()
                    .map(|field| key(field.as_str(), field))
                    .collect::<Result<_, _>>()?,
                learning: time(first_seen.learning),
                forget_after: time(first_seen.forget_after),
            },
        },
        Body::Correlation(correlation) => match &correlation.kind {
            CorrelationKind::EventCount => Counts::Events,
            CorrelationKind::ValueCount(fields) => Counts::Values(counted_key(fields)?),
            CorrelationKind::Temporal => Counts::Queries,
            CorrelationKind::TemporalOrdered => Counts::Sequence,
            CorrelationKind::Absence => Counts::Absence,
        },
    })
}

/// The single key of a value count: SIEMs count the values of one field. Several fields of the
/// object reference are replaced by the request's path, which contains them.
fn counted_key(fields: &[Field]) -> Result<Key, Reason> {
    match fields {
        [field] => key(field.as_str(), field),
        several if several.iter().all(|field| matches!(field.path(), Path::ObjectRef(_))) => {
            let (name, attribute) = ("requestURI", Attribute::of(Path::RequestUri.v1_keys()));
            Ok(Key { name: name.to_owned(), attribute, who: Who::Named })
        }
        several => {
            let names: Vec<&str> = several.iter().map(Field::as_str).collect();
            let detail = format!("of {} together", names.join(" and "));
            Err(Reason::refusal(ReasonKind::NoDistinctCount, detail))
        }
    }
}

/// The rule's cases, followed by the rule's severity as the default.
fn cases(rule: &Rule, count_min: u64) -> Vec<SeverityCase> {
    let mut cases: Vec<SeverityCase> = rule
        .signal
        .cases
        .iter()
        .map(|case| SeverityCase {
            name: case.name.clone(),
            severity: case.severity,
            at_least: case.at_least.max(count_min),
        })
        .collect();
    // A case after one that always holds is unreachable.
    let end = cases.iter().position(|case| case.at_least <= count_min).map(|at| at + 1);
    cases.truncate(end.unwrap_or(cases.len()));
    if end.is_none() {
        let name = String::new();
        cases.push(SeverityCase { name, severity: rule.severity, at_least: count_min });
    }
    cases
}

/// The query's label, with its index if the label is not unique.
fn label(rule: &Rule, index: usize, all: &[&Rule]) -> String {
    let label = rule.signal.query.as_str();
    let count = all.iter().filter(|other| other.signal.query == label).count();
    if count > 1 { format!("{label}_{}", index + 1) } else { label.to_owned() }
}

/// Reports the rule's events that the profile lacks.
fn lacking(rule: &Rule, profile: &Profile, reasons: &mut Vec<Reason>) {
    let Body::Detection(expression) = &rule.body else { return };
    let requirements = expression.requirements();
    for lack in profile.lacks {
        let dimension = match lack.field {
            Word::Verb => Dimension::Verb,
            Word::ApiGroup => Dimension::ApiGroup,
        };
        let words = requirements.of_dimension(dimension);
        let missing = words.map(|words| words.iter().filter(|value| lack.covers(value)).count());
        let effect = match (missing, words) {
            (Some(0), _) => continue,
            (Some(missing), Some(words)) if missing == words.len() => Effect::Refusal,
            _ => Effect::Fewer,
        };
        Reason::new(ReasonKind::NotFed, effect, lack.what).add_to(reasons);
    }
}

/// Reports that a query does not recognize all requests that write a field.
fn written_fields(rule: &Rule, reasons: &mut Vec<Reason>) {
    let Body::Detection(expression) = &rule.body else { return };
    let effect = match expression.uses_of_writes() {
        (false, false) => return,
        (true, false) => Effect::Fewer,
        (false, true) => Effect::More,
        (true, true) => Effect::Either,
    };
    let detail = "a JSON patch of the whole document with another operation besides";
    Reason::new(ReasonKind::WrittenFields, effect, detail).add_to(reasons);
}

/// Reports that a query does not compare with the object before a change, which only events of the
/// admission webhook have.
fn old_object(rule: &Rule, reasons: &mut Vec<Reason>) {
    let Body::Detection(expression) = &rule.body else { return };
    if expression.names_old_object() {
        Reason::new(ReasonKind::OldObject, Effect::Fewer, OLD_OBJECT).add_to(reasons);
    }
}

/// Reports that the silence of a source includes the time in which Keepwatch did not run.
fn downtime(rules: &RuleSet, rule: &Rule, reasons: &mut Vec<Reason>) {
    let Body::Correlation(correlation) = &rule.body else { return };
    let is_receipt = |rule: &Rule| {
        let Body::Detection(expression) = &rule.body else { return false };
        let requirements = expression.requirements();
        let mut verbs = requirements.of_dimension(Dimension::Verb).into_iter().flatten();
        verbs.any(|verb| verb.eq_ignore_ascii_case(InternalEvent::Receipt.verb()))
    };
    let mut counted = correlation.rules.iter().filter_map(|index| rules.rules().get(*index));
    if matches!(correlation.kind, CorrelationKind::Absence) && counted.any(is_receipt) {
        Reason::new(ReasonKind::Downtime, Effect::More, "").add_to(reasons);
    }
}

/// Reports the rules that supersede this one.
fn supersedes(rules: &RuleSet, rule: &Rule, reasons: &mut Vec<Reason>) {
    let stricter: Vec<&str> = rules
        .rules()
        .iter()
        .filter(|other| other.signal.supersedes.contains(&rule.id))
        .map(|other| other.id.as_str())
        .collect();
    if !stricter.is_empty() {
        reasons.push(Reason::new(ReasonKind::Supersedes, Effect::More, stricter.join(", ")));
    }
}
