//! The index of all committed objects by key, with the revisions of their states on disk.
//!
//! The newest states are cached in memory as far as there is space; superseded ones are not. Only
//! the writer changes the index, after a commit.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::resident::{Resident, Residents};
use crate::{Change, ChangeKind, ListOptions, Object, ReadError};

/// All keys with their revisions, and what a key needs to be compacted.
#[derive(Debug)]
pub(crate) struct Index {
    entries: BTreeMap<Arc<str>, Entry>,
    residents: Residents,
    /// The newest committed revision.
    revision: u64,
    /// The oldest revision that can be read.
    floor: u64,
    /// Pairs of revisions. Revisions strictly between the two were never allocated in this history.
    gaps: Vec<(u64, u64)>,
    /// Rows that may be removed once the floor reaches the revision that superseded them, oldest
    /// first.
    superseded: VecDeque<Superseded>,
}

#[derive(Debug, Default)]
struct Entry {
    current: Option<Current>,
    /// Superseded states and tombstones, oldest first.
    older: Vec<Version>,
}

/// The newest state of an object.
#[derive(Debug)]
enum Current {
    // Boxed: in a large store, most objects are not cached.
    Here(Box<Resident>),
    OnDisk { revision: u64 },
}

#[derive(Debug, Clone, Copy)]
struct Version {
    revision: u64,
    deleted: bool,
}

/// A row that is no longer the newest state of an object.
#[derive(Debug, Clone)]
pub(crate) struct Superseded {
    pub(crate) key: Arc<str>,
    pub(crate) revision: u64,
    /// The revision that superseded it: from there on the row is not needed.
    pub(crate) by: u64,
    /// When that revision was committed, in microseconds since the Unix epoch.
    pub(crate) time: i64,
}

/// An object: cached, or to be read from disk.
#[derive(Debug)]
pub(crate) enum Found {
    Here(Arc<Object>),
    OnDisk { key: Arc<str>, revision: u64 },
}

/// A page of a list before its uncached objects are read from disk.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) found: Vec<Found>,
    pub(crate) revision: u64,
    pub(crate) next: Option<String>,
    pub(crate) remaining: Option<usize>,
}

impl Index {
    /// An empty index that caches at most `bytes_max` bytes of objects.
    pub(crate) fn new(revision: u64, floor: u64, bytes_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            residents: Residents::new(bytes_max),
            revision,
            floor,
            gaps: Vec::new(),
            superseded: VecDeque::new(),
        }
    }

    /// The newest state of an object.
    pub(crate) fn get(&self, key: &str) -> Option<Found> {
        self.entries.get_key_value(key).and_then(|(key, entry)| entry.newest(key))
    }

    /// The shared key, so that all states of an object use one allocation, and the newest state.
    pub(crate) fn look_up(&self, key: &str) -> (Option<Arc<str>>, Option<Found>) {
        match self.entries.get_key_value(key) {
            Some((key, entry)) => (Some(Arc::clone(key)), entry.newest(key)),
            None => (None, None),
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The newest states of all objects under a prefix.
    pub(crate) fn scan<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = Found> {
        self.under(prefix, Bound::Included(prefix)).filter_map(|(key, entry)| entry.newest(key))
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

    /// Check that `revision` can be read, and that all changes after it are retained.
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

    /// The objects of one page of a list.
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
        let mut shown = self.under(prefix, from).filter_map(|(key, entry)| {
            entry.revision_at(at).map(|revision| (key, entry, revision))
        });
        let of_page = shown.by_ref().take(limit);
        let found: Vec<Found> =
            of_page.map(|(key, entry, revision)| entry.state(key, revision)).collect();
        let has_more = shown.next().is_some();
        let remaining = options.counts_rest.then(|| usize::from(has_more) + shown.count());
        let next = found.last().filter(|_| has_more).map(|last| last.key().to_string());
        Ok(Outline { found, revision: at, next, remaining })
    }

    /// Apply a committed change.
    pub(crate) fn apply(&mut self, change: &Change, time: i64) {
        self.supersede(&change.object, change.kind == ChangeKind::Deleted, time);
        self.revision = change.revision;
    }

    /// Load a row of the file. Rows must be loaded in ascending order of their revisions.
    pub(crate) fn load(&mut self, object: &Arc<Object>, deleted: bool, time: i64) {
        let revision = object.revision;
        // Below the floor, rows are what compaction left over. Only above it each revision has a
        // row.
        if revision > self.revision.max(self.floor) + 1 && revision > self.floor {
            self.gaps.push((self.revision.max(self.floor), revision));
        }
        self.supersede(object, deleted, time);
        self.revision = self.revision.max(revision);
    }

    /// Set the next revision to `start`. The revisions skipped were allocated in no known history.
    pub(crate) fn begin(&mut self, start: u64) {
        if start > self.revision + 1 {
            self.gaps.push((self.revision, start));
        }
    }

    /// Cache an object that was read from disk, if it is still the newest state.
    pub(crate) fn restore(&mut self, object: &Arc<Object>) {
        let entry = self.entries.get_mut(&object.key);
        if let Some(current) = entry.and_then(|entry| entry.current.as_mut())
            && matches!(current, Current::OnDisk { revision } if *revision == object.revision)
        {
            *current = Current::Here(Box::new(self.residents.admit(Arc::clone(object))));
            self.evict();
        }
    }

    /// Evict cached objects while they exceed the limit.
    fn evict(&mut self) {
        while let Some(key) = self.residents.due() {
            let current = self.entries.get_mut(&key).and_then(|entry| entry.current.as_mut());
            let Some(current) = current else { return };
            let Current::Here(resident) = current else { return };
            if !self.residents.defer(resident) {
                self.residents.release(resident);
                *current = Current::OnDisk { revision: resident.revision() };
            }
        }
    }

    /// Replace the newest state of an object, if it has one, by this state or by a deletion.
    fn supersede(&mut self, object: &Arc<Object>, deleted: bool, time: i64) {
        let (key, by) = (&object.key, object.revision);
        let entry = self.entries.entry(Arc::clone(key)).or_insert_with(|| {
            self.residents.add_key(key);
            Entry::default()
        });
        let replaced = entry.current.take().map(|current| match current {
            Current::Here(resident) => {
                self.residents.release(&resident);
                resident.revision()
            }
            Current::OnDisk { revision } => revision,
        });
        let row = |revision| Superseded { key: Arc::clone(key), revision, by, time };
        self.superseded.extend(replaced.map(row));
        self.superseded.extend(deleted.then(|| row(by)));
        entry.older.extend(replaced.map(|revision| Version { revision, deleted: false }));
        if deleted {
            entry.older.push(Version { revision: by, deleted: true });
        } else {
            let held = self.residents.admit(Arc::clone(object));
            entry.current = Some(Current::Here(Box::new(held)));
            self.evict();
        }
    }

    /// Whether there are rows that [`compactable`](Self::compactable) may return, now or later.
    pub(crate) fn has_superseded(&self) -> bool {
        self.superseded.front().is_some_and(|row| row.revision < self.revision)
    }

    /// The rows that may be removed, oldest first: those superseded up to `time`, and those in
    /// excess of `rows_max`.
    pub(crate) fn compactable(&self, time: i64, rows_max: usize, most: usize) -> Vec<Superseded> {
        let excess = self.superseded.len().saturating_sub(rows_max);
        let due = self.superseded.iter().enumerate();
        // Keep the newest row under all conditions: it preserves the store's current revision.
        due.take_while(|(at, row)| {
            (*at < excess || row.time <= time) && row.revision < self.revision
        })
        .take(most)
        .map(|(_, row)| row.clone())
        .collect()
    }

    /// Drop rows that [`compactable`](Self::compactable) returned and that were deleted from disk.
    pub(crate) fn compact(&mut self, rows: &[Superseded]) {
        for row in rows {
            self.superseded.pop_front();
            self.floor = self.floor.max(row.by);
            let Some(entry) = self.entries.get_mut(&row.key) else { continue };
            entry.older.retain(|version| version.revision != row.revision);
            if entry.current.is_none() && entry.older.is_empty() {
                self.entries.remove(&row.key);
                self.residents.remove_key(&row.key);
            }
        }
        let floor = self.floor;
        self.gaps.retain(|(_, start)| *start > floor);
    }
}

impl Entry {
    fn newest(&self, key: &Arc<str>) -> Option<Found> {
        self.current.as_ref().map(|current| self.state(key, current.revision()))
    }

    /// The revision of the object's state at `revision`; `None` if it did not exist then.
    fn revision_at(&self, revision: u64) -> Option<u64> {
        let current = self.current.as_ref().map(Current::revision);
        current.filter(|current| *current <= revision).or_else(|| {
            let version = self.older.iter().rev().find(|version| version.revision <= revision)?;
            (!version.deleted).then_some(version.revision)
        })
    }

    /// The state of the object that `revision` wrote.
    fn state(&self, key: &Arc<str>, revision: u64) -> Found {
        match &self.current {
            Some(Current::Here(resident)) if resident.revision() == revision => {
                Found::Here(resident.read())
            }
            _ => Found::OnDisk { key: Arc::clone(key), revision },
        }
    }
}

impl Current {
    fn revision(&self) -> u64 {
        match self {
            Self::Here(resident) => resident.revision(),
            Self::OnDisk { revision } => *revision,
        }
    }
}

impl Found {
    pub(crate) fn key(&self) -> &Arc<str> {
        match self {
            Self::Here(object) => &object.key,
            Self::OnDisk { key, .. } => key,
        }
    }
}

/// The revisions that must be read from disk.
pub(crate) fn missing(found: &[Found]) -> Vec<u64> {
    let missing = found.iter().filter_map(|one| match one {
        Found::OnDisk { revision, .. } => Some(*revision),
        Found::Here(_) => None,
    });
    missing.collect()
}

/// Truncate a list before its first object on disk that was not read; `read` of them were.
pub(crate) fn cut(found: &mut Vec<Found>, read: usize) {
    let mut unread =
        found.iter().enumerate().filter(|(_, one)| matches!(one, Found::OnDisk { .. }));
    if let Some((at, _)) = unread.nth(read) {
        found.truncate(at);
    }
}

/// Truncate a list after the object whose body brings the total to `bytes_max`.
pub(crate) fn cut_bytes(objects: &mut Vec<Arc<Object>>, bytes_max: usize) {
    let mut bytes = 0_usize;
    let full = objects.iter().position(|object| {
        bytes = bytes.saturating_add(object.body.len());
        bytes >= bytes_max
    });
    if let Some(last) = full {
        objects.truncate(last + 1);
    }
}

/// Combine a lookup with the objects that were read for [`missing`]. A row that was not found is an
/// error.
pub(crate) fn complete(
    found: Vec<Found>,
    read: Vec<Option<Arc<Object>>>,
    gone: impl Fn(u64) -> ReadError,
) -> Result<Vec<Arc<Object>>, ReadError> {
    let mut read = read.into_iter();
    let objects = found.into_iter().map(|one| match one {
        Found::Here(object) => Ok(object),
        Found::OnDisk { revision, .. } => read.next().flatten().ok_or_else(|| gone(revision)),
    });
    objects.collect()
}
