//! Which of the listed objects are read next.

use std::collections::{BinaryHeap, HashSet};

use event::Timestamp;
use futures::stream::{BoxStream, TryStreamExt as _};
use objectstore::{ObjectEntry, ReadError};

use super::window::Window;
use crate::envelopes::Position;
use crate::limits::BUCKET_BATCH_MAX;

/// The objects to read before the next listing.
pub(super) struct Batch {
    /// The objects, the oldest first, and where each is read on.
    pub(super) due: Vec<(ObjectEntry, Position)>,
    /// The time of the newest object of the listing.
    pub(super) newest: Option<Timestamp>,
    /// Number of objects that must be read, including those left for the next listing.
    pub(super) waiting: u64,
    /// No object is left, except those for which the window has no space.
    pub(super) is_complete: bool,
    /// The keys of objects that were not read to their end, and no longer exist.
    pub(super) missing: HashSet<String>,
    /// The keys of objects that were read, and no longer exist, if that matters.
    pub(super) removed: HashSet<String>,
}

/// Chooses the oldest objects that are due. The others are not held.
pub(super) async fn due(
    mut objects: BoxStream<'static, Result<ObjectEntry, ReadError>>,
    window: &Window,
    now: Timestamp,
) -> Result<Batch, ReadError> {
    let mut due: BinaryHeap<Due> = BinaryHeap::new();
    let (mut newest, mut waiting) = (None, 0);
    let (mut missing, mut removed) = (window.open(), window.removable());
    let (mut blocked, mut oldest_blocked) = (0, None::<Timestamp>);
    while let Some(object) = objects.try_next().await? {
        // The time of a file is its writer's choice. One of the future must not end the window.
        newest = newest.max(Some(object.modified.min(now)));
        missing.remove(&object.key);
        removed.remove(&object.key);
        if object.size == 0 {
            continue;
        }
        if window.is_full_for(&object) {
            blocked += 1;
            let oldest =
                oldest_blocked.map_or(object.modified, |oldest| object.modified.min(oldest));
            oldest_blocked = Some(oldest);
            continue;
        }
        let Some(position) = window.due(&object, now) else { continue };
        waiting += 1;
        due.push(Due { object, position });
        if due.len() > BUCKET_BATCH_MAX {
            due.pop();
        }
    }
    let is_complete = waiting == due.len() as u64;
    waiting += blocked;
    // What is blocked must not count as read.
    let newest = newest.map(|newest| oldest_blocked.map_or(newest, |oldest| newest.min(oldest)));
    let due = due.into_sorted_vec().into_iter().map(|due| (due.object, due.position)).collect();
    Ok(Batch { due, newest, waiting, is_complete, missing, removed })
}

/// An object that is due. The newest is the largest.
struct Due {
    object: ObjectEntry,
    position: Position,
}

impl Due {
    fn order(&self) -> (Timestamp, &str) {
        (self.object.modified, &self.object.key)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}
