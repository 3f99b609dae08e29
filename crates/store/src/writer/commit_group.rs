//! The transactions of one group commit: their uncommitted changes, as an overlay over the
//! committed objects.
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

use crate::cursors::{Cursor, CursorMove, Cursors, Owner};
use crate::index::{self, Index, Lookup};
use crate::storage::Completion;
use crate::{
    Change, ChangeKind, Committed, Object, ReadError, StoreError, Transaction, TransactionFn,
    read_connection,
};

/// The requests of one commit.
pub(crate) struct CommitGroup<'a> {
    index: &'a RwLock<Index>,
    cursors: &'a Mutex<Cursors>,
    /// The connection to read objects that are not cached. It sees the same commits as the index.
    file: &'a Connection,
    /// The read error of the running transaction, if one occurred.
    read_error: Cell<Option<ReadError>>,
    /// The last lookup: a transaction that writes an object has usually just read it.
    last_lookup: RefCell<Option<LastLookup>>,
    pub(crate) changes: Vec<Change>,
    pub(crate) records: Vec<Bytes>,
    pub(crate) cursor_moves: Vec<CursorMove>,
    overlay: BTreeMap<Arc<str>, Option<Arc<Object>>>,
    pub(crate) completions: Vec<(Completion, Result<Committed, StoreError>)>,
    first_seq: u64,
    next_revision: u64,
    newest_revision: u64,
    pub(crate) bytes: usize,
}

/// The committed state of one key. It stays valid because nothing is committed while a group is
/// collected.
struct LastLookup {
    key: Arc<str>,
    object: Option<Arc<Object>>,
}

impl<'a> CommitGroup<'a> {
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
            read_error: Cell::new(None),
            last_lookup: RefCell::new(None),
            changes: Vec::new(),
            records: Vec::new(),
            cursor_moves: Vec::new(),
            overlay: BTreeMap::new(),
            completions: Vec::new(),
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
    pub(crate) fn run(
        &mut self,
        owner: Option<Owner>,
        function: TransactionFn,
        completion: Completion,
    ) {
        let mut transaction = WriteTransaction {
            changes_before: self.changes.len(),
            records_before: self.records.len(),
            moves_before: self.cursor_moves.len(),
            revision_before: self.next_revision,
            allocated: Vec::new(),
            misused: None,
            cursor_error: None,
            owner,
            group: self,
        };
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| function(&mut transaction)));
        let failure = match (transaction.group.read_error.take(), outcome) {
            (Some(error), _) => Some(StoreError::Unavailable { reason: error.to_string() }),
            (None, Err(panic)) => Some(StoreError::Panicked { message: panic_message(&*panic) }),
            (None, Ok(())) => transaction.violation(),
        };
        if failure.is_some() {
            transaction.rollback();
        }
        transaction.return_revisions();
        let outcome = failure.map_or_else(|| Ok(self.committed()), Err);
        self.completions.push((completion, outcome));
    }

    /// Append a record without a change.
    pub(crate) fn append(&mut self, record: Bytes, completion: Completion) {
        self.bytes += record.len();
        self.records.push(record);
        self.completions.push((completion, Ok(self.committed())));
    }

    /// Add a caller that only waits until this group is durable.
    pub(crate) fn add_waiter(&mut self, completion: Completion) {
        self.completions.push((completion, Ok(self.committed())));
    }

    fn committed(&self) -> Committed {
        let seq = self.first_seq + self.records.len() as u64 - 1;
        Committed { seq, revision: self.newest_revision }
    }

    fn index(&self) -> RwLockReadGuard<'a, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &str) -> Option<Arc<Object>> {
        if let Some(uncommitted) = self.overlay.get(key) {
            return uncommitted.clone();
        }
        if let Some(known) = &*self.last_lookup.borrow()
            && *known.key == *key
        {
            return known.object.clone();
        }
        let (shared_key, lookup) = self.index().get_with_key(key);
        let exists = lookup.is_some();
        let object = lookup.and_then(|lookup| self.read(vec![lookup]).pop());
        // Do not remember an object that could not be read as absent.
        if object.is_some() == exists {
            let key = shared_key.unwrap_or_else(|| Arc::from(key));
            *self.last_lookup.borrow_mut() = Some(LastLookup { key, object: object.clone() });
        }
        object
    }

    /// The shared key after [`get`](Self::get) has looked up its object.
    fn key(&self, key: &str) -> Arc<str> {
        let last_lookup = self.last_lookup.borrow();
        let known = last_lookup.as_ref().filter(|known| *known.key == *key);
        known.map_or_else(|| Arc::from(key), |known| Arc::clone(&known.key))
    }

    /// Read the objects of a lookup. A read error is remembered, and the transaction is rolled
    /// back.
    fn read(&self, lookups: Vec<Lookup>) -> Vec<Arc<Object>> {
        let read = read_connection::objects(self.file, &index::uncached(&lookups), usize::MAX);
        match read.and_then(|read| index::resolve(lookups, read, ReadError::missing_revision)) {
            Ok(objects) => objects,
            Err(error) => {
                self.read_error.set(Some(error));
                Vec::new()
            }
        }
    }

    /// Complete all requests of the group.
    pub(crate) fn complete(self, failure: Option<&StoreError>) {
        for (completion, outcome) in self.completions {
            let outcome = failure.map_or(outcome, |error| Err(error.clone()));
            // Ignore a dropped receiver: the caller no longer waits.
            drop(completion.send(outcome));
        }
    }
}

/// The transaction of one request within a group.
struct WriteTransaction<'a, 'b> {
    group: &'a mut CommitGroup<'b>,
    changes_before: usize,
    records_before: usize,
    moves_before: usize,
    revision_before: u64,
    allocated: Vec<u64>,
    misused: Option<u64>,
    /// Why the closure must not move a cursor, if it did.
    cursor_error: Option<StoreError>,
    /// The journal handle of the transaction; `None` if it was submitted to the storage.
    owner: Option<Owner>,
}

impl WriteTransaction<'_, '_> {
    /// The rule of [`Transaction`] that the closure violated, if any.
    fn violation(&mut self) -> Option<StoreError> {
        let misused = self.misused.map(|revision| StoreError::Misused { revision });
        misused.or_else(|| self.cursor_error.take())
    }

    fn move_cursor(&mut self, reader: &str, cursor: Cursor, checkpoint: Option<Vec<Bytes>>) {
        let cursors = self.group.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = cursors.check_move(reader, self.owner);
        drop(cursors);
        if let Err(error) = allowed {
            self.cursor_error = Some(error);
            return;
        }
        self.group.bytes += checkpoint.iter().flatten().map(Bytes::len).sum::<usize>();
        self.group.cursor_moves.push(CursorMove { reader: reader.to_owned(), cursor, checkpoint });
    }

    /// Mark `revision` as used; `false` if this transaction did not allocate it or has used it
    /// already.
    fn consume_revision(&mut self, revision: u64) -> bool {
        // Watchers never see a row whose revision is out of order.
        let is_newer = revision > self.group.newest_revision;
        let Some(at) =
            self.allocated.iter().position(|allocated| *allocated == revision).filter(|_| is_newer)
        else {
            self.misused = Some(revision);
            return false;
        };
        self.allocated.remove(at);
        self.group.newest_revision = revision;
        true
    }

    fn change(&mut self, key: &str, revision: u64, body: Bytes, deleted: bool) {
        if !self.consume_revision(revision) {
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
        self.group.overlay.insert(key, (!deleted).then(|| Arc::clone(&object)));
        self.group.changes.push(Change { kind, revision, object, previous });
    }

    /// Return unused revisions to the next transaction, so that revisions have no gaps.
    fn return_revisions(self) {
        let used = self.group.changes.get(self.changes_before..).unwrap_or_default().last();
        self.group.next_revision = used.map_or(self.revision_before, |change| change.revision + 1);
    }
}

impl Transaction for WriteTransaction<'_, '_> {
    fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.group.get(key)
    }

    fn scan(&self, prefix: &str) -> Vec<Arc<Object>> {
        let overlay = &self.group.overlay;
        let index = self.group.index();
        let committed = index.scan(prefix).filter(|lookup| !overlay.contains_key(lookup.key()));
        let committed: Vec<_> = committed.collect();
        drop(index);
        let mut objects = self.group.read(committed);
        let uncommitted = overlay.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let uncommitted = uncommitted.take_while(|(key, _)| key.starts_with(prefix));
        objects.extend(uncommitted.filter_map(|(_, object)| object.clone()));
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        objects
    }

    fn next_revision(&mut self) -> u64 {
        let revision = self.group.next_revision;
        self.group.next_revision += 1;
        self.allocated.push(revision);
        revision
    }

    fn put(&mut self, key: &str, revision: u64, body: Bytes) {
        self.change(key, revision, body, false);
    }

    fn delete(&mut self, key: &str, revision: u64, last_state: Bytes) {
        self.change(key, revision, last_state, true);
    }

    fn append(&mut self, record: Bytes) {
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
        self.group.cursor_moves.truncate(self.moves_before);
        for change in self.group.changes.drain(self.changes_before..).rev() {
            self.group.overlay.insert(Arc::clone(&change.object.key), change.previous);
        }
        self.group.records.truncate(self.records_before);
        let newest = self.group.changes.last().map(|change| change.revision);
        self.group.newest_revision = newest.unwrap_or_else(|| self.group.index().revision());
        self.group.next_revision = self.revision_before;
        self.allocated.clear();
    }
}

/// The text of a panic.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
