//! How long to wait before a request to kube-apiserver that failed is made again.
//!
//! Waits double from attempt to attempt, so that many objects that cannot be written do not become many
//! requests a second. Deliberately absent: waits for stores, which are those of delivery.

use std::time::Duration;

/// The first wait.
pub const RETRY_TIME_MIN: Duration = Duration::from_secs(1);
/// The longest wait.
pub const RETRY_TIME_MAX: Duration = Duration::from_secs(30);

/// Failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Another attempt failed: how long to wait.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = RETRY_TIME_MIN.saturating_mul(1 << self.failures.min(16)).min(RETRY_TIME_MAX);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// It succeeded: the next failure is the first one again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..40).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(waits[39], 30);
        backoff.succeeded();
        assert_eq!(backoff.failed(), RETRY_TIME_MIN);
    }
}
