//! The identities of events that were recorded, so that an event that is sent again is recorded
//! once.
//!
//! An identity is the digest of everything that was received for an event. The audit ID alone is
//! none, because a client can choose it. The digest is collision-resistant, so no key has to be
//! stored, and the identities of records are read back from the journal.
//!
//! An event is a duplicate only if its first copy is durable. Until then the second copy waits for
//! the same commit; if that fails, the second copy is recorded.
//!
//! The memory is bounded: beyond [`IDENTITIES_MAX`] the oldest identity of the source with the most
//! is forgotten. So a source that sends many events cannot displace those of another, which keeps
//! at least its equal share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::Shared;
use hashbrown::HashTable;
use store::{PendingCommit, StoreError};

use crate::limits::IDENTITIES_MAX;
use crate::splitter::Digest;

/// Events of one transaction.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The identities of its new events.
    digests: Vec<Digest>,
    /// The commit of the transaction.
    pub(crate) commit: Shared<PendingCommit>,
    /// The last record before the transaction was submitted.
    after: u64,
}

/// What is known about an identity that is not durable.
#[derive(Clone, Debug)]
enum Unsettled {
    /// Its transaction is not committed yet.
    Pending(Arc<Chunk>),
    /// Its transaction failed: the event counts as new.
    Failed,
}

/// One identity, in the list of its source.
#[derive(Debug)]
struct Entry {
    digest: Digest,
    /// The position of the next newer one; meaningless for the newest.
    newer: u32,
}

/// The list of the identities of a source, from the oldest to the newest.
#[derive(Debug, Default)]
struct Queue {
    oldest: u32,
    newest: u32,
    len: usize,
}

/// The identities of the newest events.
///
/// There are many of them, and almost all are durable. So an identity takes the bytes of its digest
/// and two positions, and the few others have their state beside it.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    /// The positions of the digests in `entries`.
    positions: HashTable<u32>,
    /// Senders choose digests to a degree, so their hash has a secret key.
    hasher: RandomState,
    entries: Vec<Entry>,
    unsettled: HashMap<Digest, Unsettled>,
    by_source: BTreeMap<String, Queue>,
    /// A transaction failed that may have been committed nevertheless: the records after this one
    /// have to be read before other events are judged.
    doubtful_after: Option<u64>,
}

/// The commits that have to succeed before events are acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// The transaction of the new events.
    pub(crate) chunk: Option<Arc<Chunk>>,
    /// The transactions of other requests with the same events.
    pub(crate) others: Vec<Arc<Chunk>>,
    /// The number of events that were recorded before.
    pub(crate) duplicates: usize,
}

impl Identities {
    /// Submits the events of a source that are not known with `submit`, which gets their positions,
    /// and whether all others are durable.
    pub(crate) fn admit(
        &mut self,
        source: &str,
        digests: &[Digest],
        after: u64,
        submit: impl FnOnce(&[usize], bool) -> PendingCommit,
    ) -> Admitted {
        let (mut admitted, mut fresh) = (Admitted::default(), Vec::new());
        let mut repeated = HashSet::new();
        for (at, digest) in digests.iter().enumerate() {
            match self.unsettled.get(digest) {
                Some(Unsettled::Pending(chunk)) => {
                    admitted.duplicates += 1;
                    // The events of a request follow each other.
                    if admitted.others.last().is_none_or(|last| !Arc::ptr_eq(last, chunk)) {
                        admitted.others.push(Arc::clone(chunk));
                    }
                }
                None if self.contains(digest) => admitted.duplicates += 1,
                Some(Unsettled::Failed) | None if repeated.insert(*digest) => fresh.push(at),
                Some(Unsettled::Failed) | None => admitted.duplicates += 1,
            }
        }
        if fresh.is_empty() {
            return admitted;
        }
        let commit = submit(&fresh, admitted.others.is_empty()).shared();
        let digests: Vec<Digest> = fresh.iter().map(|at| digests[*at]).collect();
        let chunk = Arc::new(Chunk { digests: digests.clone(), commit, after });
        for digest in digests {
            self.insert(source, digest);
            self.unsettled.insert(digest, Unsettled::Pending(Arc::clone(&chunk)));
        }
        admitted.chunk = Some(chunk);
        admitted
    }

    /// Notes the outcome of a transaction. A second call changes nothing.
    pub(crate) fn settle(&mut self, chunk: &Arc<Chunk>, outcome: Result<(), &StoreError>) {
        let is_doubtful =
            matches!(outcome, Err(StoreError::NoSpace | StoreError::Unavailable { .. }));
        for digest in &chunk.digests {
            let state = self.unsettled.get(digest);
            if !matches!(state, Some(Unsettled::Pending(other)) if Arc::ptr_eq(other, chunk)) {
                continue;
            }
            if outcome.is_ok() {
                self.unsettled.remove(digest);
            } else {
                self.unsettled.insert(*digest, Unsettled::Failed);
            }
            if is_doubtful {
                let after = self.doubtful_after.unwrap_or(u64::MAX);
                self.doubtful_after = Some(after.min(chunk.after));
            }
        }
    }

    /// The record after which events may be recorded whose transactions failed.
    pub(crate) fn doubtful_after(&self) -> Option<u64> {
        self.doubtful_after
    }

    /// The records after `after` were read.
    pub(crate) fn resolve_doubt(&mut self, after: u64) {
        if self.doubtful_after == Some(after) {
            self.doubtful_after = None;
        }
    }

    /// Adds the identity of a record.
    pub(crate) fn add_recorded(&mut self, source: &str, digest: Digest) {
        self.insert(source, digest);
        self.unsettled.remove(&digest);
    }

    /// Adds the identity of a record that is older than those that are known of its source, unless
    /// it would be the next to be forgotten.
    pub(crate) fn add_older(&mut self, source: &str, digest: Digest) {
        if self.contains(&digest) {
            return;
        }
        if self.len() >= IDENTITIES_MAX {
            let own = self.by_source.get(source).map_or(0, |queue| queue.len);
            if self.by_source.values().all(|queue| queue.len <= own + 1) {
                return;
            }
        }
        let position = self.add(source, digest);
        let queue = self.by_source.entry(source.to_owned()).or_default();
        if let Some(entry) = self.entries.get_mut(position as usize) {
            entry.newer = queue.oldest;
        }
        if queue.len == 0 {
            queue.newest = position;
        }
        queue.oldest = position;
        queue.len += 1;
    }

    /// The number of identities.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    fn contains(&self, digest: &Digest) -> bool {
        let is_same = |position: &u32| is_at(&self.entries, *position, digest);
        self.positions.find(self.hasher.hash_one(digest), is_same).is_some()
    }

    /// Adds an identity as the newest of its source, unless it is known.
    fn insert(&mut self, source: &str, digest: Digest) {
        if self.contains(&digest) {
            return;
        }
        let position = self.add(source, digest);
        if !self.by_source.contains_key(source) {
            self.by_source.insert(source.to_owned(), Queue::default());
        }
        let Some(queue) = self.by_source.get_mut(source) else { return };
        if queue.len == 0 {
            queue.oldest = position;
        } else if let Some(newest) = self.entries.get_mut(queue.newest as usize) {
            newest.newer = position;
        }
        queue.newest = position;
        queue.len += 1;
    }

    /// Adds an identity that is in no list yet. If there are too many, it takes the position of one
    /// that is forgotten.
    fn add(&mut self, source: &str, digest: Digest) -> u32 {
        let entry = Entry { digest, newer: 0 };
        let forgotten = if self.len() < IDENTITIES_MAX { None } else { self.forget_one(source) };
        let position = forgotten.unwrap_or(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        match self.entries.get_mut(position as usize) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        let Self { positions, hasher, entries, .. } = self;
        let hash = |position: &u32| {
            entries.get(*position as usize).map_or(0, |entry| hasher.hash_one(entry.digest))
        };
        positions.insert_unique(hasher.hash_one(digest), position, hash);
        position
    }

    /// Forgets the oldest identity of the source with the most, of which `source` gets one more.
    /// Returns the position that is free then.
    fn forget_one(&mut self, source: &str) -> Option<u32> {
        let queues = self.by_source.iter_mut().filter(|(_, queue)| queue.len > 0);
        let len = |(name, queue): &(&String, &mut Queue)| queue.len + usize::from(*name == source);
        let (_, queue) = queues.max_by_key(len)?;
        let position = queue.oldest;
        let Entry { digest, newer } = self.entries.get(position as usize)?;
        (queue.oldest, queue.len) = (*newer, queue.len - 1);
        let is_same = |other: &u32| *other == position;
        if let Ok(entry) = self.positions.find_entry(self.hasher.hash_one(digest), is_same) {
            entry.remove();
        }
        self.unsettled.remove(digest);
        Some(position)
    }
}

fn is_at(entries: &[Entry], position: u32, digest: &Digest) -> bool {
    entries.get(position as usize).is_some_and(|entry| entry.digest == *digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u64) -> Digest {
        let mut digest = Digest::default();
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    fn busy() -> PendingCommit {
        PendingCommit::rejected(StoreError::Busy)
    }

    /// The positions of the events that are submitted.
    fn fresh(identities: &mut Identities, numbers: &[u64]) -> (Vec<usize>, Admitted) {
        let digests: Vec<Digest> = numbers.iter().copied().map(digest).collect();
        let mut submitted = Vec::new();
        let admitted = identities.admit("one", &digests, 7, |fresh, _| {
            submitted = fresh.to_vec();
            busy()
        });
        (submitted, admitted)
    }

    #[test]
    fn an_event_is_submitted_again_only_if_its_commit_failed() {
        let mut identities = Identities::default();
        let (submitted, first) = fresh(&mut identities, &[1, 2, 1]);
        assert_eq!((submitted, first.duplicates), (vec![0, 1], 1));
        let chunk = first.chunk.unwrap();
        let (submitted, again) = fresh(&mut identities, &[2, 1, 3]);
        assert_eq!((submitted, again.duplicates, again.others.len()), (vec![2], 2, 1));
        identities.settle(&chunk, Err(&StoreError::Busy));
        assert_eq!(identities.doubtful_after(), None);
        let (submitted, second) = fresh(&mut identities, &[1, 2]);
        assert_eq!((submitted, second.duplicates), (vec![0, 1], 0));
        identities.settle(&second.chunk.unwrap(), Ok(()));
        // The outcome of the first transaction no longer matters.
        identities.settle(&chunk, Err(&StoreError::NoSpace));
        let (submitted, last) = fresh(&mut identities, &[1, 2]);
        assert_eq!((submitted, last.duplicates, last.others.len()), (vec![], 2, 0));
    }

    #[test]
    fn a_commit_in_doubt_is_resolved_from_its_place_in_the_journal() {
        let mut identities = Identities::default();
        let chunk = fresh(&mut identities, &[1]).1.chunk.unwrap();
        identities.settle(&chunk, Err(&StoreError::NoSpace));
        assert_eq!(identities.doubtful_after(), Some(7));
        identities.resolve_doubt(6);
        assert_eq!(identities.doubtful_after(), Some(7));
        identities.add_recorded("one", digest(1));
        identities.resolve_doubt(7);
        assert_eq!(identities.doubtful_after(), None);
        assert_eq!(fresh(&mut identities, &[1]).0, Vec::<usize>::new());
    }

    #[test]
    fn the_oldest_identities_are_forgotten() {
        let mut identities = Identities::default();
        for number in 0..=IDENTITIES_MAX as u64 {
            identities.add_recorded("one", digest(number));
        }
        assert_eq!(identities.len(), IDENTITIES_MAX);
        let last = IDENTITIES_MAX as u64;
        assert_eq!(fresh(&mut identities, &[0, 1, last]).0, [0]);
    }

    #[test]
    fn a_source_cannot_displace_the_identities_of_another() {
        let mut identities = Identities::default();
        let quiet = IDENTITIES_MAX as u64 / 2;
        for number in 0..quiet {
            identities.add_recorded("quiet", digest(number));
        }
        for number in 0..2 * IDENTITIES_MAX as u64 {
            identities.add_recorded("noisy", digest(quiet + number));
        }
        assert_eq!(identities.len(), IDENTITIES_MAX);
        let newest = quiet + 2 * IDENTITIES_MAX as u64 - 1;
        assert_eq!(fresh(&mut identities, &[0, quiet - 1, newest]).0, Vec::<usize>::new());
    }

    #[test]
    fn the_newest_identities_of_each_source_are_read_back() {
        let mut identities = Identities::default();
        let count = IDENTITIES_MAX as u64;
        for number in (count..=2 * count).rev() {
            identities.add_older("noisy", digest(number));
        }
        for number in (0..10).rev() {
            identities.add_older("quiet", digest(number));
        }
        assert_eq!(identities.len(), IDENTITIES_MAX);
        assert_eq!(fresh(&mut identities, &[0, 9, 2 * count, count + 11]).0, Vec::<usize>::new());
        assert_eq!(fresh(&mut identities, &[count, count + 10]).0, [0, 1]);
    }
}
