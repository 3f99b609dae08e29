//! Statistics of the engine.

use event::Timestamp;

use super::Engine;

/// Statistics of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleStatistics {
    /// Id of the rule.
    pub rule: String,
    /// Number of events that the engine processed while it had the rule.
    pub evaluated: u64,
    /// Number of events that counted for the rule.
    pub matched: u64,
    /// Number of opened signals.
    pub signals: u64,
    /// Number of signals that were not opened because a superseding signal was open.
    pub superseded: u64,
    /// Number of events that counted by a coarser group because of a limit.
    pub coarse: u64,
    /// Time of the event that opened the last signal.
    pub last_fired: Option<Timestamp>,
    /// Current number of groups.
    pub groups: usize,
    /// Current number of open signals.
    pub open: usize,
}

/// Statistics of one suppression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuppressionStatistics {
    /// Name of the suppression.
    pub suppression: String,
    /// Number of suppressed signals.
    pub signals: u64,
    /// Number of events in the suppressed signals.
    pub events: u64,
}

/// Statistics of the whole engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatistics {
    /// Number of processed events.
    pub events: u64,
    /// Number of events that matched a rule.
    pub hits: u64,
    /// Number of dropped duplicates.
    pub duplicates: u64,
    /// Number of events that exceeded the lateness bound. They counted at their own time.
    pub late: u64,
    /// Number of events whose timestamp was rejected.
    pub clamped: u64,
    /// Number of events that counted early, because too many waited.
    pub released_early: u64,
    /// Number of identities evicted before their time.
    pub identities_forgotten: u64,
    /// Current number of remembered identities.
    pub identities: usize,
    /// Current number of waiting events.
    pub waiting: usize,
    /// Approximate size of the windows, in bytes.
    pub state_bytes: usize,
    /// The clock: the latest arrival.
    pub clock: Option<Timestamp>,
}

impl Engine {
    /// Statistics of each rule, in the order of the rule set.
    pub fn statistics(&self) -> Vec<RuleStatistics> {
        let rules = self.plan.rules.iter().zip(&self.state.tables);
        rules
            .map(|(rule, table)| RuleStatistics {
                rule: rule.id.clone(),
                evaluated: self.state.counters.events,
                matched: table.counters.matched,
                signals: table.counters.signals,
                superseded: table.counters.superseded,
                coarse: table.counters.coarse,
                last_fired: table.last_fired(),
                groups: table.windows.len() + table.absences.len(),
                open: table.open_signals.len(),
            })
            .collect()
    }

    /// Statistics of each suppression, by name.
    pub fn suppression_statistics(&self) -> Vec<SuppressionStatistics> {
        let suppressed = self.state.suppressed.iter();
        suppressed
            .map(|(name, (signals, events))| SuppressionStatistics {
                suppression: name.to_string(),
                signals: *signals,
                events: *events,
            })
            .collect()
    }

    /// Statistics of the whole engine.
    pub fn engine_statistics(&self) -> EngineStatistics {
        let state = &self.state;
        EngineStatistics {
            events: state.counters.events,
            hits: state.counters.hits,
            duplicates: state.counters.duplicates,
            late: state.counters.late,
            clamped: state.counters.clamped,
            released_early: state.counters.released_early,
            identities_forgotten: state.identities.forgotten,
            identities: state.identities.len(),
            waiting: state.waiting.hits().len(),
            state_bytes: state.windows_len,
            clock: state.clock.now().map(Timestamp::from_micros),
        }
    }
}
