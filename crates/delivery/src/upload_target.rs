//! The target of an uploader, which may change at any time.

use std::sync::Arc;
use std::time::Duration;

use objectstore::Bucket;
use tokio::sync::watch;
use tokio::time::Instant;

/// Timeout of a running upload after the bucket has changed.
const GRACE: Duration = Duration::from_secs(2);

/// The target of an uploader.
#[derive(Clone)]
pub(crate) struct UploadTarget {
    /// The bucket.
    pub(crate) bucket: Arc<Bucket>,
    /// Increases with each new bucket.
    pub(crate) version: u64,
    /// The time at which the bucket was set.
    pub(crate) set_at: Instant,
    /// The last record to deliver; `None` if delivery has no end.
    pub(crate) end_seq: Option<u64>,
}

/// Resolves when the bucket differs from that of `version`.
pub(crate) async fn target_changed(target: &watch::Receiver<UploadTarget>, version: u64) {
    let mut target = target.clone();
    if target.wait_for(|current| current.version != version).await.is_err() {
        // The sender was dropped, so the target no longer changes.
        std::future::pending::<()>().await;
    }
}

/// Resolves like [`target_changed`], but gives a running upload time to finish.
pub(crate) async fn target_changed_after_grace(
    target: &watch::Receiver<UploadTarget>,
    version: u64,
) {
    target_changed(target, version).await;
    let set_at = target.borrow().set_at;
    tokio::time::sleep_until(set_at + GRACE).await;
}

/// Resolves when the bucket differs from that of `version`, or the last record from `end_seq`.
pub(crate) async fn target_or_end_changed(
    target: &watch::Receiver<UploadTarget>,
    version: u64,
    end_seq: Option<u64>,
) {
    let mut target = target.clone();
    if target
        .wait_for(|current| current.version != version || current.end_seq != end_seq)
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}
