//! The time in which Keepwatch did not run is no silence of what it records.
//!
//! At its start, Keepwatch records for each source in which time it was away. An absence rule that
//! the record matches then waits longer by that time. The record does not count as an event of the
//! rule.

use event::annotations::DOWNTIME;
use event::{EventRef, InternalEvent, Timestamp};

use super::hit::Hit;
use super::plan::PlannedBody;
use super::state::{State, StepContext};
use super::table::group_key;

/// A time in which Keepwatch did not run, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Downtime {
    from: i64,
    until: i64,
}

impl Downtime {
    /// The time that an event of Keepwatch reports.
    pub(crate) fn of(event: &EventRef<'_>) -> Option<Self> {
        if event.internal() != Some(InternalEvent::Receipt) {
            return None;
        }
        let (from, until) = event.annotation(DOWNTIME)?.split_once('/')?;
        let micros = |text| Timestamp::parse(text).ok().map(Timestamp::as_micros);
        let (from, until) = (micros(from)?, micros(until)?);
        (from < until).then_some(Self { from, until })
    }
}

impl State {
    /// Lets the absence rules of a hit wait longer. `lateness` is the longest one of all sources.
    pub(crate) fn prolong_absences(
        &mut self,
        context: &mut StepContext<'_>,
        hit: &Hit,
        Downtime { from, until }: Downtime,
        lateness: i64,
    ) {
        // The events from before that wait for their turn.
        if self.clock.now().is_some() {
            self.act(context, Some(from.saturating_add(lateness).min(until)));
        }
        for part in &hit.parts {
            let rule = context.plan.rule(part.rule);
            if !rule.is_some_and(|rule| matches!(rule.body, PlannedBody::Absence(..))) {
                continue;
            }
            let Some(table) = self.tables.get_mut(part.rule as usize) else { continue };
            let silences = &table.silences;
            let (len, len_max) = (silences.len(), context.settings.limits.groups_per_rule);
            let at = group_key(&part.group, 0, |key| silences.contains_key(key), len, len_max);
            if let Some(silence) = table.silences.get_mut(&at.key)
                && !silence.is_raised
                && silence.last <= until
            {
                let away = until.saturating_sub(from.max(silence.last));
                silence.lateness = silence.lateness.saturating_add(away);
            }
        }
    }
}
