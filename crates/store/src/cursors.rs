//! How far each reader of the journal has come: in memory at once, on disk with a later commit.
//!
//! A reader that crashes reads some records again; it never misses one. Records are kept until the
//! cursors *on disk* have passed them. A reader that is parked keeps its cursor under another name, and
//! nothing is kept for it.

use std::collections::BTreeMap;

use bytes::Bytes;

/// How the names begin under which the cursors of parked readers are kept.
const PARKED: &str = "parked/";

/// The readers and their cursors.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    readers: BTreeMap<String, Entry>,
    /// Whether the writer has been told that there is something to write.
    pub(crate) announced: bool,
}

/// A place in the journal, and what the reader keeps with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The last record the reader is done with.
    pub seq: u64,
    /// Whatever the reader wants to find again beside it.
    pub state: String,
}

#[derive(Debug)]
struct Entry {
    /// `None` once the reader is removed.
    cursor: Option<Cursor>,
    durable: u64,
    dirty: bool,
}

/// A cursor that is moved by work, in the transaction of that work.
#[derive(Debug)]
pub(crate) struct CursorMove {
    pub(crate) reader: String,
    pub(crate) cursor: Cursor,
    /// The reader's new checkpoint; `None` leaves the one that is there.
    pub(crate) checkpoint: Option<Vec<Bytes>>,
}

/// A cursor as it is to be written: `None` removes the reader.
pub(crate) type Moved = (String, Option<Cursor>);

impl Cursors {
    pub(crate) fn load(&mut self, reader: String, cursor: Cursor) {
        let durable = cursor.seq;
        self.readers.insert(reader, Entry { cursor: Some(cursor), durable, dirty: false });
    }

    pub(crate) fn of(&self, reader: &str) -> Option<Cursor> {
        self.readers.get(reader).and_then(|entry| entry.cursor.clone())
    }

    /// Readers and their cursors, by name; without those that are parked.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Cursor)> {
        self.known().filter(|(name, _)| !name.starts_with(PARKED))
    }

    /// Parked readers and where they were, by name.
    pub(crate) fn parked(&self) -> impl Iterator<Item = (&str, &Cursor)> {
        self.known().filter_map(|(name, cursor)| Some((name.strip_prefix(PARKED)?, cursor)))
    }

    fn known(&self) -> impl Iterator<Item = (&String, &Cursor)> {
        self.readers.iter().filter_map(|(name, entry)| Some((name, entry.cursor.as_ref()?)))
    }

    /// Keeps a reader's place, and holds nothing for it.
    pub(crate) fn park(&mut self, reader: &str, cursor: Cursor) {
        self.set(&format!("{PARKED}{reader}"), cursor);
        self.forget(reader);
    }

    /// Holds records for a reader from here on.
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

    /// Forgets a reader, parked or not.
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

    /// What the next commit has to write.
    pub(crate) fn moved(&mut self) -> Vec<Moved> {
        self.announced = false;
        let dirty = self.readers.iter().filter(|(_, entry)| entry.dirty);
        dirty.map(|(name, entry)| (name.clone(), entry.cursor.clone())).collect()
    }

    /// These are on disk now.
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

    /// This cursor went to disk together with the work that moved it.
    pub(crate) fn commit(&mut self, CursorMove { reader, cursor, .. }: CursorMove) {
        let Some(entry) = self.readers.get_mut(&reader) else { return };
        // A reader that was removed while the commit was under way stays removed.
        entry.dirty = entry.cursor.is_none();
        entry.durable = cursor.seq;
        if !entry.dirty {
            entry.cursor = Some(cursor);
        }
    }

    /// Take over what the file says after a commit whose outcome was unknown. A cursor that was moved
    /// in memory only stays, unless the file is ahead of it.
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

    /// The reader whose cursor on disk is furthest behind.
    pub(crate) fn slowest(&self) -> Option<(&str, u64)> {
        let holding = self.readers.iter().filter(|(name, _)| !name.starts_with(PARKED));
        let slowest = holding.min_by_key(|(_, entry)| entry.durable);
        slowest.map(|(name, entry)| (name.as_str(), entry.durable))
    }
}
