//! The index of all committed objects by key, with the revisions of their states on disk.
//!
//! The newest states are cached in memory as far as there is space; superseded ones are not. Only
//! the writer changes the index, after a commit.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::object_cache::{CachedObject, ObjectCache};
use crate::{Change, ChangeKind, ListOptions, Object, ReadError};

/// All keys with their revisions, and the superseded revisions to compact.
#[derive(Debug)]
pub(crate) struct Index {
    entries: BTreeMap<Arc<str>, Entry>,
    cache: ObjectCache,
    /// The newest committed revision.
    revision: u64,
    /// The oldest revision that can be read.
    compact_revision: u64,
    /// Pairs of revisions. Revisions strictly between the two were never allocated in this history.
    unallocated: Vec<(u64, u64)>,
    /// Superseded rows, oldest first. A row may be removed when the oldest readable revision has
    /// reached the revision that superseded it.
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
    Cached(Box<CachedObject>),
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
pub(crate) enum Lookup {
    Cached(Arc<Object>),
    OnDisk { key: Arc<str>, revision: u64 },
}

/// A page of a list before its uncached objects are read from disk.
#[derive(Debug)]
pub(crate) struct ListPlan {
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) revision: u64,
    pub(crate) next: Option<String>,
    pub(crate) remaining: Option<usize>,
}

impl Index {
    /// An empty index that caches at most `bytes_max` bytes of objects.
    pub(crate) fn new(revision: u64, compact_revision: u64, bytes_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            cache: ObjectCache::new(bytes_max),
            revision,
            compact_revision,
            unallocated: Vec::new(),
            superseded: VecDeque::new(),
        }
    }

    /// The newest state of an object.
    pub(crate) fn get(&self, key: &str) -> Option<Lookup> {
        self.entries.get_key_value(key).and_then(|(key, entry)| entry.newest(key))
    }

    /// The shared key, so that all states of an object use one allocation, and the newest state.
    pub(crate) fn get_with_key(&self, key: &str) -> (Option<Arc<str>>, Option<Lookup>) {
        match self.entries.get_key_value(key) {
            Some((key, entry)) => (Some(Arc::clone(key)), entry.newest(key)),
            None => (None, None),
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn compact_revision(&self) -> u64 {
        self.compact_revision
    }

    /// The newest states of all objects under a prefix.
    pub(crate) fn scan<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = Lookup> {
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
        let is_unallocated = |(last, start): &(u64, u64)| *last < revision && revision < *start;
        if revision < self.compact_revision || self.unallocated.iter().any(is_unallocated) {
            return Err(ReadError::Compacted { revision, oldest: self.compact_revision });
        }
        if revision > self.revision {
            return Err(ReadError::TooLarge { revision, current: self.revision });
        }
        Ok(())
    }

    /// The objects of one page of a list.
    pub(crate) fn plan_list(
        &self,
        prefix: &str,
        options: &ListOptions,
    ) -> Result<ListPlan, ReadError> {
        let revision = options.at.unwrap_or(self.revision);
        self.check(revision)?;
        let limit = if options.limit == 0 { usize::MAX } else { options.limit };
        let from = match &options.start_after {
            Some(key) if key.as_str() >= prefix => Bound::Excluded(key.as_str()),
            _ => Bound::Included(prefix),
        };
        let mut entries = self.under(prefix, from).filter_map(|(key, entry)| {
            entry.revision_at(revision).map(|revision| (key, entry, revision))
        });
        let of_page = entries.by_ref().take(limit);
        let lookups: Vec<Lookup> =
            of_page.map(|(key, entry, revision)| entry.state(key, revision)).collect();
        let has_more = entries.next().is_some();
        let remaining = options.counts_rest.then(|| usize::from(has_more) + entries.count());
        let next = lookups.last().filter(|_| has_more).map(|last| last.key().to_string());
        Ok(ListPlan { lookups, revision, next, remaining })
    }

    /// Apply a committed change.
    pub(crate) fn apply(&mut self, change: &Change, time: i64) {
        self.supersede(&change.object, change.kind == ChangeKind::Deleted, time);
        self.revision = change.revision;
    }

    /// Load a row of the file. Rows must be loaded in ascending order of their revisions.
    pub(crate) fn load(&mut self, object: &Arc<Object>, deleted: bool, time: i64) {
        let revision = object.revision;
        // Compaction may have left some rows below the oldest readable revision. Above it, each
        // revision has a row.
        if revision > self.revision.max(self.compact_revision) + 1
            && revision > self.compact_revision
        {
            self.unallocated.push((self.revision.max(self.compact_revision), revision));
        }
        self.supersede(object, deleted, time);
        self.revision = self.revision.max(revision);
    }

    /// Set the next revision to `start`. The revisions skipped were allocated in no known history.
    pub(crate) fn skip_to(&mut self, start: u64) {
        if start > self.revision + 1 {
            self.unallocated.push((self.revision, start));
        }
    }

    /// Cache an object that was read from disk, if it is still the newest state.
    pub(crate) fn cache_object(&mut self, object: &Arc<Object>) {
        let entry = self.entries.get_mut(&object.key);
        if let Some(current) = entry.and_then(|entry| entry.current.as_mut())
            && matches!(current, Current::OnDisk { revision } if *revision == object.revision)
        {
            *current = Current::Cached(Box::new(self.cache.insert(Arc::clone(object))));
            self.evict();
        }
    }

    /// Evict cached objects while they exceed the limit.
    fn evict(&mut self) {
        while let Some(key) = self.cache.eviction_candidate() {
            let current = self.entries.get_mut(&key).and_then(|entry| entry.current.as_mut());
            let Some(current) = current else { return };
            let Current::Cached(cached) = current else { return };
            if !self.cache.second_chance(cached) {
                self.cache.remove(cached);
                *current = Current::OnDisk { revision: cached.revision() };
            }
        }
    }

    /// Replace the newest state of an object, if it has one, by this state or by a deletion.
    fn supersede(&mut self, object: &Arc<Object>, deleted: bool, time: i64) {
        let (key, by) = (&object.key, object.revision);
        let entry = self.entries.entry(Arc::clone(key)).or_insert_with(|| {
            self.cache.add_key(key);
            Entry::default()
        });
        let replaced = entry.current.take().map(|current| match current {
            Current::Cached(cached) => {
                self.cache.remove(&cached);
                cached.revision()
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
            let cached = self.cache.insert(Arc::clone(object));
            entry.current = Some(Current::Cached(Box::new(cached)));
            self.evict();
        }
    }

    /// Whether there are rows that [`compactable`](Self::compactable) may return, now or later.
    pub(crate) fn has_superseded(&self) -> bool {
        self.superseded.front().is_some_and(|row| row.revision < self.revision)
    }

    /// The rows that may be removed, oldest first: those superseded up to `time`, and those in
    /// excess of `rows_max`.
    pub(crate) fn compactable(
        &self,
        time: i64,
        rows_max: usize,
        count_max: usize,
    ) -> Vec<Superseded> {
        let excess = self.superseded.len().saturating_sub(rows_max);
        let due = self.superseded.iter().enumerate();
        // Keep the newest row under all conditions: it preserves the store's current revision.
        due.take_while(|(at, row)| {
            (*at < excess || row.time <= time) && row.revision < self.revision
        })
        .take(count_max)
        .map(|(_, row)| row.clone())
        .collect()
    }

    /// Drop rows that [`compactable`](Self::compactable) returned and that were deleted from disk.
    pub(crate) fn compact(&mut self, rows: &[Superseded]) {
        for row in rows {
            self.superseded.pop_front();
            self.compact_revision = self.compact_revision.max(row.by);
            let Some(entry) = self.entries.get_mut(&row.key) else { continue };
            entry.older.retain(|version| version.revision != row.revision);
            if entry.current.is_none() && entry.older.is_empty() {
                self.entries.remove(&row.key);
                self.cache.remove_key(&row.key);
            }
        }
        let compact_revision = self.compact_revision;
        self.unallocated.retain(|(_, start)| *start > compact_revision);
    }
}

impl Entry {
    fn newest(&self, key: &Arc<str>) -> Option<Lookup> {
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
    fn state(&self, key: &Arc<str>, revision: u64) -> Lookup {
        match &self.current {
            Some(Current::Cached(cached)) if cached.revision() == revision => {
                Lookup::Cached(cached.read())
            }
            _ => Lookup::OnDisk { key: Arc::clone(key), revision },
        }
    }
}

impl Current {
    fn revision(&self) -> u64 {
        match self {
            Self::Cached(cached) => cached.revision(),
            Self::OnDisk { revision } => *revision,
        }
    }
}

impl Lookup {
    pub(crate) fn key(&self) -> &Arc<str> {
        match self {
            Self::Cached(object) => &object.key,
            Self::OnDisk { key, .. } => key,
        }
    }
}

/// The revisions that must be read from disk.
pub(crate) fn uncached(lookups: &[Lookup]) -> Vec<u64> {
    let revisions = lookups.iter().filter_map(|lookup| match lookup {
        Lookup::OnDisk { revision, .. } => Some(*revision),
        Lookup::Cached(_) => None,
    });
    revisions.collect()
}

/// Truncate a list before its first object on disk that was not read; `read` of them were.
pub(crate) fn cut(lookups: &mut Vec<Lookup>, read: usize) {
    let mut unread =
        lookups.iter().enumerate().filter(|(_, lookup)| matches!(lookup, Lookup::OnDisk { .. }));
    if let Some((at, _)) = unread.nth(read) {
        lookups.truncate(at);
    }
}

/// Truncate a list after the object whose body brings the total to `bytes_max`.
pub(crate) fn truncate_bytes(objects: &mut Vec<Arc<Object>>, bytes_max: usize) {
    let mut bytes = 0_usize;
    let full = objects.iter().position(|object| {
        bytes = bytes.saturating_add(object.body.len());
        bytes >= bytes_max
    });
    if let Some(last) = full {
        objects.truncate(last + 1);
    }
}

/// Combine a lookup with the objects that were read for [`uncached`]. A row that was not found is
/// an error.
pub(crate) fn resolve(
    lookups: Vec<Lookup>,
    read: Vec<Option<Arc<Object>>>,
    missing: impl Fn(u64) -> ReadError,
) -> Result<Vec<Arc<Object>>, ReadError> {
    let mut read = read.into_iter();
    let objects = lookups.into_iter().map(|lookup| match lookup {
        Lookup::Cached(object) => Ok(object),
        Lookup::OnDisk { revision, .. } => read.next().flatten().ok_or_else(|| missing(revision)),
    });
    objects.collect()
}
