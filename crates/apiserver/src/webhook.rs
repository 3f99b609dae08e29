//! Questions to kube-apiserver, asked again when nobody could have heard them.
//!
//! As `k8s.io/apiserver`'s webhook client: 10 s for all attempts, 500 ms growing by half, five
//! attempts. An answer that says no is an answer and is not asked again.

use std::future::Future;
use std::time::Duration;

/// For all attempts together.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Attempts in all.
const ATTEMPTS: u32 = 5;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("kube-apiserver refuses the question: {0}")]
    Refused(String),
    #[error("kube-apiserver does not answer: {0}")]
    Failed(String),
    #[error("kube-apiserver does not answer in time")]
    Late,
}

/// Asks until there is an answer, a refusal, or no time left.
pub(crate) async fn with_retries<T, F>(mut ask: impl FnMut() -> F) -> Result<T, WebhookError>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let attempts = async {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(kube::Error::Api(status)) if !is_transient(status.code) => {
                    return Err(WebhookError::Refused(status.message.clone()));
                }
                Err(error) if attempt >= ATTEMPTS => {
                    return Err(WebhookError::Failed(error.to_string()));
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = pause * 3 / 2;
        }
        Err(WebhookError::Late)
    };
    tokio::time::timeout(TIME_MAX, attempts).await.unwrap_or(Err(WebhookError::Late))
}

fn is_transient(code: u16) -> bool {
    code >= 500 || code == 429
}
