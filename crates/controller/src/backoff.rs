//! The delay before a failed request to kube-apiserver is repeated.
//!
//! Delays double with each failure, so that many objects that cannot be written do not cause many
//! requests per second. Deliberately absent: delays for object stores (crate `delivery`).

use std::time::Duration;

/// The first delay.
pub const RETRY_TIME_MIN: Duration = Duration::from_secs(1);
/// The longest delay.
pub const RETRY_TIME_MAX: Duration = Duration::from_secs(30);

/// Counts consecutive failures.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and returns the delay before the next attempt.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = RETRY_TIME_MIN.saturating_mul(1 << self.failures.min(16)).min(RETRY_TIME_MAX);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Resets the count after a success.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound_and_are_reset_by_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..40).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(waits[39], 30);
        backoff.succeeded();
        assert_eq!(backoff.failed(), RETRY_TIME_MIN);
    }
}
