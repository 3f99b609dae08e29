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

/// Time in which the last outages are recorded or stored at the end. A disk that does not respond must
/// not keep the server from stopping.
pub(crate) const FINAL_TIME_MAX: Duration = Duration::from_secs(3);

/// Records what may have been lost before the start, and then receipts in each period, and outages
/// when they are over, until `stop`. To be stopped after the sources, whose last requests may note an
/// outage.
pub async fn run_receipts(
    sources: Vec<Arc<SourceStatus>>,
    recorder: Arc<Recorder>,
    period: Duration,
    stop: CancellationToken,
) {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(FINAL_TIME_MAX).await;
    };
    tokio::select! {
        biased;
        () = record_until(&stop, &sources, &recorder, period) => {}
        () = late => tracing::warn!("outages of sources are not stored: the disk does not respond"),
    }
}

async fn record_until(
    stop: &CancellationToken,
    sources: &[Arc<SourceStatus>],
    recorder: &Recorder,
    period: Duration,
) {
    recorder.report_downtime(sources).await;
    let mut are_known = recorder.store_known(sources).await;
    let with_receipts: Vec<Arc<SourceStatus>> =
        sources.iter().filter(|source| source.has_receipts()).cloned().collect();
    let mut receipts = Receipts { recorded: vec![0; with_receipts.len()], sources: with_receipts };
    let mut due = tokio::time::interval(period);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_due = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = due.tick() => true,
            () = recorder.outage_noted() => false,
        };
        recorder.keep_outages(sources).await;
        if is_due {
            are_known = are_known || recorder.store_known(sources).await;
            receipts.record(recorder).await;
        }
    }
    recorder.keep_outages(sources).await;
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use store::{Settings, Sqlite, Storage as _};
    use tokio::task::JoinSet;

    use super::*;
    use crate::Form;

    struct FixedClock;

    impl apiserver::Clock for FixedClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(7)
        }
    }

    /// Regression: what the last review noted was lost, because nothing was stored after the signal to
    /// stop; and a disk that did not respond delayed the end by the time limit of each write.
    #[tokio::test]
    async fn what_the_last_request_noted_is_stored_at_the_end_unless_the_disk_does_not_respond() {
        for is_stuck in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("keepwatch.db");
            let store = Sqlite::open(&path, Settings::default(), Arc::new(|| 7)).unwrap();
            let storage = Arc::new(store.clone());
            let recorder =
                Recorder::open(storage, store.journal(), Arc::new(FixedClock), Form::Events);
            let recorder = recorder.await.unwrap();
            let source = SourceStatus::new("a", "b", "c").drops_after(Duration::ZERO);
            let source = Arc::new(source.without_receipts());
            let stop = CancellationToken::new();
            let period = Duration::from_hours(1);
            let (sources, stopped) = (vec![Arc::clone(&source)], stop.clone());
            let receipts = run_receipts(sources, Arc::clone(&recorder), period, stopped);
            let mut running = JoinSet::new();
            running.spawn(receipts);
            while recorder.objects("internal/sources/").await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            let (release, wait) = mpsc::channel::<()>();
            let blocked =
                is_stuck.then(|| store.submit(Box::new(move |_| wait.recv().unwrap_or_default())));
            if is_stuck {
                tokio::time::pause();
            }
            recorder.note_unavailability(&source);
            stop.cancel();
            let before = tokio::time::Instant::now();
            running.join_next().await.unwrap().unwrap();
            assert!(before.elapsed() <= FINAL_TIME_MAX * 2, "{is_stuck}");
            let stored = recorder.objects("internal/source-outages/").await.unwrap();
            assert_eq!(stored.is_empty(), is_stuck);
            drop(release);
            if let Some(blocked) = blocked {
                blocked.await.unwrap();
                tokio::time::resume();
            }
            store.close().await;
        }
    }
}
