//! The limits of Microsoft's own validation of analytics rules.

use std::time::Duration;

use super::query::PERIOD_MAX;
use super::rule::Rule;
use crate::export::fidelity::{Reason, ReasonKind};

/// Maximum length of a query, in characters.
const QUERY_LEN_MAX: usize = 10_000;
/// Maximum length of a name, in characters.
const NAME_LEN_MAX: usize = 256;
/// Maximum length of a description, in characters.
pub(super) const DESCRIPTION_LEN_MAX: usize = 5_000;
/// Maximum number of custom details.
const DETAILS_MAX: usize = 20;
/// Maximum length of the key of a custom detail, in characters.
const DETAIL_LEN_MAX: usize = 20;
/// Maximum number of entity mappings, and of fields of each.
const ENTITIES_MAX: usize = 5;
const ENTITY_FIELDS_MAX: usize = 3;
/// Minimum interval and look-back.
const PERIOD_MIN: Duration = Duration::from_mins(5);
/// Look-back from which a rule runs at most once per hour.
const LONG_PERIOD: Duration = Duration::from_hours(48);
const LONG_PERIOD_FREQUENCY_MIN: Duration = Duration::from_hours(1);
const THRESHOLD_MAX: u32 = 10_000;

/// Checks that Sentinel accepts the rule.
pub(super) fn check(rule: &Rule) -> Result<(), Reason> {
    let is_key = |key: &str| {
        key.len() <= DETAIL_LEN_MAX
            && key.starts_with(|char: char| char.is_ascii_alphabetic())
            && key.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    let query = rule.query.chars().count();
    let (frequency, period) = (rule.query_frequency, rule.query_period);
    let bounds = [
        ((1..=QUERY_LEN_MAX).contains(&query), format!("a query of {query} characters")),
        ((1..=NAME_LEN_MAX).contains(&rule.display_name.chars().count()), "a long name".to_owned()),
        (rule.description.chars().count() <= DESCRIPTION_LEN_MAX, "a long description".to_owned()),
        (rule.custom_details.len() <= DETAILS_MAX, "many details".to_owned()),
        (rule.custom_details.keys().all(|key| is_key(key)), "the name of a detail".to_owned()),
        (
            (1..=ENTITIES_MAX).contains(&rule.entity_mappings.len())
                && rule
                    .entity_mappings
                    .iter()
                    .all(|mapping| (1..=ENTITY_FIELDS_MAX).contains(&mapping.field_mappings.len())),
            "the number of entities".to_owned(),
        ),
        (
            (PERIOD_MIN..=PERIOD_MAX).contains(&frequency)
                && (PERIOD_MIN..=PERIOD_MAX).contains(&period)
                && period >= frequency
                && (period < LONG_PERIOD || frequency >= LONG_PERIOD_FREQUENCY_MIN),
            "its interval and look-back".to_owned(),
        ),
        (rule.trigger_threshold <= THRESHOLD_MAX, "a high threshold".to_owned()),
    ];
    match bounds.into_iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(Reason::refusal(
            ReasonKind::Condition,
            format!("beyond the target's bounds: {what}"),
        )),
        None => Ok(()),
    }
}
