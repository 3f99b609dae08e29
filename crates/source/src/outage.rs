//! Outages: the times in which Keepwatch could not receive the events of a source for longer than its
//! sender repeats them. A gap event records each, because the sender may have dropped events.
//!
//! How many events were dropped is known only to the sender.

use std::sync::Arc;
use std::time::Duration;

use event::annotations::GAP_TIME;
use event::{Event, InternalEvent, Stage, Status, Timestamp};

use crate::convert::name_source;
use crate::{Recorder, SourceStatus};

/// A time in which no event of a source could be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    /// The time for which the sender repeats an event at least.
    pub(crate) patience: Duration,
}

impl Outage {
    /// `None` if the sender has repeated all events since.
    pub(crate) fn new(from: Timestamp, until: Timestamp, patience: Duration) -> Option<Self> {
        let micros = until.as_micros().saturating_sub(from.as_micros());
        let patience_micros = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
        (micros > patience_micros).then_some(Self { from, until, patience })
    }

    /// The gap event.
    fn event(self, source: &SourceStatus, why: &str) -> Event {
        let Self { from, until, patience } = self;
        let seconds = until.as_micros().saturating_sub(from.as_micros()) / 1_000_000;
        let message = format!(
            "{why} from {from} to {until}, {seconds} seconds: the sender repeats an event for {} \
             seconds at least, so events that it sent before may be lost; how many is not known here",
            patience.as_secs()
        );
        let gap = InternalEvent::Gap.event(Stage::ResponseComplete, source.name(), until);
        let audit_id = format!("keepwatch-gap-{}-{}", source.name(), until.as_micros());
        let status = Some(Status { message, ..Status::default() });
        let mut event = Event { audit_id, response_status: status, ..gap };
        name_source(&mut event, source);
        event.annotations.insert(GAP_TIME.to_owned(), format!("{from}/{until}"));
        event
    }
}

impl Recorder {
    /// Records a gap for each source that had delivered events before the server was stopped, if
    /// the server was away for too long.
    pub(crate) async fn report_downtime(&self, sources: &[Arc<SourceStatus>]) {
        let Some((stopped, delivered)) = self.before_start() else { return };
        for source in sources.iter().filter(|source| delivered.iter().any(|it| it == source.name()))
        {
            let outage = source
                .patience()
                .and_then(|patience| Outage::new(*stopped, self.started(), patience));
            if let Some(outage) = outage {
                self.report(source, outage, "Keepwatch recorded nothing").await;
            }
        }
    }

    /// Records a gap if the events of a source could not be recorded for too long until now.
    pub(crate) async fn report_unavailability(&self, source: &SourceStatus) {
        if let Some(outage) = source.take_outage(self.now()) {
            self.report(source, outage, "Keepwatch rejected the events").await;
        }
    }

    async fn report(&self, source: &SourceStatus, outage: Outage, why: &str) {
        let Outage { from, until, .. } = outage;
        tracing::warn!(source = source.name(), %from, %until, "{why}: some may be lost");
        if let Err(error) = self.append(&outage.event(source, why)).await {
            tracing::warn!(%error, "cannot record the gap of a source");
        }
    }
}
