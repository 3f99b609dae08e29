//! Detection over files: the server's engine, fed from inputs instead of the journal.

use anyhow::Result;
use detect::{Engine, Input, Settings, SignalChange, engine::Arrival};
use event::EventRef;

use crate::args::input::RuleArgs;
use crate::input::Next;
use crate::rule_files;

/// An engine with its rules.
pub(crate) struct Replay {
    engine: Engine,
    changes: Vec<SignalChange>,
}

impl Replay {
    /// Loads the rules that the flags name.
    pub(crate) fn open(args: &RuleArgs) -> Result<Self> {
        let rules = rule_files::load(args)?;
        let settings =
            Settings { lateness: args.lateness, arrival: Arrival::Stamped, ..Settings::default() };
        Ok(Self { engine: Engine::new(rules, settings), changes: Vec::new() })
    }

    /// Processes one event. Returns the changes of signals.
    pub(crate) fn process(&mut self, next: &Next) -> impl Iterator<Item = SignalChange> {
        let event = EventRef::from(&next.event);
        let input = Input {
            source: &next.source,
            cluster: &next.cluster,
            // The clock of this machine must not change the result.
            arrival: next.event.stage_timestamp,
            event: &event,
        };
        self.engine.process(&input, &mut self.changes);
        self.changes.drain(..)
    }

    /// Number of matching events that exceeded the allowed lateness.
    pub(crate) fn late(&self) -> u64 {
        self.engine.engine_statistics().late
    }

    /// Ends the input.
    pub(crate) fn finish(&mut self) -> impl Iterator<Item = SignalChange> {
        self.engine.finish(&mut self.changes);
        self.changes.drain(..)
    }
}
