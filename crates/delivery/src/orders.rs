//! What a hauler is to do, told from outside at any time.

use std::sync::Arc;
use std::time::Duration;

use sink::bucket::Bucket;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long an upload that is under way may go on when another bucket has been ordered.
const GRACE: Duration = Duration::from_secs(2);

/// The present orders.
#[derive(Clone)]
pub(crate) struct Orders {
    /// Where objects go.
    pub(crate) bucket: Arc<Bucket>,
    /// Rises with each bucket.
    pub(crate) version: u64,
    /// When this one was ordered.
    pub(crate) since: Instant,
    /// The last record to deliver, if there is to be an end.
    pub(crate) until: Option<u64>,
}

/// Resolves when another bucket than that of `version` has been ordered.
pub(crate) async fn superseded(orders: &watch::Receiver<Orders>, version: u64) {
    let mut orders = orders.clone();
    if orders.wait_for(|now| now.version != version).await.is_err() {
        // Whoever gives orders is gone: these are the last ones.
        std::future::pending::<()>().await;
    }
}

/// The same, with some time for what is under way.
pub(crate) async fn superseded_at_length(orders: &watch::Receiver<Orders>, version: u64) {
    superseded(orders, version).await;
    let since = orders.borrow().since;
    tokio::time::sleep_until(since + GRACE).await;
}

/// Resolves when there are other orders than those that began with `version` and `until`.
pub(crate) async fn changed(orders: &watch::Receiver<Orders>, version: u64, until: Option<u64>) {
    let mut orders = orders.clone();
    if orders.wait_for(|now| now.version != version || now.until != until).await.is_err() {
        std::future::pending::<()>().await;
    }
}
