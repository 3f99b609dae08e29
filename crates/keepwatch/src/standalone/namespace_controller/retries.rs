//! The namespaces that are retried, each after its own delay.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::core::Status;
use tokio::time::Instant;

/// Delay after the first failure. It doubles with each further one.
const DELAY_MIN: Duration = Duration::from_secs(1);
/// The maximum delay.
const DELAY_MAX: Duration = Duration::from_mins(1);

/// The namespaces to retry. Their number is bounded by that of terminating namespaces.
#[derive(Default)]
pub(super) struct Retries(BTreeMap<String, Retry>);

struct Retry {
    due: Instant,
    delay: Duration,
}

impl Retries {
    /// Schedules the next attempt after a failure. Logs the first failure as a warning.
    pub(super) fn add(&mut self, namespace: String, status: &Status) {
        let (code, reason) = (status.code, status.message.as_str());
        let previous = self.0.get(&namespace).map(|retry| retry.delay);
        let delay = previous.map_or(DELAY_MIN, |delay| (delay * 2).min(DELAY_MAX));
        if previous.is_none() {
            tracing::warn!(
                namespace,
                code,
                reason,
                "the contents of the namespace cannot be deleted; trying again"
            );
        } else {
            tracing::debug!(namespace, code, reason, ?delay, "trying again");
        }
        self.0.insert(namespace, Retry { due: Instant::now() + delay, delay });
    }

    /// Removes a namespace that needs no further attempt.
    pub(super) fn remove(&mut self, namespace: &str) {
        self.0.remove(namespace);
    }

    /// Waits until an attempt is due, and returns its namespace. Waits forever if there is none.
    pub(super) async fn next(&self) -> String {
        let next = self.0.iter().min_by_key(|(_, retry)| retry.due);
        let Some((namespace, retry)) = next else { return std::future::pending().await };
        tokio::time::sleep_until(retry.due).await;
        namespace.clone()
    }
}
