//! A watch: reads changes from memory while it keeps up, and from disk when it has fallen behind.
//!
//! It holds only its position, so a slow watch costs no memory.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task;

use crate::settings::{WATCH_BYTES_MAX, WATCH_CHANGES_MAX};
use crate::shared::Shared;
use crate::{Change, ReadError, WatchStream};

/// A position in the history of a prefix.
pub(crate) struct StoreWatch {
    shared: Arc<Shared>,
    prefix: String,
    progress: u64,
    notifications: watch::Receiver<u64>,
}

impl StoreWatch {
    pub(crate) fn new(shared: Arc<Shared>, prefix: &str, after: u64) -> Result<Self, ReadError> {
        shared.index().check(after)?;
        let notifications = shared.history().subscribe(prefix).ok_or(ReadError::Closed)?;
        Ok(Self { shared, prefix: prefix.to_owned(), progress: after, notifications })
    }

    /// The next changes in memory, or an empty list if there are none; `None` if they must be read
    /// from disk.
    fn read_cached(&mut self) -> Option<Vec<Change>> {
        let history = self.shared.history();
        let mut progress = history.revision;
        let (mut changes, mut bytes) = (Vec::new(), 0);
        for (revision, _, change) in history.changes.after(self.progress)? {
            if changes.len() == WATCH_CHANGES_MAX || bytes >= WATCH_BYTES_MAX {
                progress = changes.last().map_or(progress, |last: &Change| last.revision);
                break;
            }
            if revision > self.progress && change.object.key.starts_with(&self.prefix) {
                bytes += change.bytes();
                changes.push(change.clone());
            }
        }
        self.progress = self.progress.max(progress);
        Some(changes)
    }

    /// The next changes on disk, up to the newest revision that was published when the read began.
    async fn read_disk(&mut self) -> Result<Vec<Change>, ReadError> {
        self.shared.index().check(self.progress)?;
        let (shared, prefix) = (Arc::clone(&self.shared), self.prefix.clone());
        let (after, up_to) = (self.progress, self.shared.history().revision);
        let limits = (WATCH_CHANGES_MAX, WATCH_BYTES_MAX);
        let read = task::spawn_blocking(move || {
            shared.read_connection.changes(&prefix, after, up_to, limits)
        });
        let (changes, progress) = read.await.map_err(|_join_error| ReadError::Closed)??;
        // Rows may have been compacted during the read.
        self.shared.index().check(after)?;
        self.progress = progress;
        Ok(changes)
    }
}

#[async_trait]
impl WatchStream for StoreWatch {
    async fn next(&mut self) -> Result<Vec<Change>, ReadError> {
        loop {
            self.notifications.mark_unchanged();
            let changes = self.next_committed().await?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            self.notifications.changed().await.map_err(|_closed| ReadError::Closed)?;
        }
    }

    async fn next_committed(&mut self) -> Result<Vec<Change>, ReadError> {
        loop {
            let changes = match self.read_cached() {
                Some(changes) => changes,
                None => self.read_disk().await?,
            };
            if !changes.is_empty() || !self.is_behind() {
                return Ok(changes);
            }
        }
    }

    fn progress(&mut self) -> u64 {
        let history = self.shared.history();
        let pending = history.changes.after(self.progress).is_none_or(|mut changes| {
            changes.any(|(_, _, change)| change.object.key.starts_with(&self.prefix))
        });
        if !pending {
            self.progress = self.progress.max(history.revision);
        }
        self.progress
    }
}

impl StoreWatch {
    /// Whether there are changes that this watch has not examined yet.
    fn is_behind(&self) -> bool {
        self.progress < self.shared.history().revision
    }
}
