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

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::Shared;
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

/// What is known about an identity.
#[derive(Clone, Debug)]
enum Known {
    Durable,
    /// Its transaction is not committed yet.
    Pending(Arc<Chunk>),
    /// Its transaction failed: the event counts as new.
    Failed,
}

/// The identities of the newest events.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    known: HashMap<Digest, Known>,
    /// The identities of each source, oldest first. Each is in one of the queues.
    by_source: BTreeMap<String, VecDeque<Digest>>,
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
            match self.known.get(digest) {
                Some(Known::Pending(chunk)) => {
                    admitted.duplicates += 1;
                    // The events of a request follow each other.
                    if admitted.others.last().is_none_or(|last| !Arc::ptr_eq(last, chunk)) {
                        admitted.others.push(Arc::clone(chunk));
                    }
                }
                Some(Known::Failed) | None if repeated.insert(*digest) => fresh.push(at),
                Some(Known::Durable | Known::Failed) | None => admitted.duplicates += 1,
            }
        }
        if fresh.is_empty() {
            return admitted;
        }
        let commit = submit(&fresh, admitted.others.is_empty()).shared();
        let digests: Vec<Digest> = fresh.iter().map(|at| digests[*at]).collect();
        let chunk = Arc::new(Chunk { digests: digests.clone(), commit, after });
        for digest in digests {
            self.insert(source, digest, Known::Pending(Arc::clone(&chunk)));
        }
        admitted.chunk = Some(chunk);
        admitted
    }

    /// Notes the outcome of a transaction. A second call changes nothing.
    pub(crate) fn settle(&mut self, chunk: &Arc<Chunk>, outcome: Result<(), &StoreError>) {
        let known = if outcome.is_ok() { Known::Durable } else { Known::Failed };
        let is_doubtful =
            matches!(outcome, Err(StoreError::NoSpace | StoreError::Unavailable { .. }));
        for digest in &chunk.digests {
            if let Some(entry) = self.known.get_mut(digest)
                && matches!(entry, Known::Pending(pending) if Arc::ptr_eq(pending, chunk))
            {
                *entry = known.clone();
                if is_doubtful {
                    let after = self.doubtful_after.unwrap_or(u64::MAX);
                    self.doubtful_after = Some(after.min(chunk.after));
                }
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
        self.insert(source, digest, Known::Durable);
    }

    /// Adds the identity of a record that is older than those that are known of its source, unless
    /// it would be the next to be forgotten.
    pub(crate) fn add_older(&mut self, source: &str, digest: Digest) {
        if self.known.contains_key(&digest) {
            return;
        }
        if self.known.len() >= IDENTITIES_MAX {
            let own = self.by_source.get(source).map_or(0, VecDeque::len);
            if self.by_source.values().all(|digests| digests.len() <= own + 1) {
                return;
            }
            self.forget_one();
        }
        self.known.insert(digest, Known::Durable);
        self.by_source.entry(source.to_owned()).or_default().push_front(digest);
    }

    /// The number of identities.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    fn insert(&mut self, source: &str, digest: Digest, known: Known) {
        if self.known.insert(digest, known).is_some() {
            return;
        }
        if let Some(digests) = self.by_source.get_mut(source) {
            digests.push_back(digest);
        } else {
            self.by_source.insert(source.to_owned(), VecDeque::from([digest]));
        }
        if self.known.len() > IDENTITIES_MAX {
            self.forget_one();
        }
    }

    /// Forgets the oldest identity of the source with the most.
    fn forget_one(&mut self) {
        let largest = self.by_source.values_mut().max_by_key(|digests| digests.len());
        if let Some(oldest) = largest.and_then(VecDeque::pop_front) {
            self.known.remove(&oldest);
        }
    }
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
