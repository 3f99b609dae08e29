//! The transaction of a write request: it commits the change and its audit event, or only the audit
//! event of the error.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use apimachinery::{ApiError, name_generator};
use audit::Layer;
use bytes::Bytes;
use event::Timestamp;
use http::StatusCode;
use store::StoreError;

use super::served_resource::ServedResource;
use super::transaction::RegistryTransaction;
use super::{ResourceRequest, Shared, decoded, render};
use crate::handler::negotiate::Rendering;
use crate::handler::{encoding, status_errors};
use crate::{ApiResponse, AuditContext, Outcome, WriteContext};

/// The data that a write moves into its transaction.
pub(super) struct Write {
    pub(super) shared: Arc<Shared>,
    pub(super) kind: Arc<ServedResource>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) context: WriteContext,
    pub(super) dry_run: bool,
    pub(super) warnings: Vec<String>,
    rendering: Rendering,
    now: Timestamp,
}

/// The result of a write.
pub(super) enum WriteResult {
    /// The object, changed or unchanged.
    Object(StatusCode, Bytes),
    /// The object is deleted.
    Deleted { name: String, uid: String },
}

impl ResourceRequest<'_> {
    /// The data that this request moves into its transaction.
    pub(super) fn write(&self, rendering: Rendering, dry_run: bool) -> Write {
        let now = self.shared.clock.now();
        Write {
            shared: Arc::clone(self.shared),
            kind: Arc::clone(self.kind),
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
            context: WriteContext {
                user: Arc::clone(&self.request.user),
                now: now.to_rfc3339_seconds(),
                subresource: self.request.info.subresource.clone(),
                suffix: name_generator::random(),
            },
            dry_run,
            warnings: Vec::new(),
            rendering,
            now,
        }
    }
}

impl Write {
    /// Runs `work` in a transaction, and logs the audit event of the request in the same
    /// transaction, also on an error.
    pub(super) async fn commit(
        self,
        audit: &AuditContext,
        work: impl FnOnce(&mut Self, &mut RegistryTransaction<'_>) -> Result<WriteResult, ApiError>
        + Send
        + 'static,
    ) -> Result<Outcome, ApiError> {
        let mut audit = audit.clone();
        let claim = audit.claim().clone();
        let writer = claim.clone();
        let storage = Arc::clone(&self.shared.store);
        let mut write = self;
        let (start, rendering) = (write.now, write.rendering);
        let written = store::write(&*storage, move |tx| {
            if !writer.claim() {
                return None;
            }
            audit.track_since(Layer::Storage, start);
            let shared = Arc::clone(&write.shared);
            let cause = audit.audit_id().unwrap_or_default();
            let outcome = {
                let transaction = RegistryTransaction::new(tx, &shared, cause, write.now);
                let mut transaction = transaction.dry(write.dry_run);
                work(&mut write, &mut transaction)
            };
            if outcome.is_err() || write.dry_run {
                tx.rollback();
            }
            let response = write.response(outcome);
            // With `generateName`, the name is known only now.
            audit.fill_object_ref("", &write.name, "", "");
            if let Some(record) = audit.complete(&response) {
                tx.append(record);
            }
            Some(response)
        });
        match written.await {
            Ok(Some(response)) => {
                Ok(Outcome::Committed(encoded(|| encoding::finish(rendering, response))))
            }
            // The claim was cancelled: the code that cancelled it has sent the response.
            Ok(None) => Err(ApiError::internal("the request has been cancelled")),
            Err(StoreError::Panicked { message }) => resume_unwind(Box::new(message)),
            Err(error @ (StoreError::NoSpace | StoreError::Unavailable { .. }))
                if claim.is_claimed() =>
            {
                Ok(Outcome::InDoubt(error))
            }
            Err(error) => Err(store_error(&error)),
        }
    }

    /// The response of a write that needs no transaction.
    pub(super) fn success_response(&self, outcome: WriteResult) -> ApiResponse {
        encoding::finish(self.rendering, self.response(Ok(outcome)))
    }

    fn response(&self, outcome: Result<WriteResult, ApiError>) -> ApiResponse {
        let mut response = match outcome {
            Ok(WriteResult::Object(code, body)) => {
                render::object(self.rendering, &self.kind, code, &body, self.now)
            }
            Ok(WriteResult::Deleted { name, uid }) => render::deleted(&self.kind, &name, &uid),
            Err(error) => error.into(),
        };
        decoded::warn(&mut response, &self.warnings);
        response
    }
}

/// The response to a committed write. Its event is in the journal, so a panic while it is encoded
/// must not reach the request handler, which would record a second event.
fn encoded(encode: impl FnOnce() -> ApiResponse) -> ApiResponse {
    catch_unwind(AssertUnwindSafe(encode)).unwrap_or_else(|_| {
        tracing::error!("the response to a committed write could not be encoded");
        status_errors::panicked().into()
    })
}

/// The error for a store that rejects transactions.
pub(super) fn store_error(error: &StoreError) -> ApiError {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: a panic after the commit was recorded as a second event of the same request.
    #[test]
    fn a_response_that_cannot_be_encoded_is_an_error_and_not_a_panic() {
        let response = encoded(|| panic!("this is a test"));
        assert_eq!(response.code, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.status.is_some_and(|status| !status.message.contains("test")));
        let encodes =
            || ApiResponse { code: StatusCode::CREATED, ..status_errors::panicked().into() };
        assert_eq!(encoded(encodes).code, StatusCode::CREATED);
    }
}
