//! A watch: reads changes from memory while it keeps up, and from disk when it has fallen behind.
//!
//! It holds only its position, so a slow watch costs no memory.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task;

use crate::settings::{CHANGES_BYTES_MAX, CHANGES_MAX};
use crate::shared::Shared;
use crate::{Change, Changes, ReadError};

/// A position in the history of a prefix.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    prefix: String,
    seen: u64,
    news: watch::Receiver<u64>,
}

impl Follower {
    pub(crate) fn new(shared: Arc<Shared>, prefix: &str, after: u64) -> Result<Self, ReadError> {
        shared.index().check(after)?;
        let news = shared.history().subscribe(prefix).ok_or(ReadError::Closed)?;
        Ok(Self { shared, prefix: prefix.to_owned(), seen: after, news })
    }

    /// The next changes in memory, or an empty list if there are none; `None` if they must be read
    /// from disk.
    fn recent(&mut self) -> Option<Vec<Change>> {
        let history = self.shared.history();
        let mut seen = history.revision;
        let (mut changes, mut held) = (Vec::new(), 0);
        for (revision, _, change) in history.changes.after(self.seen)? {
            if changes.len() == CHANGES_MAX || held >= CHANGES_BYTES_MAX {
                seen = changes.last().map_or(seen, |last: &Change| last.revision);
                break;
            }
            if revision > self.seen && change.object.key.starts_with(&self.prefix) {
                held += change.bytes();
                changes.push(change.clone());
            }
        }
        self.seen = self.seen.max(seen);
        Some(changes)
    }

    /// The next changes on disk, up to the newest revision that was published when the read began.
    async fn older(&mut self) -> Result<Vec<Change>, ReadError> {
        self.shared.index().check(self.seen)?;
        let (shared, prefix) = (Arc::clone(&self.shared), self.prefix.clone());
        let (after, up_to) = (self.seen, self.shared.history().revision);
        let most = (CHANGES_MAX, CHANGES_BYTES_MAX);
        let read = task::spawn_blocking(move || shared.disk.changes(&prefix, after, up_to, most));
        let (changes, seen) = read.await.map_err(|_gone| ReadError::Closed)??;
        // Rows may have been compacted during the read.
        self.shared.index().check(after)?;
        self.seen = seen;
        Ok(changes)
    }
}

#[async_trait]
impl Changes for Follower {
    async fn next(&mut self) -> Result<Vec<Change>, ReadError> {
        loop {
            self.news.mark_unchanged();
            let changes = match self.recent() {
                Some(changes) => changes,
                None => self.older().await?,
            };
            if !changes.is_empty() {
                return Ok(changes);
            }
            if self.recent_is_behind() {
                continue;
            }
            self.news.changed().await.map_err(|_closed| ReadError::Closed)?;
        }
    }

    fn seen(&mut self) -> u64 {
        let history = self.shared.history();
        let pending = history.changes.after(self.seen).is_none_or(|mut changes| {
            changes.any(|(_, _, change)| change.object.key.starts_with(&self.prefix))
        });
        if !pending {
            self.seen = self.seen.max(history.revision);
        }
        self.seen
    }
}

impl Follower {
    /// Whether there are changes that this watch has not examined yet.
    fn recent_is_behind(&self) -> bool {
        self.seen < self.shared.history().revision
    }
}
