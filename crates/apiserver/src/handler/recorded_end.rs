//! Records the end of a streamed response. The record is written once.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use crate::AuditContext;
use crate::audit::intents::Intent;
use crate::state::ServerState;

/// A future that writes the record of the end.
pub(crate) type FinalRecord = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The event of a response that has begun. Dropping it writes nothing.
pub(crate) struct RecordedEnd {
    state: Arc<ServerState>,
    /// `None` after the end was recorded.
    audit: Option<AuditContext>,
    /// The intent that is stored until then.
    intent: Option<Intent>,
}

impl RecordedEnd {
    pub(crate) fn new(
        state: Arc<ServerState>,
        audit: AuditContext,
        intent: Option<Intent>,
    ) -> Self {
        Self { state, audit: Some(audit), intent }
    }

    /// Whether the end has not been recorded.
    pub(crate) fn is_pending(&self) -> bool {
        self.audit.is_some()
    }

    /// Completes the event. `None` if the event is already complete. The caller polls the future,
    /// or passes it to [`spawn`](Self::spawn).
    pub(crate) fn write(
        &mut self,
        complete: impl FnOnce(AuditContext) -> Option<Bytes>,
    ) -> Option<FinalRecord> {
        let record = complete(self.audit.take()?);
        let (state, intent) = (Arc::clone(&self.state), self.intent.take());
        Some(Box::pin(async move {
            if let Err(error) = state.log_end(record, intent).await {
                warn!(reason = error.status.message, "cannot record the end of a response");
            }
        }))
    }

    /// Writes the record in a task that shutdown waits for.
    pub(crate) fn spawn(&self, record: FinalRecord) {
        self.state.tracker.spawn_on(record, &self.state.runtime);
    }
}
