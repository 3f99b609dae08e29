//! State that all connections and requests share. It is created once, when the server binds.

use std::sync::Arc;

use apimachinery::ApiError;
use arc_swap::ArcSwap;
use audit::Policy;
use bytes::Bytes;
use event::Timestamp;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::backend::{Client, JournalBackend};
use crate::audit::intents::Intent;
use crate::authn::Authenticator;
use crate::handler::max_in_flight::InFlight;
use crate::health::Health;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::routes::VersionInfo;
use crate::{ApiResponse, Authorizer, Clock, Registry};

/// Shared state of a server.
pub(crate) struct ServerState {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) authenticator: Authenticator,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    pub(crate) in_flight: InFlight,
    pub(crate) registry: Registry,
    pub(crate) backend: Arc<JournalBackend>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) limits: Limits,
    pub(crate) version: VersionInfo,
    /// Paths that `/` lists.
    pub(crate) paths: Vec<String>,
    /// All tasks of the server; shutdown waits for them.
    pub(crate) tracker: TaskTracker,
    pub(crate) runtime: Handle,
    /// Ends all watches when cancelled.
    pub(crate) closing: CancellationToken,
}

impl ServerState {
    /// Logs `record`, then returns `response`; returns an error response if the event cannot be
    /// logged.
    pub(crate) async fn respond_after_logging(
        &self,
        record: Option<Bytes>,
        response: ApiResponse,
    ) -> ApiResponse {
        match self.log_event(record).await {
            Ok(()) => response,
            Err(error) => self.audit_unavailable(error),
        }
    }

    /// Like [`respond_after_logging`](Self::respond_after_logging), and removes the intent of the
    /// request with the same commit. A request whose intent was refused was counted then.
    pub(crate) async fn respond_after_outcome(
        &self,
        record: Option<Bytes>,
        intent: Option<Intent>,
        response: ApiResponse,
    ) -> ApiResponse {
        let is_counted = intent.as_ref().is_some_and(|intent| intent.is_refused);
        match self.log_outcome(record, intent).await {
            Ok(()) => response,
            Err(error) if is_counted => ApiResponse::from(error),
            Err(error) => self.audit_unavailable(error),
        }
    }

    /// Logs the record durably, removes the intent with it, and counts the result. Returns at once
    /// if there is neither. If it fails, the caller sends an error instead of the response.
    pub(crate) async fn log_outcome(
        &self,
        record: Option<Bytes>,
        intent: Option<Intent>,
    ) -> Result<(), ApiError> {
        self.log_for(record, intent, Client::GetsError).await
    }

    /// The same for the end of a response that has been sent.
    pub(crate) async fn log_end(
        &self,
        record: Option<Bytes>,
        intent: Option<Intent>,
    ) -> Result<(), ApiError> {
        self.log_for(record, intent, Client::HasResponse).await
    }

    async fn log_for(
        &self,
        record: Option<Bytes>,
        intent: Option<Intent>,
        client: Client,
    ) -> Result<(), ApiError> {
        if record.is_none() && intent.is_none() {
            return Ok(());
        }
        let has_record = record.is_some();
        let logged = self.backend.log_outcome(record, intent, client).await;
        match &logged {
            Ok(()) if has_record => self.metrics.event_logged(),
            Ok(()) => {}
            Err(_) => self.metrics.event_not_logged(),
        }
        logged
    }

    /// Logs the record durably and counts the result. Returns immediately if there is no record.
    pub(crate) async fn log_event(&self, record: Option<Bytes>) -> Result<(), ApiError> {
        self.log_outcome(record, None).await
    }

    /// Microseconds since an earlier time.
    pub(crate) fn micros_since(&self, start: Timestamp) -> i64 {
        self.clock.now().as_micros() - start.as_micros()
    }

    /// Counts a request that is rejected because its event cannot be logged, and builds its
    /// response.
    pub(crate) fn audit_unavailable(&self, error: ApiError) -> ApiResponse {
        self.metrics.rejected();
        ApiResponse::from(error)
    }
}
