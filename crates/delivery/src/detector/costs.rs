//! Measures how long it takes to match rules against events, on a sample of events.
//!
//! The aggregation of matches is not measured: nearly all time is spent on events that do not
//! match.

use std::collections::BTreeMap;
use std::time::Duration;

use detect::RuleSet;
use event::EventRef;
use tokio::time::Instant;

/// One in this many events is measured.
pub const SAMPLE_PERIOD: u64 = 256;
/// An event is also measured if no event was measured for this long, because rare events use other
/// rules than frequent ones.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(super) struct Costs {
    events: u64,
    sampled: Option<Instant>,
    /// By the index of the rule.
    rules: Vec<Cost>,
}

/// The measurements of one rule.
#[derive(Clone, Default)]
struct Cost {
    evaluations: u64,
    nanoseconds: u64,
}

impl Costs {
    /// Counts an event. Returns whether it has to be measured.
    pub(super) fn count(&mut self) -> bool {
        self.events += 1;
        self.events.is_multiple_of(SAMPLE_PERIOD)
            || self.sampled.is_none_or(|sampled| sampled.elapsed() >= SAMPLE_INTERVAL)
    }

    /// Measures an event.
    pub(super) fn sample<'a>(
        &mut self,
        rules: &RuleSet,
        event: &'a EventRef<'a>,
        cluster: &'a str,
    ) {
        self.rules.resize(rules.rules().len(), Cost::default());
        let start = Instant::now();
        self.sampled = Some(start);
        let stopwatch = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        rules.measure(&rules.fields(event, cluster), stopwatch, |rule, elapsed| {
            if let Some(cost) = self.rules.get_mut(rule) {
                cost.evaluations += 1;
                cost.nanoseconds = cost.nanoseconds.saturating_add(elapsed);
            }
        });
    }

    /// Average nanoseconds per evaluation, by the id of the rule.
    pub(super) fn by_rule(&self, rules: &RuleSet) -> BTreeMap<String, u64> {
        let costs = rules.rules().iter().zip(&self.rules);
        let average = |cost: &Cost| cost.nanoseconds.checked_div(cost.evaluations);
        costs.filter_map(|(rule, cost)| Some((rule.id.clone(), average(cost)?))).collect()
    }
}
