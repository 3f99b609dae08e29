//! The handle behind all handles: the way to the writer, and what it publishes.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::shared::Shared;
use crate::storage::Answer;
use crate::{Pending, StoreError, Work};

/// What the writer is asked for.
pub(crate) enum Request {
    Work(Work, Answer),
    /// Work of a reader, which is done in a full journal too.
    ReaderWork(Work, Answer),
    Append(Bytes, Answer),
    /// Answer when the cursors as they are now are durable.
    Attend(Answer),
    /// Cursors have moved; write them soon.
    Nudge,
    Close,
}

/// One open store. The last handle that goes closes the file.
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

    /// Hand a request to the writer, unless it is known that it would be refused.
    pub(crate) fn request(&self, request: impl FnOnce(Answer) -> Request) -> Pending {
        let (answer, pending) = Pending::channel();
        let request = request(answer);
        // Cursors move on in a full journal: that is how it gets room.
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

    /// Commit what has been handed in, copy the log into the file, and let go of it. Blocks.
    pub(crate) fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        // An error means that the writer is gone already.
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
