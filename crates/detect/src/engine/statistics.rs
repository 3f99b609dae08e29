//! What can be asked about the engine.

use event::Timestamp;

use super::Engine;

/// What a rule did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleStatistics {
    /// Id of the rule.
    pub rule: String,
    /// Events that the engine saw, all of which the rule was there for.
    pub evaluated: u64,
    /// Events that counted for it.
    pub matched: u64,
    /// Signals that it opened.
    pub signals: u64,
    /// Signals that it did not open, because one that supersedes them was open.
    pub superseded: u64,
    /// Events that counted by a coarser key.
    pub coarse: u64,
    /// Time of the event that opened the last one.
    pub last_fired: Option<Timestamp>,
    /// Groups that it counts at the moment.
    pub groups: usize,
    /// Signals that are open at the moment.
    pub open: usize,
}

/// What a suppression hid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuppressionStatistics {
    /// Its name.
    pub suppression: String,
    /// Signals.
    pub signals: u64,
    /// Events that those would have told of.
    pub events: u64,
}

/// What happened in the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatistics {
    /// Events that came.
    pub events: u64,
    /// Events that a rule counted.
    pub hits: u64,
    /// Events that were counted already, and so were not counted again.
    pub duplicates: u64,
    /// Events that came later than their source may be late. They counted at their own time.
    pub late: u64,
    /// Events whose stamp was not believed.
    pub clamped: u64,
    /// Events that counted before their turn, because too many waited.
    pub released_early: u64,
    /// Identities that were let go before their time.
    pub identities_forgotten: u64,
    /// Identities that are remembered.
    pub identities: usize,
    /// Events that wait for their turn.
    pub waiting: usize,
    /// Bytes of the windows, about.
    pub state_bytes: usize,
    /// The latest arrival.
    pub clock: Option<Timestamp>,
}

impl Engine {
    /// What each rule did, in the order of the rule set.
    pub fn statistics(&self) -> Vec<RuleStatistics> {
        let rules = self.plan.rules.iter().zip(&self.state.tables);
        rules
            .map(|(rule, table)| RuleStatistics {
                rule: rule.id.clone(),
                evaluated: self.state.counters.events,
                matched: table.tally.matched,
                signals: table.tally.signals,
                superseded: table.tally.superseded,
                coarse: table.tally.coarse,
                last_fired: table.last_fired(),
                groups: table.windows.len() + table.silences.len(),
                open: table.episodes.len(),
            })
            .collect()
    }

    /// What each suppression hid, by name.
    pub fn suppression_statistics(&self) -> Vec<SuppressionStatistics> {
        let hidden = self.state.hidden.iter();
        hidden
            .map(|(name, (signals, events))| SuppressionStatistics {
                suppression: name.to_string(),
                signals: *signals,
                events: *events,
            })
            .collect()
    }

    /// What happened in the engine.
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
            state_bytes: state.held,
            clock: state.clock.now().map(Timestamp::from_micros),
        }
    }
}
