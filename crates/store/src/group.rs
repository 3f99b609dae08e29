//! What a group of requests is about to change: an overlay over the committed objects.
//!
//! Later work of a group sees what earlier work did; readers see nothing of it before the commit.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::index::Index;
use crate::storage::Answer;
use crate::{Change, ChangeKind, Committed, Object, StoreError, Transaction, Work};

/// The requests of one commit.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    index: &'a RwLock<Index>,
    pub(crate) changes: Vec<Change>,
    pub(crate) records: Vec<Bytes>,
    latest: BTreeMap<Arc<str>, Option<Arc<Object>>>,
    pub(crate) waiting: Vec<(Answer, Result<Committed, StoreError>)>,
    first_seq: u64,
    next_revision: u64,
    newest_revision: u64,
    pub(crate) bytes: usize,
}

impl<'a> Group<'a> {
    pub(crate) fn new(index: &'a RwLock<Index>, first_seq: u64, next_revision: u64) -> Self {
        let newest_revision = index.read().unwrap_or_else(PoisonError::into_inner).revision();
        Self {
            index,
            changes: Vec::new(),
            records: Vec::new(),
            latest: BTreeMap::new(),
            waiting: Vec::new(),
            first_seq,
            next_revision,
            newest_revision,
            bytes: 0,
        }
    }

    /// The revision that the next change after this group gets.
    pub(crate) fn next_revision(&self) -> u64 {
        self.next_revision
    }

    /// Run one request's work. A panic takes nothing with it but that work.
    pub(crate) fn run(&mut self, work: Work, answer: Answer) {
        let mut step = Step {
            changes_before: self.changes.len(),
            records_before: self.records.len(),
            revision_before: self.next_revision,
            taken: Vec::new(),
            misused: None,
            group: self,
        };
        let ended = panic::catch_unwind(AssertUnwindSafe(|| work(&mut step)));
        let failure = match (ended, step.misused) {
            (Err(panic), _) => Some(StoreError::Panicked { message: message(&*panic) }),
            (Ok(()), Some(revision)) => Some(StoreError::Misused { revision }),
            (Ok(()), None) => None,
        };
        if failure.is_some() {
            step.rollback();
        }
        step.give_back();
        let outcome = failure.map_or_else(|| Ok(self.committed()), Err);
        self.waiting.push((answer, outcome));
    }

    /// Add a record that goes with no change.
    pub(crate) fn append(&mut self, record: Bytes, answer: Answer) {
        self.bytes += record.len();
        self.records.push(record);
        self.waiting.push((answer, Ok(self.committed())));
    }

    /// Somebody who only wants to know when this group is durable.
    pub(crate) fn attend(&mut self, answer: Answer) {
        self.waiting.push((answer, Ok(self.committed())));
    }

    fn committed(&self) -> Committed {
        let seq = self.first_seq + self.records.len() as u64 - 1;
        Committed { seq, revision: self.newest_revision }
    }

    fn get(&self, key: &str) -> Option<Arc<Object>> {
        match self.latest.get(key) {
            Some(latest) => latest.clone(),
            None => self.index.read().unwrap_or_else(PoisonError::into_inner).get(key),
        }
    }

    /// Wake everybody with what became of the group.
    pub(crate) fn answer(self, failure: Option<&StoreError>) {
        for (answer, outcome) in self.waiting {
            let outcome = failure.map_or(outcome, |error| Err(error.clone()));
            // Whoever went away does not want to know.
            drop(answer.send(outcome));
        }
    }
}

/// The work of one request within a group.
struct Step<'a, 'b> {
    group: &'a mut Group<'b>,
    changes_before: usize,
    records_before: usize,
    revision_before: u64,
    taken: Vec<u64>,
    misused: Option<u64>,
}

impl Step<'_, '_> {
    /// Whether `revision` was taken by this work and is unused.
    fn spend(&mut self, revision: u64) -> bool {
        // Out of order would be a row that watchers never see.
        let rising = revision > self.group.newest_revision;
        let Some(at) = self.taken.iter().position(|taken| *taken == revision).filter(|_| rising)
        else {
            self.misused = Some(revision);
            return false;
        };
        self.taken.remove(at);
        self.group.newest_revision = revision;
        true
    }

    fn change(&mut self, key: &str, revision: u64, body: Bytes, deleted: bool) {
        if !self.spend(revision) {
            return;
        }
        let previous = self.group.get(key);
        let kind = match (&previous, deleted) {
            (None, true) => {
                self.misused = Some(revision);
                return;
            }
            (Some(_), true) => ChangeKind::Deleted,
            (None, false) => ChangeKind::Created,
            (Some(_), false) => ChangeKind::Updated,
        };
        let key = match &previous {
            Some(previous) => Arc::clone(&previous.key),
            None => self.group.index.read().unwrap_or_else(PoisonError::into_inner).key(key),
        };
        self.group.bytes += body.len() + key.len();
        let object = Arc::new(Object { key: Arc::clone(&key), revision, body });
        self.group.latest.insert(key, (!deleted).then(|| Arc::clone(&object)));
        self.group.changes.push(Change { kind, revision, object, previous });
    }

    /// Unused revisions go to the next work, so that revisions have no holes.
    fn give_back(self) {
        let used = self.group.changes.get(self.changes_before..).unwrap_or_default().last();
        self.group.next_revision = used.map_or(self.revision_before, |change| change.revision + 1);
    }
}

impl Transaction for Step<'_, '_> {
    fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.group.get(key)
    }

    fn scan(&self, prefix: &str) -> Vec<Arc<Object>> {
        let index = self.group.index.read().unwrap_or_else(PoisonError::into_inner);
        let latest = &self.group.latest;
        let committed = index.scan(prefix).filter(|object| !latest.contains_key(&object.key));
        let mut objects: Vec<_> = committed.cloned().collect();
        let fresh = latest.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let fresh = fresh.take_while(|(key, _)| key.starts_with(prefix));
        objects.extend(fresh.filter_map(|(_, object)| object.clone()));
        objects.sort_by(|one, other| one.key.cmp(&other.key));
        objects
    }

    fn next_revision(&mut self) -> u64 {
        let revision = self.group.next_revision;
        self.group.next_revision += 1;
        self.taken.push(revision);
        revision
    }

    fn put(&mut self, key: &str, revision: u64, body: Bytes) {
        self.change(key, revision, body, false);
    }

    fn delete(&mut self, key: &str, revision: u64, last_state: Bytes) {
        self.change(key, revision, last_state, true);
    }

    fn record(&mut self, record: Bytes) {
        self.group.bytes += record.len();
        self.group.records.push(record);
    }

    fn rollback(&mut self) {
        for change in self.group.changes.drain(self.changes_before..).rev() {
            self.group.latest.insert(Arc::clone(&change.object.key), change.previous);
        }
        self.group.records.truncate(self.records_before);
        let newest = self.group.changes.last().map(|change| change.revision);
        self.group.newest_revision = newest.unwrap_or_else(|| {
            self.group.index.read().unwrap_or_else(PoisonError::into_inner).revision()
        });
        self.group.next_revision = self.revision_before;
        self.taken.clear();
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
