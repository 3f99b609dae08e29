//! The committed objects in memory, with the revisions that older states can be found under on disk.
//!
//! Only the writer changes it, after a commit. Superseded bodies are not held here.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::{Change, ChangeKind, ListOptions, Object, ReadError};

/// The newest state of every object, and the way back.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: BTreeMap<Arc<str>, Entry>,
    /// The newest committed revision.
    revision: u64,
    /// The oldest revision that can be read.
    floor: u64,
    /// Revisions strictly between the two numbers were never given out in this history.
    gaps: Vec<(u64, u64)>,
    /// Rows that may go once the floor reaches the revision that superseded them, oldest first.
    superseded: VecDeque<Superseded>,
}

#[derive(Debug, Default)]
struct Entry {
    current: Option<Arc<Object>>,
    /// Superseded states and tombstones, oldest first.
    older: Vec<Version>,
}

#[derive(Debug, Clone, Copy)]
struct Version {
    revision: u64,
    deleted: bool,
}

/// A row that is no longer anybody's newest state.
#[derive(Debug, Clone)]
pub(crate) struct Superseded {
    pub(crate) key: Arc<str>,
    pub(crate) revision: u64,
    /// The revision from which on it is not needed.
    pub(crate) by: u64,
    /// When that revision was committed.
    pub(crate) time: i64,
}

/// One object of a list: at hand, or to be read from disk.
#[derive(Debug)]
pub(crate) enum Found {
    Here(Arc<Object>),
    OnDisk { key: Arc<str>, revision: u64 },
}

/// A page before the disk has been asked.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) found: Vec<Found>,
    pub(crate) revision: u64,
    pub(crate) next: Option<String>,
    pub(crate) remaining: usize,
}

impl Index {
    pub(crate) fn new(revision: u64, floor: u64) -> Self {
        Self { revision, floor, ..Self::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.entries.get(key).and_then(|entry| entry.current.clone())
    }

    /// The key as it is held, so that states of one object share it.
    pub(crate) fn key(&self, key: &str) -> Arc<str> {
        self.entries.get_key_value(key).map_or_else(|| Arc::from(key), |(held, _)| Arc::clone(held))
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The newest states under a prefix.
    pub(crate) fn scan<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        self.under(prefix, Bound::Included(prefix)).filter_map(|(_, entry)| entry.current.as_ref())
    }

    fn under<'a>(
        &'a self,
        prefix: &'a str,
        from: Bound<&str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Entry)> {
        self.entries
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Whether everything after `revision` is still known.
    pub(crate) fn check(&self, revision: u64) -> Result<(), ReadError> {
        let lost = |(last, start): &(u64, u64)| *last < revision && revision < *start;
        if revision < self.floor || self.gaps.iter().any(lost) {
            return Err(ReadError::Compacted { revision, floor: self.floor });
        }
        if revision > self.revision {
            return Err(ReadError::TooLarge { revision, current: self.revision });
        }
        Ok(())
    }

    /// Which objects a list shows.
    pub(crate) fn outline(
        &self,
        prefix: &str,
        options: &ListOptions,
    ) -> Result<Outline, ReadError> {
        let at = options.at.unwrap_or(self.revision);
        self.check(at)?;
        let limit = if options.limit == 0 { usize::MAX } else { options.limit };
        let from = match &options.start_after {
            Some(key) if key.as_str() >= prefix => Bound::Excluded(key.as_str()),
            _ => Bound::Included(prefix),
        };
        let mut shown = self.under(prefix, from).filter_map(|(key, entry)| entry.at(key, at));
        let found: Vec<Found> = shown.by_ref().take(limit).collect();
        let remaining = shown.count();
        let next = found.last().filter(|_| remaining > 0).map(|last| last.key().to_owned());
        Ok(Outline { found, revision: at, next, remaining })
    }

    /// Take in a committed change.
    pub(crate) fn apply(&mut self, change: &Change, time: i64) {
        let key = &change.object.key;
        let replaced = change.previous.as_ref().map(|previous| previous.revision);
        self.supersede(key, change.revision, change.kind == ChangeKind::Deleted, replaced, time);
        let entry = self.entries.entry(Arc::clone(key)).or_default();
        if change.kind != ChangeKind::Deleted {
            entry.current = Some(Arc::clone(&change.object));
        }
        self.revision = change.revision;
    }

    /// Take in a row of the file, in the order of revisions.
    pub(crate) fn load(&mut self, object: Arc<Object>, deleted: bool, time: i64) {
        let key = Arc::clone(&object.key);
        let revision = object.revision;
        // Rows below the floor are what compaction left; only above it every revision has its row.
        if revision > self.revision.max(self.floor) + 1 && revision > self.floor {
            self.gaps.push((self.revision.max(self.floor), revision));
        }
        let replaced =
            self.entries.get(&key).and_then(|entry| entry.current.as_ref()).map(|o| o.revision);
        self.supersede(&key, revision, deleted, replaced, time);
        let entry = self.entries.entry(key).or_default();
        if !deleted {
            entry.current = Some(object);
        }
        self.revision = self.revision.max(revision);
    }

    /// Say that the next revision is `start`: what lies before it was given out in no known history.
    pub(crate) fn begin(&mut self, start: u64) {
        if start > self.revision + 1 {
            self.gaps.push((self.revision, start));
        }
    }

    fn supersede(
        &mut self,
        key: &Arc<str>,
        by: u64,
        deleted: bool,
        replaced: Option<u64>,
        time: i64,
    ) {
        let row = |revision| Superseded { key: Arc::clone(key), revision, by, time };
        self.superseded.extend(replaced.map(row));
        self.superseded.extend(deleted.then(|| row(by)));
        let entry = self.entries.entry(Arc::clone(key)).or_default();
        entry.older.extend(replaced.map(|revision| Version { revision, deleted: false }));
        if deleted {
            entry.older.push(Version { revision: by, deleted: true });
            entry.current = None;
        }
    }

    /// The rows that can go, oldest first: those superseded until `time`, and those above `rows_max`.
    pub(crate) fn compactable(&self, time: i64, rows_max: usize, most: usize) -> Vec<Superseded> {
        let excess = self.superseded.len().saturating_sub(rows_max);
        let due = self.superseded.iter().enumerate();
        // The newest row stays, whatever it says: it is the store's memory of its revision.
        due.take_while(|(at, row)| {
            (*at < excess || row.time <= time) && row.revision < self.revision
        })
        .take(most)
        .map(|(_, row)| row.clone())
        .collect()
    }

    /// Forget rows that [`compactable`](Self::compactable) named and that are gone from disk.
    pub(crate) fn compact(&mut self, rows: &[Superseded]) {
        for row in rows {
            self.superseded.pop_front();
            self.floor = self.floor.max(row.by);
            let Some(entry) = self.entries.get_mut(&row.key) else { continue };
            entry.older.retain(|version| version.revision != row.revision);
            if entry.current.is_none() && entry.older.is_empty() {
                self.entries.remove(&row.key);
            }
        }
        let floor = self.floor;
        self.gaps.retain(|(_, start)| *start > floor);
    }
}

impl Entry {
    /// The state at a revision.
    fn at(&self, key: &Arc<str>, revision: u64) -> Option<Found> {
        if let Some(current) = self.current.as_ref().filter(|now| now.revision <= revision) {
            return Some(Found::Here(Arc::clone(current)));
        }
        let version = self.older.iter().rev().find(|version| version.revision <= revision)?;
        let on_disk = Found::OnDisk { key: Arc::clone(key), revision: version.revision };
        (!version.deleted).then_some(on_disk)
    }
}

impl Found {
    fn key(&self) -> &str {
        match self {
            Self::Here(object) => &object.key,
            Self::OnDisk { key, .. } => key,
        }
    }
}
