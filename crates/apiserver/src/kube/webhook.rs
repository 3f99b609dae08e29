//! Requests to kube-apiserver with retries on transient failures.
//!
//! The parameters are those of `k8s.io/apiserver`'s webhook client: 10 s for all attempts, a first
//! delay of 500 ms that grows by half, five attempts. A definite error response is not retried.

use std::future::Future;
use std::time::Duration;

/// Time limit for all attempts together.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Delay before the second attempt.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Maximum number of attempts.
const ATTEMPTS: u32 = 5;

/// Error of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("kube-apiserver rejected the review: {0}")]
    Rejected(String),
    #[error("kube-apiserver did not respond: {0}")]
    Failed(String),
    #[error("kube-apiserver did not respond in time")]
    TimedOut,
}

/// Sends a request until there is a response, a definite error, or no time left.
pub(crate) async fn with_retries<T, F>(mut call: impl FnMut() -> F) -> Result<T, WebhookError>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let attempts = async {
        let mut delay = FIRST_DELAY;
        for attempt in 1.. {
            match call().await {
                Ok(response) => return Ok(response),
                Err(kube::Error::Api(status)) if !is_transient(status.code) => {
                    return Err(WebhookError::Rejected(status.message.clone()));
                }
                Err(error) if attempt >= ATTEMPTS => {
                    return Err(WebhookError::Failed(error.to_string()));
                }
                Err(_) => tokio::time::sleep(delay).await,
            }
            delay = delay * 3 / 2;
        }
        Err(WebhookError::TimedOut)
    };
    tokio::time::timeout(TIME_MAX, attempts).await.unwrap_or(Err(WebhookError::TimedOut))
}

fn is_transient(code: u16) -> bool {
    code >= 500 || code == 429
}
