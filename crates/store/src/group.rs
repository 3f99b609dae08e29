//! The uncommitted changes of a group of requests: an overlay over the committed objects.
//!
//! Later transactions of a group see the changes of earlier ones; readers see none of them before
//! the commit.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use rusqlite::Connection;

use crate::cursors::{Cursor, CursorMove, Cursors};
use crate::index::{self, Found, Index};
use crate::storage::Answer;
use crate::{
    Change, ChangeKind, Committed, Object, ReadError, StoreError, Transaction, Work, disk, rows,
};

/// The requests of one commit.
pub(crate) struct Group<'a> {
    index: &'a RwLock<Index>,
    cursors: &'a Mutex<Cursors>,
    /// The connection to read objects that are not cached. It sees the same commits as the index.
    file: &'a Connection,
    /// The read error of the running transaction, if one occurred.
    unreadable: Cell<Option<ReadError>>,
    /// The last lookup: a transaction that writes an object has usually just read it.
    looked_up: RefCell<Option<LookedUp>>,
    pub(crate) changes: Vec<Change>,
    pub(crate) records: Vec<Bytes>,
    pub(crate) by_work: Vec<CursorMove>,
    latest: BTreeMap<Arc<str>, Option<Arc<Object>>>,
    pub(crate) waiting: Vec<(Answer, Result<Committed, StoreError>)>,
    first_seq: u64,
    next_revision: u64,
    newest_revision: u64,
    pub(crate) bytes: usize,
}

/// The committed state of one key. It stays valid because nothing is committed while a group is
/// collected.
struct LookedUp {
    key: Arc<str>,
    object: Option<Arc<Object>>,
}

impl<'a> Group<'a> {
    pub(crate) fn new(
        index: &'a RwLock<Index>,
        cursors: &'a Mutex<Cursors>,
        file: &'a Connection,
        first_seq: u64,
        next_revision: u64,
    ) -> Self {
        let newest_revision = index.read().unwrap_or_else(PoisonError::into_inner).revision();
        Self {
            index,
            cursors,
            file,
            unreadable: Cell::new(None),
            looked_up: RefCell::new(None),
            changes: Vec::new(),
            records: Vec::new(),
            by_work: Vec::new(),
            latest: BTreeMap::new(),
            waiting: Vec::new(),
            first_seq,
            next_revision,
            newest_revision,
            bytes: 0,
        }
    }

    /// The next free revision after this group.
    pub(crate) fn next_revision(&self) -> u64 {
        self.next_revision
    }

    /// Run one transaction. A panic rolls back that transaction only.
    pub(crate) fn run(&mut self, work: Work, answer: Answer) {
        let mut step = Step {
            changes_before: self.changes.len(),
            records_before: self.records.len(),
            by_work_before: self.by_work.len(),
            revision_before: self.next_revision,
            taken: Vec::new(),
            misused: None,
            unregistered: None,
            group: self,
        };
        let ended = panic::catch_unwind(AssertUnwindSafe(|| work(&mut step)));
        let failure = match (step.group.unreadable.take(), ended) {
            (Some(error), _) => Some(StoreError::Unavailable { reason: error.to_string() }),
            (None, Err(panic)) => Some(StoreError::Panicked { message: message(&*panic) }),
            (None, Ok(())) => step.misuse(),
        };
        if failure.is_some() {
            step.rollback();
        }
        step.give_back();
        let outcome = failure.map_or_else(|| Ok(self.committed()), Err);
        self.waiting.push((answer, outcome));
    }

    /// Append a record without a change.
    pub(crate) fn append(&mut self, record: Bytes, answer: Answer) {
        self.bytes += record.len();
        self.records.push(record);
        self.waiting.push((answer, Ok(self.committed())));
    }

    /// Add a caller that only waits until this group is durable.
    pub(crate) fn attend(&mut self, answer: Answer) {
        self.waiting.push((answer, Ok(self.committed())));
    }

    fn committed(&self) -> Committed {
        let seq = self.first_seq + self.records.len() as u64 - 1;
        Committed { seq, revision: self.newest_revision }
    }

    fn index(&self) -> RwLockReadGuard<'a, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &str) -> Option<Arc<Object>> {
        if let Some(latest) = self.latest.get(key) {
            return latest.clone();
        }
        if let Some(known) = &*self.looked_up.borrow()
            && *known.key == *key
        {
            return known.object.clone();
        }
        let (held, found) = self.index().look_up(key);
        let is_there = found.is_some();
        let object = found.and_then(|found| self.read(vec![found]).pop());
        // Do not remember an object that could not be read as absent.
        if object.is_some() == is_there {
            let key = held.unwrap_or_else(|| Arc::from(key));
            *self.looked_up.borrow_mut() = Some(LookedUp { key, object: object.clone() });
        }
        object
    }

    /// The shared key after [`get`](Self::get) has looked up its object.
    fn key(&self, key: &str) -> Arc<str> {
        let looked_up = self.looked_up.borrow();
        let known = looked_up.as_ref().filter(|known| *known.key == *key);
        known.map_or_else(|| Arc::from(key), |known| Arc::clone(&known.key))
    }

    /// Read the objects of a lookup. A read error is remembered, and the transaction is rolled
    /// back.
    fn read(&self, found: Vec<Found>) -> Vec<Arc<Object>> {
        let read = disk::objects(self.file, &index::missing(&found), usize::MAX);
        match read.and_then(|read| index::complete(found, read, rows::lost)) {
            Ok(objects) => objects,
            Err(error) => {
                self.unreadable.set(Some(error));
                Vec::new()
            }
        }
    }

    /// Answer all requests of the group.
    pub(crate) fn answer(self, failure: Option<&StoreError>) {
        for (answer, outcome) in self.waiting {
            let outcome = failure.map_or(outcome, |error| Err(error.clone()));
            // Ignore a dropped receiver: its caller is gone.
            drop(answer.send(outcome));
        }
    }
}

/// The transaction of one request within a group.
struct Step<'a, 'b> {
    group: &'a mut Group<'b>,
    changes_before: usize,
    records_before: usize,
    by_work_before: usize,
    revision_before: u64,
    taken: Vec<u64>,
    misused: Option<u64>,
    unregistered: Option<String>,
}

impl Step<'_, '_> {
    /// The rule that the closure broke, if any.
    fn misuse(&mut self) -> Option<StoreError> {
        let misused = self.misused.map(|revision| StoreError::Misused { revision });
        let unregistered = self.unregistered.take();
        misused.or_else(|| unregistered.map(|reader| StoreError::Unregistered { reader }))
    }

    fn move_cursor(&mut self, reader: &str, cursor: Cursor, checkpoint: Option<Vec<Bytes>>) {
        let cursors = self.group.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        if cursors.of(reader).is_none() {
            self.unregistered = Some(reader.to_owned());
            return;
        }
        drop(cursors);
        self.group.bytes += checkpoint.iter().flatten().map(Bytes::len).sum::<usize>();
        self.group.by_work.push(CursorMove { reader: reader.to_owned(), cursor, checkpoint });
    }

    /// Mark `revision` as used; `false` if this transaction did not allocate it or has used it
    /// already.
    fn spend(&mut self, revision: u64) -> bool {
        // Watchers never see a row whose revision is out of order.
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
            None => self.group.key(key),
        };
        self.group.bytes += body.len() + key.len();
        let object = Arc::new(Object { key: Arc::clone(&key), revision, body });
        self.group.latest.insert(key, (!deleted).then(|| Arc::clone(&object)));
        self.group.changes.push(Change { kind, revision, object, previous });
    }

    /// Return unused revisions to the next transaction, so that revisions have no gaps.
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
        let latest = &self.group.latest;
        let index = self.group.index();
        let committed = index.scan(prefix).filter(|found| !latest.contains_key(found.key()));
        let committed: Vec<_> = committed.collect();
        drop(index);
        let mut objects = self.group.read(committed);
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

    fn save_checkpoint(&mut self, reader: &str, seq: u64, chunks: Vec<Bytes>) {
        self.move_cursor(reader, Cursor { seq, state: String::new() }, Some(chunks));
    }

    fn advance(&mut self, reader: &str, seq: u64, state: &str) {
        self.move_cursor(reader, Cursor { seq, state: state.to_owned() }, None);
    }

    fn rollback(&mut self) {
        self.group.by_work.truncate(self.by_work_before);
        for change in self.group.changes.drain(self.changes_before..).rev() {
            self.group.latest.insert(Arc::clone(&change.object.key), change.previous);
        }
        self.group.records.truncate(self.records_before);
        let newest = self.group.changes.last().map(|change| change.revision);
        self.group.newest_revision = newest.unwrap_or_else(|| self.group.index().revision());
        self.group.next_revision = self.revision_before;
        self.taken.clear();
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
