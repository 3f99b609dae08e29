//! One transaction of one write: the change, the answer and the event, or the refusal and its event.

use std::panic::resume_unwind;
use std::sync::Arc;

use audit::Layer;
use bytes::Bytes;
use event::Timestamp;
use http::StatusCode;
use store::StoreError;

use super::door::{TransactionDoor, seconds};
use super::kind::Kind;
use super::{Call, Shared, incoming, render};
use crate::negotiate::Rendering;
use crate::{Answer, ApiError, Occasion, Reply, Trail, encoding, names};

/// What a write takes into its transaction.
pub(super) struct Write {
    pub(super) shared: Arc<Shared>,
    pub(super) kind: Arc<Kind>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) occasion: Occasion,
    pub(super) dry_run: bool,
    pub(super) warnings: Vec<String>,
    rendering: Rendering,
    now: Timestamp,
}

/// How a write ended.
pub(super) enum Outcome {
    /// With an object, written or as it was.
    Object(StatusCode, Bytes),
    /// The object is gone.
    Deleted { name: String, uid: String },
}

impl Call<'_> {
    /// What this request takes into its transaction.
    pub(super) fn write(&self, rendering: Rendering, dry_run: bool) -> Write {
        let now = self.shared.clock.now();
        Write {
            shared: Arc::clone(self.shared),
            kind: Arc::clone(self.kind),
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
            occasion: Occasion {
                user: Arc::clone(&self.request.user),
                now: seconds(now),
                subresource: self.request.info.subresource.clone(),
                suffix: names::random(),
            },
            dry_run,
            warnings: Vec::new(),
            rendering,
            now,
        }
    }
}

impl Write {
    /// Runs `work` in a transaction and records the request with it, however it ends.
    pub(super) async fn commit(
        self,
        trail: &Trail,
        work: impl FnOnce(&mut Self, &mut TransactionDoor<'_>) -> Result<Outcome, ApiError>
        + Send
        + 'static,
    ) -> Result<Reply, ApiError> {
        let mut trail = trail.clone();
        let handover = trail.handover().clone();
        let begins = handover.clone();
        let storage = Arc::clone(&self.shared.store);
        let mut write = self;
        let (asked, rendering) = (write.now, write.rendering);
        let written = store::write(&*storage, move |tx| {
            if !begins.begin() {
                return None;
            }
            trail.took_since(Layer::Storage, asked);
            let shared = Arc::clone(&write.shared);
            let cause = trail.audit_id().unwrap_or_default().to_owned();
            let outcome = {
                let door = TransactionDoor::new(tx, &shared, cause, write.now);
                let mut door = door.dry(write.dry_run);
                work(&mut write, &mut door)
            };
            if outcome.is_err() || write.dry_run {
                tx.rollback();
            }
            let answer = write.answer(outcome);
            // A create may have left the name to the server.
            trail.refer(&write.name, "", "");
            if let Some(record) = trail.complete(&answer) {
                tx.record(record);
            }
            Some(answer)
        });
        match written.await {
            Ok(Some(answer)) => Ok(Reply::Recorded(encoding::finish(rendering, answer))),
            // Nobody waits for this any more: whoever withdrew the write has answered.
            Ok(None) => Err(ApiError::internal("the request has been given up")),
            Err(StoreError::Panicked { message }) => resume_unwind(Box::new(message)),
            Err(error @ (StoreError::NoSpace | StoreError::Unavailable { .. }))
                if handover.has_begun() =>
            {
                Ok(Reply::Unsure(error))
            }
            Err(error) => Err(refusal(&error)),
        }
    }

    /// The answer of a write that needs no transaction.
    pub(super) fn answered(&self, outcome: Outcome) -> Answer {
        encoding::finish(self.rendering, self.answer(Ok(outcome)))
    }

    fn answer(&self, outcome: Result<Outcome, ApiError>) -> Answer {
        let mut answer = match outcome {
            Ok(Outcome::Object(code, body)) => {
                render::object(self.rendering, &self.kind, code, &body, self.now)
            }
            Ok(Outcome::Deleted { name, uid }) => render::deleted(&self.kind, &name, &uid),
            Err(error) => error.into(),
        };
        incoming::warn(&mut answer, &self.warnings);
        answer
    }
}

/// What a client is told when the store does not take work.
pub(super) fn refusal(error: &StoreError) -> ApiError {
    match error.retry_after() {
        Some(after) => {
            let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX).max(1);
            ApiError::unavailable(error.to_string(), seconds)
        }
        None if matches!(error, StoreError::Closed) => {
            ApiError::unavailable("the server is shutting down", 1)
        }
        None => ApiError::internal(&error.to_string()),
    }
}
