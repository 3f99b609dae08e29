//! Timeouts that leave no write in an unknown state.
//!
//! A request that takes too long gets 504, unless the store has begun its write. Then the response
//! is the outcome of the write, which carries the event, slightly after the time limit.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use crate::audit::write_claim::WriteClaim;
use crate::handler::status_errors;
use crate::limits::RECORD_TIME_MAX;
use crate::{ApiResponse, Outcome, audit::backend};

/// The time that a request may take.
pub(super) struct TimeLimit {
    time: Duration,
    /// What the client of a request that takes longer is told.
    message: &'static str,
    is_lifted: AtomicBool,
}

impl TimeLimit {
    pub(super) fn new(time: Duration, message: &'static str) -> Self {
        Self { time, message, is_lifted: AtomicBool::new(false) }
    }

    /// From now on the request may take as long as it wants.
    pub(super) fn lift(&self) {
        self.is_lifted.store(true, Ordering::Relaxed);
    }
}

/// Returns the result of `work`, or a 504 if it takes longer than `limit`. The work stays pinned at
/// the caller: if it were passed by value, this future would contain it twice and every request would
/// be copied.
pub(super) async fn with_timeout(
    limit: &TimeLimit,
    claim: &WriteClaim,
    mut work: Pin<&mut impl Future<Output = Result<Outcome, ApiResponse>>>,
) -> Result<Outcome, ApiResponse> {
    match timeout(limit.time, work.as_mut()).await {
        Ok(done) => done,
        Err(_) if limit.is_lifted.load(Ordering::Relaxed) => work.await,
        Err(_) if claim.cancel() => Err(status_errors::timeout(limit.message).into()),
        Err(_) => match timeout(RECORD_TIME_MAX, work).await {
            Ok(done) => done,
            Err(_) => Ok(Outcome::InDoubt(backend::deadline_exceeded())),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use store::StoreError;

    use super::*;

    /// Runs with a zero timeout. Returns the code of the response, or `unsure`.
    async fn check(
        is_begun: bool,
        work: impl Future<Output = Result<Outcome, ApiResponse>>,
    ) -> String {
        let claim = WriteClaim::default();
        assert!(!is_begun || claim.claim());
        let limit = TimeLimit::new(Duration::ZERO, "too late");
        let outcome = with_timeout(&limit, &claim, pin!(work)).await;
        assert_eq!(claim.claim(), is_begun, "a cancelled write cannot be claimed");
        match outcome {
            Ok(Outcome::Unlogged(response) | Outcome::Committed(response)) | Err(response) => {
                response.code.as_u16().to_string()
            }
            Ok(Outcome::InDoubt(StoreError::Unavailable { reason })) => format!("unsure: {reason}"),
            Ok(_) => "something else".to_owned(),
        }
    }

    async fn after_a_while() -> Result<Outcome, ApiResponse> {
        tokio::time::sleep(RECORD_TIME_MAX / 2).await;
        Ok(Outcome::Committed(crate::routes::text(http::StatusCode::CREATED, "")))
    }

    #[tokio::test(start_paused = true)]
    async fn a_claimed_write_is_awaited() {
        assert_eq!(check(false, after_a_while()).await, "504");
        assert_eq!(check(true, after_a_while()).await, "201");
        let never = check(true, std::future::pending()).await;
        assert_eq!(never, "unsure: the disk did not respond in time");
    }
}
