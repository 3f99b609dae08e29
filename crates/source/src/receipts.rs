//! Receipts: an event for each source that delivered since the last one, so that a source that stops
//! delivering is noticed. A source that delivers rarely leaves them as long as that is normal.
//!
//! A rule on the absence of the source's own events would have to examine each of them.

use std::sync::Arc;
use std::time::Duration;

use event::annotations::{DOWNTIME, SOURCE_EVENTS};
use event::{Event, InternalEvent, Stage, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::convert::name_source;
use crate::{Recorder, SourceStatus};

/// Interval at which receipts are recorded.
pub const RECEIPT_PERIOD: Duration = Duration::from_mins(1);

/// Records what may have been lost before the start, and then receipts in each period, and outages
/// when they are over, until `stop`.
pub async fn run_receipts(
    sources: Vec<Arc<SourceStatus>>,
    recorder: Arc<Recorder>,
    period: Duration,
    stop: CancellationToken,
) {
    recorder.report_downtime(&sources).await;
    let with_receipts: Vec<Arc<SourceStatus>> =
        sources.iter().filter(|source| source.has_receipts()).cloned().collect();
    let mut receipts = Receipts { recorded: vec![0; with_receipts.len()], sources: with_receipts };
    let mut due = tokio::time::interval(period);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_due = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = due.tick() => true,
            () = recorder.outage_noted() => false,
        };
        recorder.keep_outages(&sources).await;
        if is_due {
            receipts.record(&recorder).await;
        }
    }
}

/// Records for each source in which time before the start the server did not run, so that this does
/// not count as a silence of the source. To be called before the detector reads on.
pub async fn record_downtime(sources: &[Arc<SourceStatus>], recorder: &Recorder) {
    let Some(stopped) = recorder.before_start() else { return };
    let started = recorder.started();
    let micros = started.as_micros().saturating_sub(stopped.as_micros());
    if micros < i64::try_from(RECEIPT_PERIOD.as_micros()).unwrap_or(i64::MAX) {
        return;
    }
    for source in sources {
        let mut event = receipt(source, 0, started);
        event.annotations.insert(DOWNTIME.to_owned(), format!("{stopped}/{started}"));
        if let Err(error) = recorder.append_own(&event).await {
            tracing::warn!(%error, "a source may seem silent, because the downtime is not recorded");
        }
    }
}

/// The sources, and how many events of each were recorded at its last receipt.
struct Receipts {
    sources: Vec<Arc<SourceStatus>>,
    recorded: Vec<u64>,
}

impl Receipts {
    async fn record(&mut self, recorder: &Recorder) {
        for (source, recorded) in self.sources.iter().zip(&mut self.recorded) {
            let current = source.snapshot().recorded;
            if current == *recorded && !source.is_quiet(recorder.now()) {
                continue;
            }
            match recorder.append(&receipt(source, current, recorder.now())).await {
                Ok(()) => *recorded = current,
                Err(error) => tracing::warn!(%error, "cannot record the receipt of a source"),
            }
        }
    }
}

fn receipt(source: &SourceStatus, recorded: u64, time: Timestamp) -> Event {
    let receipt = InternalEvent::Receipt.event(Stage::ResponseComplete, source.name(), time);
    let audit_id = format!("keepwatch-receive-{}-{}", source.name(), time.as_micros());
    let mut event = Event { audit_id, ..receipt };
    name_source(&mut event, source);
    event.annotations.insert(SOURCE_EVENTS.to_owned(), recorded.to_string());
    event
}
