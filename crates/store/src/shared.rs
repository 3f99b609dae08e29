//! The state that the writer publishes after each commit, for all readers.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use crate::cursors::Cursors;
use crate::health::HealthState;
use crate::index::{Index, Superseded};
use crate::journal::{DAMAGED_MAX, Gap, Record};
use crate::read_connection::ReadConnection;
use crate::tail_cache::TailCache;
use crate::{Change, Clock, Object, ReadError, Settings};

/// Approximate memory of an entry of a tail cache in addition to its bytes, in bytes.
const ENTRY_BYTES: usize = 128;

/// The committed state of the store in memory.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) index: RwLock<Index>,
    pub(crate) read_connection: ReadConnection,
    pub(crate) health: HealthState,
    pub(crate) cursors: Mutex<Cursors>,
    /// The first revision since the store was opened.
    pub(crate) epoch: u64,
    /// The gaps found at the ends of the journal when it was opened.
    gaps_at_open: Vec<Gap>,
    /// Sequence numbers of the records that reads have found damaged.
    damaged: Mutex<BTreeSet<u64>>,
    history: Mutex<History>,
    records: Mutex<TailCache<Record>>,
    /// Sequence number of the oldest record in the file; 0 if there is none.
    first_seq: AtomicU64,
    /// The last sequence number. Dropped when the store closes, so that readers stop waiting.
    last_seq: Mutex<Option<watch::Sender<u64>>>,
}

/// Recent changes, and the watches that wait for more.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) changes: TailCache<Change>,
    /// The newest published revision.
    pub(crate) revision: u64,
    /// The newest revision of each watched resource; `None` when the store is closed.
    topics: Option<HashMap<String, watch::Sender<u64>>>,
}

/// The contents of a file when it was opened.
#[derive(Debug)]
pub(crate) struct LoadedState {
    pub(crate) index: Index,
    pub(crate) cursors: Cursors,
    pub(crate) first_seq: u64,
    /// The highest allocated sequence number.
    pub(crate) last_seq: u64,
    /// The gaps at the ends of the journal.
    pub(crate) gaps: Vec<Gap>,
    /// The epoch; see [`Journal::epoch`](crate::Journal::epoch).
    pub(crate) epoch: u64,
}

/// The effects of one commit.
#[derive(Debug, Default)]
pub(crate) struct CommittedBatch {
    pub(crate) changes: Vec<Change>,
    pub(crate) records: Vec<Record>,
    pub(crate) compacted: Vec<Superseded>,
    pub(crate) time: i64,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        clock: Clock,
        read_connection: ReadConnection,
        contents: LoadedState,
    ) -> Self {
        let LoadedState { index, cursors, first_seq, last_seq, gaps, epoch } = contents;
        let history = History {
            changes: TailCache::new(index.revision(), settings.tail_cache_bytes),
            revision: index.revision(),
            topics: Some(HashMap::new()),
        };
        Self {
            health: HealthState::new(settings.limit_bytes),
            records: Mutex::new(TailCache::new(last_seq, settings.tail_cache_bytes)),
            first_seq: AtomicU64::new(first_seq),
            index: RwLock::new(index),
            history: Mutex::new(history),
            last_seq: Mutex::new(Some(watch::Sender::new(last_seq))),
            cursors: Mutex::new(cursors),
            epoch,
            gaps_at_open: gaps,
            damaged: Mutex::default(),
            settings,
            clock,
            read_connection,
        }
    }

    /// Remember that a record of the journal is damaged.
    pub(crate) fn record_damage(&self, seq: u64) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.insert(seq);
        if damaged.len() > DAMAGED_MAX {
            damaged.pop_last();
        }
    }

    /// The gaps found at start-up, and the records found damaged since then.
    pub(crate) fn known_gaps(&self) -> Vec<Gap> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        let damaged = damaged.iter().map(|&seq| Gap { first: seq, last: seq });
        self.gaps_at_open.iter().copied().chain(damaged).collect()
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, TailCache<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cursors(&self) -> MutexGuard<'_, Cursors> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait until `revision` is committed, at most [`Settings::revision_wait`].
    pub(crate) async fn wait_for_revision(&self, revision: u64) -> Result<(), ReadError> {
        let (checked, newest) = {
            let index = self.index();
            (index.check(revision), index.revision())
        };
        match checked {
            Err(ReadError::TooLarge { .. }) => {}
            // It belongs to a lost history and is never committed.
            Err(error) if revision > newest => return Err(error),
            Ok(()) | Err(_) => return Ok(()),
        }
        let newest = self.history().subscribe("");
        let mut newest = newest.ok_or(ReadError::Closed)?;
        let reached = newest.wait_for(|newest| *newest >= revision);
        match tokio::time::timeout(self.settings.revision_wait, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_closed)) => Err(ReadError::Closed),
            Err(_elapsed) => {
                Err(ReadError::TooLarge { revision, current: self.index().revision() })
            }
        }
    }

    /// Subscribe to the last sequence number; `None` when the store is closed.
    pub(crate) fn subscribe_seq(&self) -> Option<watch::Receiver<u64>> {
        let sender = self.last_seq.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().map(watch::Sender::subscribe)
    }

    pub(crate) fn first_seq(&self) -> u64 {
        self.first_seq.load(Ordering::Acquire)
    }

    pub(crate) fn set_first_seq(&self, seq: u64) {
        self.first_seq.store(seq, Ordering::Release);
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.records().newest()
    }

    /// Make the effects of a commit visible to readers and watches.
    pub(crate) fn publish(&self, batch: CommittedBatch) {
        let CommittedBatch { changes, records, compacted, time } = batch;
        if !changes.is_empty() || !compacted.is_empty() {
            let mut index = self.index_mut();
            for change in &changes {
                index.apply(change, time);
            }
            index.compact(&compacted);
        }
        if !changes.is_empty() {
            let notified = self.history().push(changes);
            for (topic, revision) in notified {
                topic.send_replace(revision);
            }
        }
        if let Some(last) = records.last().map(|record| record.seq) {
            let mut tail = self.records();
            for record in records {
                tail.push(record.seq, record.bytes.len() + ENTRY_BYTES, record);
            }
            drop(tail);
            self.announce_seq(last);
        }
    }

    /// Cache an object that was read from disk.
    pub(crate) fn cache_object(&self, object: &Arc<Object>) {
        self.index_mut().cache_object(object);
    }

    /// Announce records that are on disk but were not published by a commit. Readers find them on
    /// disk.
    pub(crate) fn announce_recovered(&self, last_seq: u64) {
        *self.records() = TailCache::new(last_seq, self.settings.tail_cache_bytes);
        self.announce_seq(last_seq);
    }

    fn announce_seq(&self, last_seq: u64) {
        let sender = self.last_seq.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.as_ref() {
            sender.send_replace(last_seq);
        }
    }

    /// End all waits: no record and no change follows.
    pub(crate) fn close(&self) {
        self.history().topics = None;
        drop(self.last_seq.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.read_connection.close();
    }
}

impl History {
    /// Add changes. The caller notifies the returned topics after it has released the lock, once
    /// for all changes of a commit.
    fn push(&mut self, changes: Vec<Change>) -> Vec<(watch::Sender<u64>, u64)> {
        let mut names = vec![String::new()];
        for change in changes {
            self.revision = change.revision;
            let name = topic(&change.object.key);
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
            let bytes = change.bytes() + ENTRY_BYTES;
            self.changes.push(change.revision, bytes, change);
        }
        let topics = self.topics.iter();
        let topics = topics.flat_map(|topics| names.iter().filter_map(|name| topics.get(name)));
        topics.map(|topic| (topic.clone(), self.revision)).collect()
    }

    /// Subscribe to the topic of a prefix; `None` when the store is closed.
    pub(crate) fn subscribe(&mut self, prefix: &str) -> Option<watch::Receiver<u64>> {
        let revision = self.revision;
        let topics = self.topics.as_mut()?;
        let sender = topics.entry(topic(prefix).to_owned());
        Some(sender.or_insert_with(|| watch::Sender::new(revision)).subscribe())
    }
}

/// The `group/resource/` of a key or prefix; empty if the prefix is shorter, so that its watch is
/// notified of all changes.
fn topic(key: &str) -> &str {
    let second = key.match_indices('/').nth(1).map(|(at, _)| at + 1);
    second.and_then(|end| key.get(..end)).unwrap_or_default()
}
