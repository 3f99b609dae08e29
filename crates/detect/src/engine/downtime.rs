//! Downtime of Keepwatch does not count as an absence of events.
//!
//! At startup, Keepwatch records its downtime for each source. An absence rule that matches the
//! record extends its time span by the downtime. The record does not count as an event of the rule.

use event::annotations::DOWNTIME;
use event::{EventRef, InternalEvent, Timestamp};

use super::hit::Hit;
use super::plan::PlannedBody;
use super::state::{State, StepContext};
use super::table::group_key;

/// A downtime of Keepwatch, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Downtime {
    from: i64,
    until: i64,
}

impl Downtime {
    /// The downtime that an internal event reports; `None` for other events.
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
    /// Extends the timers of the absence rules that a hit matches. `lateness` is the largest
    /// lateness bound of all sources.
    pub(crate) fn prolong_absences(
        &mut self,
        context: &mut StepContext<'_>,
        hit: &Hit,
        Downtime { from, until }: Downtime,
        lateness: i64,
    ) {
        // Count the waiting events from before the downtime first.
        if self.clock.now().is_some() {
            self.act(context, Some(from.saturating_add(lateness).min(until)));
        }
        for part in &hit.parts {
            let rule = context.plan.rule(part.rule);
            if !rule.is_some_and(|rule| matches!(rule.body, PlannedBody::Absence(..))) {
                continue;
            }
            let Some(table) = self.tables.get_mut(part.rule as usize) else { continue };
            let absences = &table.absences;
            let (len, len_max) = (absences.len(), context.settings.limits.groups_per_rule);
            let at = group_key(&part.group, 0, |key| absences.contains_key(key), len, len_max);
            if let Some(absence) = table.absences.get_mut(&at.key)
                && !absence.is_raised
                && absence.last <= until
            {
                let downtime = until.saturating_sub(from.max(absence.last));
                absence.lateness = absence.lateness.saturating_add(downtime);
            }
        }
    }
}
