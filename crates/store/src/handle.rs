//! The handle that all clones share: the queue to the writer, and the state that the writer
//! publishes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::cursors::Owner;
use crate::shared::Shared;
use crate::storage::Completion;
use crate::{PendingCommit, StoreError, TransactionFn};

/// The commands to the writer.
pub(crate) enum Command {
    Transact(TransactionFn, Completion),
    /// A reader's transaction, which is also accepted when the journal is full.
    TransactForReader(Owner, TransactionFn, Completion),
    Append(Bytes, Completion),
    /// Complete once the cursors as of now are durable.
    FlushCursors(Completion),
    /// Cursors have moved: write them soon.
    Wake,
    Close,
}

/// One open store. Dropping the last handle closes the file.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    inbox: SyncSender<Command>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// The number of journal handles so far.
    owners: AtomicU64,
}

impl Handle {
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: SyncSender<Command>,
        writer: JoinHandle<()>,
    ) -> Self {
        Self { shared, inbox, writer: Mutex::new(Some(writer)), owners: AtomicU64::new(0) }
    }

    /// Send a command to the writer, or reject it immediately if the writer would.
    pub(crate) fn request(&self, command: impl FnOnce(Completion) -> Command) -> PendingCommit {
        let (completion, pending) = PendingCommit::channel();
        let command = command(completion);
        // Accept cursor moves when the journal is full: they free space.
        let is_flush = matches!(command, Command::FlushCursors(_));
        let frees_space = is_flush || matches!(command, Command::TransactForReader(..));
        let rejection = match self.shared.health.rejection() {
            Some(StoreError::Full { .. }) if frees_space => None,
            rejection => rejection,
        };
        let rejection = rejection.or_else(|| self.send(command).err());
        if rejection.is_some() && !is_flush {
            self.shared.health.count_rejected(1);
        }
        rejection.map_or(pending, PendingCommit::rejected)
    }

    /// A new owner of cursors.
    pub(crate) fn next_owner(&self) -> Owner {
        Owner(self.owners.fetch_add(1, Ordering::Relaxed))
    }

    /// Tell the writer that cursors have moved.
    pub(crate) fn wake(&self) -> Result<(), StoreError> {
        self.send(Command::Wake)
    }

    fn send(&self, command: Command) -> Result<(), StoreError> {
        self.inbox.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    /// Commit all queued requests, checkpoint the log and close the file. Blocks.
    pub(crate) fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        // An error means that the writer has already ended.
        drop(self.inbox.send(Command::Close));
        if writer.join().is_err() {
            tracing::error!("the store's writer panicked");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
