//! The cursors of the journal's readers: updated in memory immediately, on disk with a later
//! commit.
//!
//! After a crash, a reader may read some records again; it never misses any. Records are retained
//! until the cursors *on disk* have passed them. The cursor of a parked reader is stored under
//! another name, and no records are retained for it.
//!
//! A registered cursor belongs to the journal handle that registered it last, and only that handle
//! may move it: two tasks that replace each other never both deliver. Ownership is not stored,
//! because only one process can have the file open.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::StoreError;

/// The prefix of the names under which the cursors of parked readers are stored.
const PARKED: &str = "parked/";

/// The readers and their cursors.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    readers: BTreeMap<String, Entry>,
    /// Whether the writer was notified of cursors to write.
    pub(crate) is_announced: bool,
}

/// A position in the journal, with the reader's own state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Sequence number of the last record that the reader has processed.
    pub seq: u64,
    /// Text that the reader stores with its position. The store does not interpret it.
    pub state: String,
}

#[derive(Debug)]
struct Entry {
    /// `None` once the reader is removed.
    cursor: Option<Cursor>,
    durable: u64,
    dirty: bool,
    /// The handle that may move the cursor; with `None`, every handle may.
    owner: Option<Owner>,
    /// The owner has not waited yet for the commit that registers the reader or follows the last
    /// transaction of its previous owner.
    is_claim_pending: bool,
}

impl Entry {
    fn new(cursor: Option<Cursor>, durable: u64, dirty: bool) -> Self {
        Self { cursor, durable, dirty, owner: None, is_claim_pending: false }
    }
}

/// A journal handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) u64);

/// A cursor that a transaction moves.
#[derive(Debug)]
pub(crate) struct CursorMove {
    pub(crate) reader: String,
    pub(crate) cursor: Cursor,
    /// The reader's new checkpoint; `None` leaves the existing one unchanged.
    pub(crate) checkpoint: Option<Vec<Bytes>>,
}

/// A cursor to write; `None` removes the reader.
pub(crate) type CursorWrite = (String, Option<Cursor>);

impl Cursors {
    /// Add a cursor of the file.
    pub(crate) fn load(&mut self, reader: String, cursor: Cursor) {
        let durable = cursor.seq;
        self.readers.insert(reader, Entry::new(Some(cursor), durable, false));
    }

    /// The cursor of a reader; `None` if it is not registered.
    pub(crate) fn get(&self, reader: &str) -> Option<Cursor> {
        self.readers.get(reader).and_then(|entry| entry.cursor.clone())
    }

    /// Registered readers and their cursors, sorted by name, without parked ones.
    pub(crate) fn registered(&self) -> impl Iterator<Item = (&String, &Cursor)> {
        self.known().filter(|(name, _)| !name.starts_with(PARKED))
    }

    /// Parked readers and their cursors, sorted by name.
    pub(crate) fn parked(&self) -> impl Iterator<Item = (&str, &Cursor)> {
        self.known().filter_map(|(name, cursor)| Some((name.strip_prefix(PARKED)?, cursor)))
    }

    fn known(&self) -> impl Iterator<Item = (&String, &Cursor)> {
        self.readers.iter().filter_map(|(name, entry)| Some((name, entry.cursor.as_ref()?)))
    }

    /// Store a reader's cursor as parked, and stop retaining records for it.
    pub(crate) fn park(&mut self, reader: &str, cursor: Cursor) {
        self.set(&format!("{PARKED}{reader}"), cursor);
        self.unregister(reader);
    }

    /// Retain records for a reader after this cursor.
    pub(crate) fn resume(&mut self, reader: &str, cursor: Cursor) {
        self.set(reader, cursor);
        self.unregister(&format!("{PARKED}{reader}"));
    }

    /// Move a cursor, and register its reader if it is new.
    pub(crate) fn set(&mut self, reader: &str, cursor: Cursor) {
        let durable = cursor.seq;
        let entry = self.readers.entry(reader.to_owned());
        let entry = entry.or_insert(Entry::new(None, durable, true));
        if entry.cursor.as_ref() != Some(&cursor) {
            entry.durable = entry.durable.min(cursor.seq);
            entry.cursor = Some(cursor);
            entry.dirty = true;
        }
    }

    /// Remove a reader, parked or not.
    pub(crate) fn remove(&mut self, reader: &str) {
        self.unregister(reader);
        self.unregister(&format!("{PARKED}{reader}"));
    }

    fn unregister(&mut self, reader: &str) {
        if let Some(entry) = self.readers.get_mut(reader) {
            entry.cursor = None;
            entry.dirty = true;
            entry.owner = None;
        }
    }

    /// Make a handle the owner of a reader's cursor. Another owner can no longer move it. Returns
    /// whether the new owner must wait for a commit and call [`Self::confirm_claim`] before it
    /// reads: the reader is new, or a transaction of another owner may be about to commit.
    pub(crate) fn claim(&mut self, reader: &str, owner: Owner, is_new: bool) -> bool {
        let Some(entry) = self.readers.get_mut(reader) else { return false };
        let previous = entry.owner.replace(owner);
        entry.is_claim_pending |= is_new || previous.is_some_and(|previous| previous != owner);
        entry.is_claim_pending
    }

    /// Record that the commit after a claim succeeded, unless another handle has claimed the
    /// cursor.
    pub(crate) fn confirm_claim(&mut self, reader: &str, owner: Owner) {
        if let Some(entry) = self.readers.get_mut(reader).filter(|entry| entry.owner == Some(owner))
        {
            entry.is_claim_pending = false;
        }
    }

    /// Check that a reader is registered, and that a handle may move its cursor. A transaction of
    /// the storage has no handle.
    pub(crate) fn check_move(&self, reader: &str, owner: Option<Owner>) -> Result<(), StoreError> {
        let registered = self.readers.get(reader).filter(|entry| entry.cursor.is_some());
        let Some(entry) = registered else {
            return Err(StoreError::Unregistered { reader: reader.to_owned() });
        };
        if entry.owner.is_none() || entry.owner == owner {
            return Ok(());
        }
        Err(StoreError::NotOwner { reader: reader.to_owned() })
    }

    /// The cursors that the next commit must write.
    pub(crate) fn take_dirty(&mut self) -> Vec<CursorWrite> {
        self.is_announced = false;
        let dirty = self.readers.iter().filter(|(_, entry)| entry.dirty);
        dirty.map(|(name, entry)| (name.clone(), entry.cursor.clone())).collect()
    }

    /// Mark these cursors as durable.
    pub(crate) fn mark_durable(&mut self, moved: Vec<CursorWrite>) {
        for (reader, written) in moved {
            let Some(entry) = self.readers.get_mut(&reader) else { continue };
            entry.dirty = entry.cursor != written;
            match written {
                Some(cursor) => entry.durable = cursor.seq,
                None if entry.cursor.is_none() => drop(self.readers.remove(&reader)),
                None => {}
            }
        }
    }

    /// Mark a cursor as durable that was committed together with its transaction.
    pub(crate) fn commit_move(&mut self, CursorMove { reader, cursor, .. }: CursorMove) {
        let Some(entry) = self.readers.get_mut(&reader) else { return };
        // A reader that was removed during the commit stays removed.
        entry.dirty = entry.cursor.is_none();
        entry.durable = cursor.seq;
        if !entry.dirty {
            entry.cursor = Some(cursor);
        }
    }

    /// Take over the cursors of the file after a commit with unknown outcome. A cursor that was
    /// moved only in memory is kept, unless the file is ahead of it.
    pub(crate) fn reload(&mut self, from_file: Self) {
        for (reader, Entry { cursor, durable, .. }) in from_file.readers {
            let Some(entry) = self.readers.get_mut(&reader) else { continue };
            entry.durable = durable;
            let is_ahead = entry.cursor.as_ref().is_some_and(|cursor| cursor.seq < durable);
            if !entry.dirty || is_ahead {
                entry.cursor = cursor;
                entry.dirty = false;
            }
        }
    }

    /// The reader whose durable cursor is furthest behind.
    pub(crate) fn slowest(&self) -> Option<(&str, u64)> {
        let retaining = self.readers.iter().filter(|(name, _)| !name.starts_with(PARKED));
        let slowest = retaining.min_by_key(|(_, entry)| entry.durable);
        slowest.map(|(name, entry)| (name.as_str(), entry.durable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: &str = "reader";

    /// Regression: after a failed commit, the second attempt to register a reader did not wait for
    /// the last transaction of the previous owner.
    #[test]
    fn a_claim_waits_for_a_commit_until_one_succeeds() {
        let (first, second) = (Owner(1), Owner(2));
        let mut cursors = Cursors::default();
        cursors.set(READER, Cursor::default());
        assert!(cursors.claim(READER, first, true));
        assert!(cursors.claim(READER, first, false), "the commit failed");
        cursors.confirm_claim(READER, first);
        assert!(!cursors.claim(READER, first, false));
        assert!(cursors.claim(READER, second, false));
        cursors.confirm_claim(READER, first);
        assert!(cursors.claim(READER, second, false), "only the owner confirms its claim");
        cursors.confirm_claim(READER, second);
        assert!(!cursors.claim(READER, second, false));
    }
}
