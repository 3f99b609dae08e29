//! Outages: the times in which Keepwatch could not receive the events of a source for longer than its
//! sender repeats them. A gap event records each, because the sender may have dropped events.
//!
//! The beginning of such a time is stored until its gap event is recorded, so that neither a full
//! journal nor a restart loses it. While nothing can be written, the time of the newest record says
//! at the next start when it began. It is also stored which sources there are: at the next start,
//! the server was away from each of them, whether or not it had delivered events.
//!
//! A request only notes that events cannot be recorded, or can be again. What follows from that is
//! recorded and stored beside the requests, so that none waits for it.
//!
//! How many events were dropped is known only to the sender. What a sender says about itself does not
//! matter: a gap is recorded although the sender may still have the events, as `keepwatch forward`
//! does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::annotations::GAP_TIME;
use event::{Event, InternalEvent, Stage, Status, Timestamp, record};
use futures::FutureExt as _;
use futures::future::Shared;
use serde::{Deserialize, Serialize};
use store::{PendingCommit, StoreError};

use crate::convert::name_source;
use crate::limits::RECORD_TIME_MAX;
use crate::recorder::StoredObject;
use crate::{Recorder, SourceStatus, Transfer};

/// Where it is stored which sources there are whose senders drop events.
const KNOWN_PREFIX: &str = "internal/sources/";
/// Where it is stored since when the events of a source could not be recorded.
const STATE_PREFIX: &str = "internal/source-outages/";

/// The body of such an object.
#[derive(Serialize, Deserialize)]
struct Body {
    /// In microseconds since the Unix epoch.
    since: i64,
}

/// A time in which the events of a source could not be recorded, and which no gap event records
/// yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailability {
    pub(crate) since: Timestamp,
    /// `None` while it lasts.
    pub(crate) until: Option<Timestamp>,
    /// Its beginning is stored.
    pub(crate) is_stored: bool,
}

/// A gap event that was submitted, and whose commit has no outcome yet.
#[derive(Clone, Debug)]
pub(crate) struct PendingGap {
    unavailability: Unavailability,
    commit: Shared<PendingCommit>,
}

/// A time in which no event of a source could be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    from: Timestamp,
    until: Timestamp,
    /// The time for which the sender repeats an event at least.
    patience: Duration,
}

impl Unavailability {
    pub(crate) fn since(since: Timestamp) -> Self {
        Self { since, until: None, is_stored: false }
    }

    /// Both as one. Its beginning is stored again, because the later one may have replaced it.
    pub(crate) fn and(self, later: Self) -> Self {
        let since = self.since.min(later.since);
        let until = later.until.and(later.until.max(self.until));
        Self { since, until, is_stored: false }
    }
}

impl Outage {
    /// `None` if the sender has repeated all events since.
    pub(crate) fn new(from: Timestamp, until: Timestamp, patience: Duration) -> Option<Self> {
        let micros = until.as_micros().saturating_sub(from.as_micros());
        let patience_micros = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
        (micros > patience_micros).then_some(Self { from, until, patience })
    }

    /// The gap event.
    fn event(self, source: &SourceStatus) -> Event {
        let Self { from, until, patience } = self;
        let seconds = until.as_micros().saturating_sub(from.as_micros()) / 1_000_000;
        let message = format!(
            "Keepwatch recorded no events of this source from {from} to {until}, {seconds} seconds: \
             kube-apiserver repeats an event for {} seconds at least, so events that it sent before \
             may be lost; how many is not known here",
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
    /// Notes the times before the start in which the events of a source could not be recorded:
    /// what is stored, and for a source that the server had when it stopped, the time in which the
    /// server was away. Records a gap for each that was too long.
    pub(crate) async fn report_downtime(&self, sources: &[Arc<SourceStatus>]) {
        let stored = self.stored(STATE_PREFIX).await.unwrap_or_default();
        let known = self.stored(KNOWN_PREFIX).await.unwrap_or_default();
        for source in sources {
            let Some(patience) = source.patience() else { continue };
            let key = key(source);
            let stored = stored.iter().find(|(stored, _)| *stored == key);
            let stored = stored.and_then(|(_, body)| serde_json::from_slice(body).ok());
            let stored = stored.map(|Body { since }| Timestamp::from_micros(since));
            let known_key = known_key(source);
            let is_known = known.iter().any(|(known, _)| *known == known_key);
            let away = self.before_start().filter(|stopped| {
                is_known && Outage::new(*stopped, self.started(), patience).is_some()
            });
            let Some(since) = stored.into_iter().chain(away).min() else { continue };
            // A sender that still repeats its events may be rejected again.
            let until = Outage::new(since, self.started(), patience).map(|_| self.started());
            source.put_back(Unavailability { since, until, is_stored: stored == Some(since) });
        }
        self.keep_outages(sources).await;
    }

    /// Stores which sources there are. Returns whether they are stored; if not, it has to be called
    /// again.
    pub(crate) async fn store_known(&self, sources: &[Arc<SourceStatus>]) -> bool {
        let Some(known) = self.stored(KNOWN_PREFIX).await else { return false };
        let is_known = |key: &String| known.iter().any(|(known, _)| known == key);
        let keys: Vec<String> = sources
            .iter()
            .filter(|source| source.patience().is_some())
            .map(|source| known_key(source))
            .collect();
        let added = keys.iter().filter(|key| !is_known(key));
        let removed = known.iter().map(|(key, _)| key).filter(|key| !keys.contains(key));
        let body = || Some(Bytes::from_static(b"{}"));
        let objects: Vec<StoredObject> = added
            .map(|key| StoredObject { key: key.clone(), body: body() })
            .chain(removed.map(|key| StoredObject { key: key.clone(), body: None }))
            .collect();
        if objects.is_empty() {
            return true;
        }
        match self.store(objects).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(
                    %error,
                    "which sources there are is stored later: no gap is recorded for them if the \
                     server stops before"
                );
                false
            }
        }
    }

    /// The stored objects with this prefix; `None` if they cannot be read.
    async fn stored(&self, prefix: &str) -> Option<Vec<(String, Bytes)>> {
        match self.objects(prefix).await {
            Ok(objects) => Some(objects),
            Err(error) => {
                tracing::warn!(%error, "cannot read since when events of sources were not recorded");
                None
            }
        }
    }

    /// Notes that the events of a source cannot be recorded at present.
    pub(crate) fn note_unavailability(&self, source: &SourceStatus) {
        if source.unavailable(self.now()).is_some() {
            self.outages.notify_one();
        }
    }

    /// Notes that the events of a source can be recorded, if something was: a request without new
    /// events says nothing about the store.
    pub(crate) fn note_transfer(&self, source: &SourceStatus, transfer: &Transfer) {
        if transfer.recorded > 0 && source.available(self.now()) {
            self.outages.notify_one();
        }
    }

    /// Waits until an outage must be recorded or stored.
    pub(crate) async fn outage_noted(&self) {
        self.outages.notified().await;
    }

    /// Records and stores what could not be recorded or stored before. If the future is dropped, the
    /// next call continues.
    pub(crate) async fn keep_outages(&self, sources: &[Arc<SourceStatus>]) {
        for source in sources {
            self.settle_gap(source).await;
            if source.gap().is_some() {
                // Its commit has no outcome yet, so the next gap waits too.
                continue;
            }
            match source.take_ended() {
                Ok(ended) => self.report(source, ended).await,
                Err(Some(since)) => self.store_unavailability(source, since).await,
                Err(None) => {}
            }
        }
    }

    async fn store_unavailability(&self, source: &SourceStatus, since: Timestamp) {
        if source.patience().is_none() || !self.is_writable() {
            return;
        }
        let body = serde_json::to_vec(&Body { since: since.as_micros() }).unwrap_or_default();
        let object = StoredObject { key: key(source), body: Some(Bytes::from(body)) };
        match self.store(vec![object]).await {
            Ok(()) if source.set_stored(since) => {}
            // A gap event was recorded meanwhile, or is not needed.
            Ok(()) => {
                let object = StoredObject { key: key(source), body: None };
                if let Err(error) = self.store(vec![object]).await {
                    tracing::warn!(%error, "the end of an outage of a source is not stored");
                }
            }
            Err(error) => tracing::debug!(%error, "an outage of a source is not stored yet"),
        }
    }

    /// Records the gap event, if the time was too long, and deletes what is stored about it.
    async fn report(&self, source: &SourceStatus, ended: Unavailability) {
        let until = ended.until.unwrap_or_else(|| self.now());
        // Its beginning is deleted also if it does not count as stored: an attempt that was too late
        // may have been committed since. The store writes in the order of the attempts.
        let Some(patience) = source.patience() else { return };
        let outage = Outage::new(ended.since, until, patience);
        if let Some(Outage { from, until, .. }) = outage {
            let source = source.name();
            tracing::warn!(source, %from, %until, "events of a source were not recorded: some may be lost");
        }
        let gap = outage.map(|outage| record::write(&outage.event(source)));
        let done = StoredObject { key: key(source), body: None };
        let commit = if self.is_writable() {
            self.append_and_store(gap, done)
        } else {
            PendingCommit::rejected(StoreError::Unavailable { reason: self.reason() })
        };
        let unavailability = Unavailability { until: Some(until), ..ended };
        source.set_gap(Some(PendingGap { unavailability, commit: commit.shared() }));
        self.settle_gap(source).await;
    }

    /// Waits for the commit of the gap event that was submitted last. After the time limit it stays
    /// pending: a second attempt would record the gap twice if the first is committed later.
    async fn settle_gap(&self, source: &SourceStatus) {
        let Some(PendingGap { unavailability, commit }) = source.gap() else { return };
        let Ok(recorded) = tokio::time::timeout(RECORD_TIME_MAX, commit).await else {
            tracing::warn!(source = source.name(), "the gap of a source is not recorded yet");
            return;
        };
        source.set_gap(None);
        if let Err(error) = recorded {
            tracing::warn!(%error, "the gap of a source is recorded later");
            source.put_back(unavailability);
        }
    }
}

fn key(source: &SourceStatus) -> String {
    format!("{STATE_PREFIX}{}", source.name())
}

fn known_key(source: &SourceStatus) -> String {
    format!("{KNOWN_PREFIX}{}", source.name())
}

#[cfg(test)]
mod tests {
    use store::{Settings, Sqlite, Storage as _};

    use crate::Form;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(81);

    const fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn only_a_time_longer_than_the_senders_patience_is_an_outage() {
        assert_eq!(Outage::new(seconds(1000), seconds(1081), PATIENCE), None);
        assert!(Outage::new(seconds(1000), seconds(1082), PATIENCE).is_some());
    }

    #[test]
    fn a_time_whose_gap_is_not_recorded_lasts_until_its_gap_is() {
        let source = SourceStatus::new("a", "b", "c").drops_after(PATIENCE);
        assert!(!source.available(seconds(5)));
        assert_eq!(source.unavailable(seconds(10)), Some(seconds(10)));
        assert_eq!(source.unavailable(seconds(20)), Some(seconds(10)));
        assert!(source.set_stored(seconds(10)));
        assert_eq!(source.unavailable(seconds(30)), None, "it is stored once");
        assert!(source.available(seconds(40)));
        assert!(!source.available(seconds(41)), "the first event after it ends it");
        let first = source.take_ended().unwrap();
        assert_eq!((first.since, first.until), (seconds(10), Some(seconds(40))));
        assert!(!source.set_stored(seconds(10)));
        // Its gap is not recorded, and events are rejected again.
        source.unavailable(seconds(50));
        source.put_back(first);
        assert_eq!(source.take_ended(), Err(Some(seconds(10))), "it lasts, and is stored again");
        let ended = Unavailability { until: Some(seconds(60)), ..first };
        let source = SourceStatus::new("a", "b", "c").drops_after(PATIENCE);
        source.put_back(ended);
        assert_eq!(source.take_ended(), Ok(ended));
        assert_eq!(source.take_ended(), Err(None), "it is reported once");
    }

    struct FixedClock;

    impl apiserver::Clock for FixedClock {
        fn now(&self) -> Timestamp {
            seconds(1000)
        }
    }

    /// Regression: the beginning of a short stall of the disk stayed, and weeks later a restart
    /// recorded a gap since then.
    #[tokio::test]
    async fn a_beginning_that_was_stored_after_the_time_limit_is_deleted_when_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keepwatch.db");
        let now = || seconds(1000).as_micros();
        let store = Sqlite::open(&path, Settings::default(), Arc::new(now)).unwrap();
        let (storage, clock) = (Arc::new(store.clone()), Arc::new(FixedClock));
        let recorder = Recorder::open(storage, store.journal(), clock, Form::Events).await.unwrap();
        let source = Arc::new(SourceStatus::new("a", "b", "c").drops_after(PATIENCE));
        recorder.note_unavailability(&source);
        // What an attempt leaves that was given up and is committed later.
        let body = serde_json::to_vec(&Body { since: now() }).unwrap();
        let late = StoredObject { key: key(&source), body: Some(Bytes::from(body)) };
        recorder.store(vec![late]).await.unwrap();
        recorder.note_transfer(&source, &Transfer::default());
        recorder.keep_outages(&[Arc::clone(&source)]).await;
        assert_ne!(recorder.stored(STATE_PREFIX).await.unwrap(), [], "nothing was recorded");
        recorder.note_transfer(&source, &Transfer { recorded: 1, ..Transfer::default() });
        recorder.keep_outages(&[source]).await;
        assert_eq!(recorder.stored(STATE_PREFIX).await.unwrap(), []);
        assert_eq!(store.journal().last_seq(), 0, "it was too short for a gap");
        store.close().await;
    }

    /// Regression: a gap whose commit took longer than the time limit was submitted again, and both
    /// were committed.
    #[tokio::test]
    async fn a_gap_that_is_committed_after_the_time_limit_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keepwatch.db");
        let store = Sqlite::open(&path, Settings::default(), Arc::new(|| 7)).unwrap();
        let (storage, clock) = (Arc::new(store.clone()), Arc::new(FixedClock));
        let recorder = Recorder::open(storage, store.journal(), clock, Form::Events).await.unwrap();
        let sources = [Arc::new(SourceStatus::new("a", "b", "c").drops_after(PATIENCE))];
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let blocked = store.submit(Box::new(move |_| wait.recv().unwrap_or_default()));
        let unavailability = Unavailability::since(seconds(10));
        sources[0].put_back(Unavailability { until: Some(seconds(500)), ..unavailability });
        tokio::time::pause();
        for _ in 0..3 {
            recorder.keep_outages(&sources).await;
            assert!(sources[0].gap().is_some(), "its commit has no outcome yet");
        }
        tokio::time::resume();
        drop(release);
        blocked.await.unwrap();
        recorder.keep_outages(&sources).await;
        assert!(sources[0].gap().is_none() && sources[0].take_ended() == Err(None));
        assert_eq!(store.journal().last_seq(), 1);
        store.close().await;
    }
}
