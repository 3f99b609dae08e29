//! Which objects were read, and how far: those that were modified since the horizon. All older ones
//! count as read.
//!
//! The times are those of the store, so the clock of this server does not matter. In a folder a time
//! is the choice of who writes the file, and a copy has that of its original: there, all files are
//! remembered, and the horizon moves only if they are too many.
//!
//! A position is an object of Keepwatch's store, and is written in the transaction of the events
//! before it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use event::Timestamp;
use event::limit::hex;
use objectstore::ObjectEntry;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::is_idle;
use crate::envelopes::Position;
use crate::limits::{BUCKET_SEEN_MAX, BUCKET_WINDOW};
use crate::recorder::StoredObject;
use crate::splitter::DIGEST_LEN;

/// Where the positions of all buckets are stored.
const STATE_PREFIX: &str = "internal/buckets/";
/// The rest of the key of the object with the horizon.
const HORIZON: &str = "horizon";

/// How far an object was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Its end has not been read yet.
    Reading,
    /// It was read except for its last record, which is not complete.
    Waiting,
    /// It was read completely.
    Done,
}

/// How far an object was read, and which version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Identifies its content.
    pub(super) version: String,
    pub(super) modified: Timestamp,
    pub(super) position: Position,
    pub(super) state: State,
    /// Whether the part of it that was read last has events. Objects of other logs do not say that
    /// events are still delivered.
    pub(super) has_events: bool,
}

/// The body of the object with a position.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    key: String,
    version: String,
    /// In microseconds since the Unix epoch.
    modified: i64,
    state: State,
    offset: u64,
    tail: String,
    skip: u64,
    chain: String,
    #[serde(default)]
    has_events: bool,
}

/// The body of the object with the horizon.
#[derive(Debug, Serialize, Deserialize)]
struct HorizonBody {
    /// In microseconds since the Unix epoch.
    horizon: i64,
}

/// The objects of one prefix.
#[derive(Debug)]
pub(super) struct Window {
    /// The prefix of the keys in Keepwatch's store.
    prefix: String,
    /// The times are not those of a store.
    is_folder: bool,
    horizon: Timestamp,
    objects: HashMap<String, Progress>,
}

impl Progress {
    /// An object that must be read.
    pub(super) fn new(object: &ObjectEntry, position: Position) -> Self {
        let state = State::Reading;
        Self {
            version: version(object),
            modified: object.modified,
            position,
            state,
            has_events: false,
        }
    }

    /// The body of its object in Keepwatch's store.
    pub(super) fn body(&self, key: &str) -> Bytes {
        let Position { offset, tail, skip, chain } = &self.position;
        let body = Body {
            key: key.to_owned(),
            version: self.version.clone(),
            modified: self.modified.as_micros(),
            state: self.state,
            offset: *offset,
            tail: hex(tail),
            skip: *skip,
            chain: hex(chain),
            has_events: self.has_events,
        };
        Bytes::from(serde_json::to_vec(&body).unwrap_or_default())
    }

    fn read(body: &[u8]) -> Option<(String, Self)> {
        let body: Body = serde_json::from_slice(body).ok()?;
        let Body { key, version, modified, state, offset, tail, skip, chain, has_events } = body;
        let chain = bytes(&chain)?.try_into().ok()?;
        let position = Position { offset, tail: bytes(&tail)?, skip, chain };
        Some((
            key,
            Self {
                version,
                modified: Timestamp::from_micros(modified),
                position,
                state,
                has_events,
            },
        ))
    }
}

impl Window {
    /// The prefix of the keys of a location.
    pub(super) fn prefix(cluster: &str, url: &str) -> String {
        format!("{STATE_PREFIX}{cluster}/{}/", name(url))
    }

    /// The key of the position in an object.
    pub(super) fn key(cluster: &str, url: &str, key: &str) -> String {
        format!("{}{}", Self::prefix(cluster, url), name(key))
    }

    /// Reads stored objects. One that cannot be read is ignored: objects that are read again are
    /// better than objects that are not.
    pub(super) fn read(prefix: String, is_folder: bool, objects: &[(String, Bytes)]) -> Self {
        let (mut horizon, mut progress) = (Timestamp::from_micros(i64::MIN), HashMap::new());
        for (key, body) in objects {
            if key.strip_prefix(&prefix) == Some(HORIZON) {
                let body: Option<HorizonBody> = serde_json::from_slice(body).ok();
                horizon = body.map_or(horizon, |body| Timestamp::from_micros(body.horizon));
                continue;
            }
            match Progress::read(body) {
                Some((key, object)) => drop(progress.insert(key, object)),
                None => {
                    tracing::warn!(key, "cannot read the position in an object; it is read again");
                }
            }
        }
        Self { prefix, is_folder, horizon, objects: progress }
    }

    /// Whether an object cannot be remembered. Objects that cannot be read hold the horizon, and the
    /// others wait for them then.
    pub(super) fn is_full_for(&self, object: &ObjectEntry) -> bool {
        object.modified >= self.horizon
            && self.objects.len() >= 2 * BUCKET_SEEN_MAX
            && !self.objects.contains_key(&object.key)
    }

    /// Where an object is read on; `None` if there is nothing to read.
    pub(super) fn due(&self, object: &ObjectEntry, now: Timestamp) -> Option<Position> {
        if object.modified < self.horizon {
            return None;
        }
        let Some(progress) = self.objects.get(&object.key) else {
            return Some(Position::default());
        };
        let is_due = match progress.state {
            _ if progress.version != version(object) => true,
            State::Reading => true,
            State::Waiting => is_idle(object.modified, now),
            State::Done => false,
        };
        is_due.then(|| progress.position.clone())
    }

    /// The keys of the objects that were not read to their end.
    pub(super) fn open(&self) -> HashSet<String> {
        let open = self.objects.iter().filter(|(_, progress)| progress.state != State::Done);
        open.map(|(key, _)| key.clone()).collect()
    }

    /// The keys of the objects that may be forgotten if they no longer exist.
    pub(super) fn removable(&self) -> HashSet<String> {
        if self.is_folder && self.excess() > 0 {
            let read = self.objects.iter().filter(|(_, progress)| progress.state == State::Done);
            read.map(|(key, _)| key.clone()).collect()
        } else {
            HashSet::new()
        }
    }

    /// Of these objects, the oldest ones that have to be forgotten.
    pub(super) fn oldest(&self, keys: HashSet<String>) -> HashSet<String> {
        let time = |key: &String| self.objects.get(key).map(|progress| progress.modified);
        let mut keys: Vec<String> = keys.into_iter().collect();
        keys.sort_by_cached_key(time);
        keys.truncate(self.excess());
        keys.into_iter().collect()
    }

    /// Forgets objects. Returns what changes in Keepwatch's store.
    pub(super) fn remove(&mut self, keys: HashSet<String>) -> Vec<StoredObject> {
        let known = keys.into_iter().filter(|key| self.objects.remove(key).is_some());
        let prefix = &self.prefix;
        known
            .map(|key| StoredObject { key: format!("{prefix}{}", name(&key)), body: None })
            .collect()
    }

    /// Notes how far an object was read.
    pub(super) fn insert(&mut self, key: String, progress: Progress) {
        self.objects.insert(key, progress);
    }

    /// Moves the horizon, if all objects up to `read_up_to` were read, except those since `failed`.
    /// Returns what changes in Keepwatch's store.
    pub(super) fn advance(
        &mut self,
        failed: Option<Timestamp>,
        read_up_to: Timestamp,
        newest: Timestamp,
    ) -> Option<Vec<StoredObject>> {
        let window = i64::try_from(BUCKET_WINDOW.as_micros()).unwrap_or(i64::MAX);
        let oldest_open = self.objects.values().filter(|progress| progress.state != State::Done);
        let oldest_open = oldest_open.map(|progress| progress.modified).min();
        let start = if self.is_folder {
            self.horizon
        } else {
            Timestamp::from_micros(newest.as_micros().saturating_sub(window))
        };
        let mut horizon = read_up_to.min(start).max(self.horizon);
        horizon = horizon.max(self.crowded().min(read_up_to));
        for limit in [failed, oldest_open].into_iter().flatten() {
            horizon = horizon.min(limit);
        }
        let horizon = horizon.max(self.horizon);
        if horizon == self.horizon {
            return None;
        }
        self.horizon = horizon;
        let body = serde_json::to_vec(&HorizonBody { horizon: horizon.as_micros() });
        let body = Some(Bytes::from(body.unwrap_or_default()));
        let mut changes = vec![StoredObject { key: format!("{}{HORIZON}", self.prefix), body }];
        let old = self.objects.extract_if(|_, progress| progress.modified < horizon);
        let prefix = &self.prefix;
        changes.extend(
            old.map(|(key, _)| StoredObject { key: format!("{prefix}{}", name(&key)), body: None }),
        );
        Some(changes)
    }

    /// When the newest object with events was written.
    pub(super) fn newest_with_events(&self) -> Option<Timestamp> {
        self.objects
            .values()
            .filter(|progress| progress.has_events)
            .map(|progress| progress.modified)
            .max()
    }

    /// The number of objects beyond [`BUCKET_SEEN_MAX`].
    fn excess(&self) -> usize {
        self.objects.len().saturating_sub(BUCKET_SEEN_MAX)
    }

    /// The time from which on there are only as many objects as may be remembered.
    fn crowded(&self) -> Timestamp {
        let excess = self.excess();
        if excess == 0 {
            return Timestamp::from_micros(i64::MIN);
        }
        let mut times: Vec<Timestamp> =
            self.objects.values().map(|progress| progress.modified).collect();
        let (_, time, _) = times.select_nth_unstable(excess);
        *time
    }
}

/// Identifies the content of an object: its entity tag, or its time and size if the store has none.
fn version(object: &ObjectEntry) -> String {
    if object.etag.is_empty() {
        format!("{}-{}", object.modified.as_micros(), object.size)
    } else {
        object.etag.clone()
    }
}

/// A part of a key for a text of any length.
fn name(text: &str) -> String {
    hex(&Sha256::digest(text)[..DIGEST_LEN])
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};

    use super::super::listing::{self, Batch};
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn object(key: &str, hour: i64, etag: &str) -> ObjectEntry {
        let modified = Timestamp::from_micros(hour * HOUR);
        ObjectEntry { key: key.to_owned(), size: 1, etag: etag.to_owned(), modified }
    }

    fn empty() -> Window {
        Window::read(Window::prefix("prod", "s3://a"), false, &[])
    }

    fn done(window: &mut Window, object: &ObjectEntry, state: State) {
        let position = Position { offset: 7, tail: vec![1, 255], skip: 1, chain: [9; DIGEST_LEN] };
        let progress = Progress { state, ..Progress::new(object, position) };
        window.insert(object.key.clone(), progress);
    }

    #[test]
    fn an_object_that_appears_late_or_changes_is_due() {
        let mut window = empty();
        let now = Timestamp::from_micros(100 * HOUR);
        let is_due = |window: &Window, key, hour, etag| {
            window.due(&object(key, hour, etag), now).map(|position| position.offset)
        };
        assert_eq!(is_due(&window, "b", 50, "1"), Some(0));
        done(&mut window, &object("b", 50, "1"), State::Done);
        assert_eq!(is_due(&window, "b", 50, "1"), None);
        assert_eq!(is_due(&window, "b", 51, "2"), Some(7), "it changed");
        let newest = Timestamp::from_micros(50 * HOUR);
        assert!(window.advance(None, newest, newest).is_some());
        assert_eq!(is_due(&window, "a", 45, "1"), Some(0), "its key is smaller, and it is late");
        assert_eq!(is_due(&window, "a", 43, "1"), None, "it counts as read");
    }

    #[test]
    fn objects_that_are_not_read_hold_the_horizon() {
        let now = Timestamp::from_micros(100 * HOUR);
        for (state, failed) in
            [(State::Waiting, None), (State::Reading, None), (State::Done, Some(10))]
        {
            let mut window = empty();
            done(&mut window, &object("old", 10, "1"), state);
            done(&mut window, &object("new", 90, "1"), State::Done);
            let failed = failed.map(|hour| Timestamp::from_micros(hour * HOUR));
            let newest = Timestamp::from_micros(90 * HOUR);
            window.advance(failed, newest, newest);
            assert_eq!(window.objects.len(), 2, "{state:?}");
            let is_due = window.due(&object("old", 10, "1"), now).is_some();
            assert_eq!(is_due, state != State::Done);
        }
    }

    #[test]
    fn positions_are_read_as_they_were_written() {
        let mut window = empty();
        let objects = [object("a", 1, "1"), object("b", 99, ""), object("c", 100, "3")];
        for (object, state) in objects.iter().zip([State::Done, State::Waiting, State::Reading]) {
            done(&mut window, object, state);
        }
        let newest = Timestamp::from_micros(100 * HOUR);
        let changes = window.advance(None, newest, newest).unwrap();
        let [horizon, forgotten] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!(forgotten.key, Window::key("prod", "s3://a", "a"));
        let mut stored = vec![(horizon.key.clone(), horizon.body.clone().unwrap())];
        stored.extend(
            window
                .objects
                .iter()
                .map(|(key, progress)| (Window::key("prod", "s3://a", key), progress.body(key))),
        );
        let read = Window::read(Window::prefix("prod", "s3://a"), false, &stored);
        assert_eq!((read.horizon, &read.objects), (window.horizon, &window.objects));
    }

    #[test]
    fn the_number_of_objects_is_bounded() {
        let mut window = empty();
        for number in 0..BUCKET_SEEN_MAX + 10 {
            let micros = i64::try_from(number).unwrap();
            let modified = Timestamp::from_micros(micros);
            let object = ObjectEntry { modified, ..object(&number.to_string(), 0, "1") };
            done(&mut window, &object, State::Done);
        }
        let newest = Timestamp::from_micros(i64::try_from(BUCKET_SEEN_MAX).unwrap() + 9);
        let changes = window.advance(None, newest, newest).unwrap();
        assert_eq!((changes.len(), window.objects.len()), (11, BUCKET_SEEN_MAX));
    }

    /// Regression: a copy of an old file, which has its time, counted as read.
    #[test]
    fn a_file_of_any_time_is_due_in_a_folder_until_too_many_are_remembered() {
        let mut window = Window::read(String::new(), true, &[]);
        let now = Timestamp::from_micros(100 * HOUR);
        done(&mut window, &object("new", 90, "1"), State::Done);
        let newest = Timestamp::from_micros(90 * HOUR);
        assert!(window.advance(None, newest, newest).is_none());
        assert!(window.due(&object("copy", 1, "1"), now).is_some());
        assert!(window.removable().is_empty());
        for number in 0..BUCKET_SEEN_MAX + 3 {
            done(&mut window, &object(&number.to_string(), 50, "1"), State::Done);
        }
        // Files that no longer exist go first.
        done(&mut window, &object("removed", 40, "1"), State::Done);
        done(&mut window, &object("removed later", 41, "1"), State::Done);
        assert!(window.removable().contains("removed"));
        let removed = HashSet::from(["removed later".to_owned(), "removed".to_owned()]);
        assert_eq!(window.excess(), 6);
        let oldest = window.oldest(removed);
        assert_eq!((oldest.len(), window.remove(oldest).len(), window.excess()), (2, 2, 4));
    }

    async fn batch(window: &Window, objects: impl IntoIterator<Item = ObjectEntry>) -> Batch {
        let objects: Vec<_> = objects.into_iter().map(Ok).collect();
        let now = Timestamp::from_micros(100 * HOUR);
        listing::due(stream::iter(objects).boxed(), window, now).await.unwrap()
    }

    /// Regression: after one file with a time of the year 2100, nothing was read after it.
    #[tokio::test]
    async fn a_time_of_the_future_does_not_end_the_window() {
        let batch = batch(&empty(), [object("a", 99, "1"), object("b", 999_999, "1")]).await;
        let now = Timestamp::from_micros(100 * HOUR);
        assert_eq!((batch.due.len(), batch.newest, batch.is_complete), (2, Some(now), true));
    }

    /// Regression: objects that had to wait for space counted as read.
    #[tokio::test]
    async fn objects_without_space_in_the_window_do_not_count_as_read() {
        let mut window = empty();
        for number in 0..2 * BUCKET_SEEN_MAX {
            done(&mut window, &object(&number.to_string(), 10, "1"), State::Done);
        }
        let batch = batch(&window, [object("newer", 60, "1"), object("new", 50, "1")]).await;
        let oldest = Timestamp::from_micros(50 * HOUR);
        assert_eq!((batch.due.len(), batch.waiting, batch.newest), (0, 2, Some(oldest)));
        window.advance(None, oldest, oldest).unwrap();
        assert!(!window.is_full_for(&object("new", 50, "1")), "there is space again");
    }
}
