//! How rules fare, written by the detector from time to time.

use std::collections::HashMap;

use apiserver::{ApiError, Objects};
use event::Timestamp;
use serde_json::Value;

use super::{DETECTION_RULES, rule_ids};
use crate::fields;

/// How one rule has fared since its state began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleStatistics {
    /// Identity of the rule.
    pub rule: String,
    /// Events it was tried on.
    pub evaluated: u64,
    /// Events that matched.
    pub matched: u64,
    /// Signals it has raised.
    pub signals: u64,
    /// When it last raised one.
    pub last_fired: Option<Timestamp>,
    /// Nanoseconds of computing time of one event, on average, if that is measured.
    pub cost: Option<u64>,
}

/// Writes the statistics into the objects that hold the rules. `errors` are reasons why an object is
/// not evaluated, by its name; without one, an earlier reason goes. Nothing is written of objects of
/// which nothing has changed. Every event is evaluated, so that number alone is written only when it
/// has doubled: otherwise an idle server would write all rules again and again.
pub fn record_statistics(
    objects: &mut Objects<'_>,
    statistics: &[RuleStatistics],
    errors: &[(String, String)],
) -> Result<(), ApiError> {
    let by_rule: HashMap<&str, &RuleStatistics> =
        statistics.iter().map(|one| (one.rule.as_str(), one)).collect();
    for stored in objects.list(DETECTION_RULES, None) {
        let mut rule = stored;
        let own: Vec<&RuleStatistics> =
            rule_ids(&rule).iter().filter_map(|id| by_rule.get(id).copied()).collect();
        let sum = |of: fn(&RuleStatistics) -> u64| own.iter().map(|one| of(one)).sum::<u64>();
        let last_fired = own.iter().filter_map(|one| one.last_fired).max();
        if !own.is_empty() {
            let (matched, signals) = (sum(|one| one.matched), sum(|one| one.signals));
            let evaluated = own.iter().map(|one| one.evaluated).max().unwrap_or_default();
            let stored = |path: &str| fields::value(&rule, path).and_then(Value::as_u64);
            let is_news = (stored("status.matched"), stored("status.signals"))
                != (Some(matched), Some(signals))
                || stored("status.evaluated").is_none_or(|before| {
                    evaluated < before || evaluated >= before.saturating_mul(2)
                });
            if is_news {
                fields::set(&mut rule, "status.evaluated", evaluated);
                fields::set(&mut rule, "status.matched", matched);
                fields::set(&mut rule, "status.signals", signals);
                // It is another one each time it is measured, and so no news by itself.
                let costs = own.iter().filter_map(|one| one.cost);
                if let Some(cost) = costs.reduce(u64::saturating_add) {
                    fields::set(&mut rule, "status.cost", cost);
                }
            }
        }
        if let Some(time) = last_fired {
            fields::set(&mut rule, "status.lastFired", time.to_string());
        }
        let name = fields::text(&rule, "metadata.name");
        match errors.iter().find(|(of, _)| of == name) {
            Some((_, error)) => fields::set(&mut rule, "status.error", error.as_str()),
            None => fields::remove(&mut rule, "status.error"),
        }
        objects.update(DETECTION_RULES, rule)?;
    }
    Ok(())
}
