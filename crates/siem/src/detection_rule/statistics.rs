//! Statistics of rules, which the detector writes periodically.

use std::collections::HashMap;

use apimachinery::{ApiError, fields};
use apiserver::Objects;
use event::Timestamp;
use serde_json::Value;

use super::{DETECTION_RULES, rule_ids};

/// Statistics of one rule since its state began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleStatistics {
    /// Id of the rule.
    pub rule: String,
    /// Number of events on which it was evaluated.
    pub evaluated: u64,
    /// Number of events that matched.
    pub matched: u64,
    /// Number of signals that it raised.
    pub signals: u64,
    /// Time of its last signal.
    pub last_fired: Option<Timestamp>,
    /// Average CPU time per event in nanoseconds, if measured.
    pub cost: Option<u64>,
}

/// Writes the statistics to the status of the rules' objects. `errors` are pairs of an object's
/// name and the reason why it is not evaluated; an object without a pair gets no error. Unchanged
/// objects are not written. Every event is evaluated, so a new `evaluated` alone is written only
/// when it has doubled: otherwise an idle server would write all rules repeatedly.
pub fn record_statistics(
    objects: &mut Objects<'_>,
    statistics: &[RuleStatistics],
    errors: &[(String, String)],
) -> Result<(), ApiError> {
    let by_rule: HashMap<&str, &RuleStatistics> =
        statistics.iter().map(|entry| (entry.rule.as_str(), entry)).collect();
    for stored in objects.list(DETECTION_RULES, None) {
        let mut rule = stored;
        let of_object: Vec<&RuleStatistics> =
            rule_ids(&rule).iter().filter_map(|id| by_rule.get(id).copied()).collect();
        let sum = |count: fn(&RuleStatistics) -> u64| {
            of_object.iter().map(|entry| count(entry)).sum::<u64>()
        };
        let last_fired = of_object.iter().filter_map(|entry| entry.last_fired).max();
        if !of_object.is_empty() {
            let (matched, signals) = (sum(|entry| entry.matched), sum(|entry| entry.signals));
            let evaluated = of_object.iter().map(|entry| entry.evaluated).max().unwrap_or_default();
            let stored = |path: &str| fields::value(&rule, path).and_then(Value::as_u64);
            let has_changed = (stored("status.matched"), stored("status.signals"))
                != (Some(matched), Some(signals))
                || stored("status.evaluated").is_none_or(|before| {
                    evaluated < before || evaluated >= before.saturating_mul(2)
                });
            if has_changed {
                fields::set(&mut rule, "status.evaluated", evaluated);
                fields::set(&mut rule, "status.matched", matched);
                fields::set(&mut rule, "status.signals", signals);
                // The cost differs at each measurement, so it alone does not cause a write.
                let costs = of_object.iter().filter_map(|entry| entry.cost);
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
