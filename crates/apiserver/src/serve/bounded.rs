//! Bounds in time that leave no write half known.
//!
//! A request that takes too long is answered with 504, unless the store has begun its write: then
//! the outcome of the write, which has the event, is what is answered, a little later than the bound.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::timeout;

use crate::handover::Handover;
use crate::limits::RECORD_TIME_MAX;
use crate::{Answer, Reply, ledger, refusal};

/// What becomes of `work`, or a 504 with `message` when that takes longer than `limit`. The work stays
/// where it is pinned: taken by value, it would be in this future twice, and every request would be copied.
pub(super) async fn within(
    limit: Duration,
    handover: &Handover,
    message: &str,
    mut work: Pin<&mut impl Future<Output = Result<Reply, Answer>>>,
) -> Result<Reply, Answer> {
    match timeout(limit, work.as_mut()).await {
        Ok(done) => done,
        Err(_) if handover.withdraw() => Err(refusal::timeout(message).into()),
        Err(_) => match timeout(RECORD_TIME_MAX, work).await {
            Ok(done) => done,
            Err(_) => Ok(Reply::Unsure(ledger::overdue())),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use store::StoreError;

    use super::*;

    /// Gives up after no time at all; the code of the answer, or `unsure`.
    async fn check(is_begun: bool, work: impl Future<Output = Result<Reply, Answer>>) -> String {
        let handover = Handover::default();
        assert!(!is_begun || handover.begin());
        let outcome = within(Duration::ZERO, &handover, "too late", pin!(work)).await;
        assert_eq!(handover.begin(), is_begun, "what is withdrawn cannot begin any more");
        match outcome {
            Ok(Reply::Plain(answer) | Reply::Recorded(answer)) | Err(answer) => {
                answer.code.as_u16().to_string()
            }
            Ok(Reply::Unsure(StoreError::Unavailable { reason })) => format!("unsure: {reason}"),
            Ok(_) => "something else".to_owned(),
        }
    }

    async fn after_a_while() -> Result<Reply, Answer> {
        tokio::time::sleep(RECORD_TIME_MAX / 2).await;
        Ok(Reply::Recorded(crate::routes::text(http::StatusCode::CREATED, "")))
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_waited_for_once_it_has_begun() {
        assert_eq!(check(false, after_a_while()).await, "504");
        assert_eq!(check(true, after_a_while()).await, "201");
        let never = check(true, std::future::pending()).await;
        assert_eq!(never, "unsure: the disk does not answer in time");
    }
}
