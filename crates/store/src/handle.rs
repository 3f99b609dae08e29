//! The handle that all clones share: the queue to the writer, and the state that the writer
//! publishes.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::shared::Shared;
use crate::storage::Answer;
use crate::{Pending, StoreError, Work};

/// The commands to the writer.
pub(crate) enum Request {
    Work(Work, Answer),
    /// A reader's transaction, which is also accepted when the journal is full.
    ReaderWork(Work, Answer),
    Append(Bytes, Answer),
    /// Answer once the cursors as of now are durable.
    Attend(Answer),
    /// Cursors have moved: write them soon.
    Nudge,
    Close,
}

/// One open store. Dropping the last handle closes the file.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    inbox: SyncSender<Request>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: SyncSender<Request>,
        writer: JoinHandle<()>,
    ) -> Self {
        Self { shared, inbox, writer: Mutex::new(Some(writer)) }
    }

    /// Send a request to the writer, unless it is known that it would be rejected.
    pub(crate) fn request(&self, request: impl FnOnce(Answer) -> Request) -> Pending {
        let (answer, pending) = Pending::channel();
        let request = request(answer);
        // Accept cursor moves when the journal is full: they free space.
        let cursors = matches!(request, Request::Attend(_));
        let makes_room = cursors || matches!(request, Request::ReaderWork(..));
        let refusal = match self.shared.pulse.obstacle() {
            Some(StoreError::Full { .. }) if makes_room => None,
            obstacle => obstacle,
        };
        let refusal = refusal.or_else(|| self.send(request).err());
        if refusal.is_some() && !cursors {
            self.shared.pulse.count_refused(1);
        }
        refusal.map_or(pending, Pending::refused)
    }

    pub(crate) fn nudge(&self) -> Result<(), StoreError> {
        self.send(Request::Nudge)
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        self.inbox.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    /// Commit all queued requests, checkpoint the log and close the file. Blocks.
    pub(crate) fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        // An error means that the writer has already ended.
        drop(self.inbox.send(Request::Close));
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
