//! Measures how long it takes to match rules against events, on a sample of events.
//!
//! The aggregation of matches is not measured: nearly all time is spent on events that do not match.

use std::collections::BTreeMap;

use detect::RuleSet;
use event::EventRef;
use tokio::time::Instant;

/// One of this many events is measured.
pub const SAMPLE_PERIOD: u64 = 256;

/// Nanoseconds by rule.
#[derive(Default)]
pub(super) struct Costs {
    events: u64,
    samples: u64,
    nanoseconds: Vec<u64>,
}

impl Costs {
    /// Counts an event. Returns whether it has to be measured.
    pub(super) fn count(&mut self) -> bool {
        self.events += 1;
        // The first event is measured, so that there is a figure soon.
        self.events % SAMPLE_PERIOD == 1
    }

    /// Measures an event.
    pub(super) fn sample<'a>(
        &mut self,
        rules: &RuleSet,
        event: &'a EventRef<'a>,
        cluster: &'a str,
    ) {
        self.samples += 1;
        self.nanoseconds.resize(rules.rules().len(), 0);
        let start = Instant::now();
        let stopwatch = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        rules.measure(&rules.fields(event, cluster), stopwatch, |rule, elapsed| {
            if let Some(sum) = self.nanoseconds.get_mut(rule) {
                *sum = sum.saturating_add(elapsed);
            }
        });
    }

    /// Average nanoseconds per event, by the id of the rule.
    pub(super) fn by_rule(&self, rules: &RuleSet) -> BTreeMap<String, u64> {
        let costs = rules.rules().iter().zip(&self.nanoseconds);
        costs
            .filter_map(|(rule, sum)| Some((rule.id.clone(), sum.checked_div(self.samples)?)))
            .collect()
    }
}
