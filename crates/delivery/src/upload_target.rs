//! Where an upload goes and up to where, set from outside at any time.

use std::sync::Arc;
use std::time::Duration;

use objectstore::Bucket;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long an upload that is under way may go on when the bucket has changed.
const GRACE: Duration = Duration::from_secs(2);

/// The present target.
#[derive(Clone)]
pub(crate) struct UploadTarget {
    /// Where objects go.
    pub(crate) bucket: Arc<Bucket>,
    /// Rises with each bucket.
    pub(crate) version: u64,
    /// When this one was set.
    pub(crate) since: Instant,
    /// The last record to deliver, if there is to be an end.
    pub(crate) until: Option<u64>,
}

/// Resolves when the bucket is another one than that of `version`.
pub(crate) async fn target_changed(target: &watch::Receiver<UploadTarget>, version: u64) {
    let mut target = target.clone();
    if target.wait_for(|now| now.version != version).await.is_err() {
        // The sender is gone: this was the last target.
        std::future::pending::<()>().await;
    }
}

/// The same, with some time for what is under way.
pub(crate) async fn target_changed_after_grace(
    target: &watch::Receiver<UploadTarget>,
    version: u64,
) {
    target_changed(target, version).await;
    let since = target.borrow().since;
    tokio::time::sleep_until(since + GRACE).await;
}

/// Resolves when the bucket is another one than that of `version`, or the end another one than `until`.
pub(crate) async fn target_or_end_changed(
    target: &watch::Receiver<UploadTarget>,
    version: u64,
    until: Option<u64>,
) {
    let mut target = target.clone();
    if target.wait_for(|now| now.version != version || now.until != until).await.is_err() {
        std::future::pending::<()>().await;
    }
}
