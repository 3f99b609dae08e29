//! The cursors of the journal's readers: updated in memory immediately, on disk with a later
//! commit.
//!
//! After a crash, a reader may read some records again; it never misses one. Records are retained
//! until the cursors *on disk* have passed them. The cursor of a parked reader is stored under
//! another name, and no records are retained for it.

use std::collections::BTreeMap;

use bytes::Bytes;

/// The prefix of the names under which the cursors of parked readers are stored.
const PARKED: &str = "parked/";

/// The readers and their cursors.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    readers: BTreeMap<String, Entry>,
    /// Whether the writer was notified of cursors to write.
    pub(crate) announced: bool,
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
}

/// A cursor that a transaction moves.
#[derive(Debug)]
pub(crate) struct CursorMove {
    pub(crate) reader: String,
    pub(crate) cursor: Cursor,
    /// The reader's new checkpoint; `None` leaves the existing one unchanged.
    pub(crate) checkpoint: Option<Vec<Bytes>>,
}

/// A cursor to write; `None` removes the reader.
pub(crate) type Moved = (String, Option<Cursor>);

impl Cursors {
    pub(crate) fn load(&mut self, reader: String, cursor: Cursor) {
        let durable = cursor.seq;
        self.readers.insert(reader, Entry { cursor: Some(cursor), durable, dirty: false });
    }

    pub(crate) fn of(&self, reader: &str) -> Option<Cursor> {
        self.readers.get(reader).and_then(|entry| entry.cursor.clone())
    }

    /// Registered readers and their cursors, sorted by name, without parked ones.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Cursor)> {
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
        self.forget(reader);
    }

    /// Retain records for a reader after this cursor.
    pub(crate) fn resume(&mut self, reader: &str, cursor: Cursor) {
        self.set(reader, cursor);
        self.forget(&format!("{PARKED}{reader}"));
    }

    pub(crate) fn set(&mut self, reader: &str, cursor: Cursor) {
        let durable = cursor.seq;
        let entry = self.readers.entry(reader.to_owned());
        let entry = entry.or_insert(Entry { cursor: None, durable, dirty: true });
        if entry.cursor.as_ref() != Some(&cursor) {
            entry.durable = entry.durable.min(cursor.seq);
            entry.cursor = Some(cursor);
            entry.dirty = true;
        }
    }

    /// Remove a reader, parked or not.
    pub(crate) fn remove(&mut self, reader: &str) {
        self.forget(reader);
        self.forget(&format!("{PARKED}{reader}"));
    }

    fn forget(&mut self, reader: &str) {
        if let Some(entry) = self.readers.get_mut(reader) {
            entry.cursor = None;
            entry.dirty = true;
        }
    }

    /// The cursors that the next commit must write.
    pub(crate) fn moved(&mut self) -> Vec<Moved> {
        self.announced = false;
        let dirty = self.readers.iter().filter(|(_, entry)| entry.dirty);
        dirty.map(|(name, entry)| (name.clone(), entry.cursor.clone())).collect()
    }

    /// Mark these cursors as durable.
    pub(crate) fn settle(&mut self, moved: Vec<Moved>) {
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
    pub(crate) fn commit(&mut self, CursorMove { reader, cursor, .. }: CursorMove) {
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
    pub(crate) fn adopt(&mut self, found: Self) {
        for (reader, Entry { cursor, durable, .. }) in found.readers {
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
        let holding = self.readers.iter().filter(|(name, _)| !name.starts_with(PARKED));
        let slowest = holding.min_by_key(|(_, entry)| entry.durable);
        slowest.map(|(name, entry)| (name.as_str(), entry.durable))
    }
}
