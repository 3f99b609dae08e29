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
//! The memory is bounded: beyond [`IDENTITIES_MAX`] the oldest identities are forgotten.

use std::collections::{HashMap, VecDeque};
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
    /// All identities, oldest first.
    by_age: VecDeque<Digest>,
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
    /// Submits the events that are not known with `submit`, which gets their positions, and whether
    /// all others are durable.
    pub(crate) fn admit(
        &mut self,
        digests: &[Digest],
        after: u64,
        submit: impl FnOnce(&[usize], bool) -> PendingCommit,
    ) -> Admitted {
        let (mut admitted, mut fresh) = (Admitted::default(), Vec::new());
        let mut repeated = std::collections::HashSet::new();
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
            self.insert(digest, Known::Pending(Arc::clone(&chunk)));
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
    pub(crate) fn add_recorded(&mut self, digest: Digest) {
        self.insert(digest, Known::Durable);
    }

    /// The number of identities.
    pub(crate) fn len(&self) -> usize {
        self.by_age.len()
    }

    fn insert(&mut self, digest: Digest, known: Known) {
        if self.known.insert(digest, known).is_some() {
            return;
        }
        self.by_age.push_back(digest);
        if self.by_age.len() > IDENTITIES_MAX
            && let Some(oldest) = self.by_age.pop_front()
        {
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
        let admitted = identities.admit(&digests, 7, |fresh, _| {
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
        // The outcome of the first transaction does not matter any more.
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
        identities.add_recorded(digest(1));
        identities.resolve_doubt(7);
        assert_eq!(identities.doubtful_after(), None);
        assert_eq!(fresh(&mut identities, &[1]).0, Vec::<usize>::new());
    }

    #[test]
    fn the_oldest_identities_are_forgotten() {
        let mut identities = Identities::default();
        for number in 0..=IDENTITIES_MAX as u64 {
            identities.add_recorded(digest(number));
        }
        assert_eq!(identities.len(), IDENTITIES_MAX);
        let last = IDENTITIES_MAX as u64;
        assert_eq!(fresh(&mut identities, &[0, 1, last]).0, [0]);
    }
}
