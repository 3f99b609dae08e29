//! The cache of objects; objects that are not cached are on disk only. The limit covers all memory
//! that objects take, including the keys of objects that are not cached.
//!
//! The oldest entry is evicted first, unless it was read since its last turn: then it moves to the
//! back of the queue instead (the "second chance" or clock algorithm, whose reads need no lock).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Object;

/// Approximate memory of an object in addition to its body, in bytes.
const OBJECT_BYTES: usize = 192;
/// Approximate memory of a key in addition to its text, in bytes. Keys of uncached objects count
/// too.
const KEY_BYTES: usize = 128;
/// This fraction (1/n) of the limit is reserved for bodies, regardless of the number of keys.
const BODIES_PART: usize = 4;

/// The eviction queue of the cached objects.
#[derive(Debug)]
pub(crate) struct ObjectCache {
    queue: BTreeMap<u64, Arc<str>>,
    next: u64,
    bytes: usize,
    key_bytes: usize,
    bytes_max: usize,
}

/// A cached object and its position in the eviction queue.
#[derive(Debug)]
pub(crate) struct CachedObject {
    object: Arc<Object>,
    position: u64,
    is_used: AtomicBool,
}

impl CachedObject {
    /// Return the object and mark it as used.
    pub(crate) fn read(&self) -> Arc<Object> {
        self.is_used.store(true, Ordering::Relaxed);
        Arc::clone(&self.object)
    }

    pub(crate) fn revision(&self) -> u64 {
        self.object.revision
    }

    fn bytes(&self) -> usize {
        self.object.body.len() + OBJECT_BYTES
    }
}

impl ObjectCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { queue: BTreeMap::new(), next: 0, bytes: 0, key_bytes: 0, bytes_max }
    }

    /// Account for a new key, whether its object is cached or not.
    pub(crate) fn add_key(&mut self, key: &str) {
        self.key_bytes += key.len() + KEY_BYTES;
    }

    /// Account for a removed key.
    pub(crate) fn remove_key(&mut self, key: &str) {
        self.key_bytes -= key.len() + KEY_BYTES;
    }

    /// Insert an object into the cache.
    pub(crate) fn insert(&mut self, object: Arc<Object>) -> CachedObject {
        let position = self.enqueue(Arc::clone(&object.key));
        let cached = CachedObject { object, position, is_used: AtomicBool::new(false) };
        self.bytes += cached.bytes();
        cached
    }

    /// Remove an object from the cache.
    pub(crate) fn remove(&mut self, cached: &CachedObject) {
        self.queue.remove(&cached.position);
        self.bytes -= cached.bytes();
    }

    /// The key of the next candidate for eviction, if the cache exceeds its limit.
    pub(crate) fn eviction_candidate(&self) -> Option<Arc<str>> {
        let available =
            self.bytes_max.saturating_sub(self.key_bytes).max(self.bytes_max / BODIES_PART);
        let first = self.queue.first_key_value().filter(|_| self.bytes > available);
        first.map(|(_, key)| Arc::clone(key))
    }

    /// Give the candidate a second chance if it was read in the meantime. Returns whether it got
    /// one.
    pub(crate) fn second_chance(&mut self, cached: &mut CachedObject) -> bool {
        let is_used = std::mem::take(cached.is_used.get_mut());
        if is_used && let Some(key) = self.queue.remove(&cached.position) {
            cached.position = self.enqueue(key);
        }
        is_used
    }

    fn enqueue(&mut self, key: Arc<str>) -> u64 {
        self.next += 1;
        self.queue.insert(self.next, key);
        self.next
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn object(key: &str) -> Arc<Object> {
        Arc::new(Object {
            key: Arc::from(key),
            revision: 1,
            body: Bytes::from_static(b"0123456789"),
        })
    }

    #[test]
    fn the_oldest_is_evicted_unless_it_was_read() {
        let mut cache = ObjectCache::new(2 * (10 + OBJECT_BYTES));
        let mut cached: Vec<_> = ["a", "b", "c"].map(|key| cache.insert(object(key))).into();
        cached[0].read();
        assert_eq!(cache.eviction_candidate().as_deref(), Some("a"));
        assert!(cache.second_chance(&mut cached[0]), "it was read");
        assert_eq!(cache.eviction_candidate().as_deref(), Some("b"));
        assert!(!cache.second_chance(&mut cached[1]), "it was not read");
        cache.remove(&cached[1]);
        assert_eq!(cache.eviction_candidate(), None);
        cached.push(cache.insert(object("d")));
        assert_eq!(cache.eviction_candidate().as_deref(), Some("c"));
    }

    #[test]
    fn keys_take_space_but_not_all_of_it() {
        let mut cache = ObjectCache::new(4 * (10 + OBJECT_BYTES));
        cache.insert(object("a"));
        for _ in 0..100 {
            cache.add_key("somewhere else");
        }
        assert_eq!(cache.eviction_candidate(), None, "a quarter is reserved for bodies");
        cache.insert(object("b"));
        assert_eq!(cache.eviction_candidate().as_deref(), Some("a"));
        for _ in 0..100 {
            cache.remove_key("somewhere else");
        }
        assert_eq!(cache.eviction_candidate(), None);
    }
}
