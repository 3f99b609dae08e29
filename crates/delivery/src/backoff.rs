//! The delay before the next attempt.

use std::time::Duration;

/// The first delay.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest delay.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);
/// The longest delay if no connection can be established. It is shorter, because a refused
/// connection is cheap, and records accumulate in the meantime.
pub(crate) const WAIT_MAX_UNREACHED: Duration = Duration::from_secs(2);

/// Counts consecutive failures.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
    /// Number of attempts without a response.
    without_response: u32,
}

impl Backoff {
    /// Counts a failure and returns the delay. It is random, between half of the doubled delay and
    /// the full one, so that readers that failed together do not retry together.
    pub(crate) fn failed(&mut self) -> Duration {
        self.failed_within(WAIT_MAX)
    }

    /// Counts a failure and returns the delay, with another maximum.
    pub(crate) fn failed_within(&mut self, max: Duration) -> Duration {
        let doubled = WAIT_MIN.saturating_mul(1 << self.attempts.min(16)).min(max);
        self.attempts = self.attempts.saturating_add(1);
        doubled / 1024 * fastrand::u32(512..1024)
    }

    /// Counts an attempt without a response and returns the delay.
    pub(crate) fn no_response(&mut self, max: Duration) -> Duration {
        self.without_response = self.without_response.saturating_add(1);
        self.failed_within(max)
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Number of failures with a response. Failures without a response are not counted, because
    /// their number would reveal their cause.
    pub(crate) fn failures_with_response(&self) -> u32 {
        self.attempts.saturating_sub(self.without_response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        for step in 0..40 {
            let wait = backoff.failed();
            // Each step counts twice.
            let doubled = WAIT_MIN.saturating_mul(1 << (2 * step).min(16)).min(WAIT_MAX);
            assert!(wait <= doubled && wait >= doubled / 3, "{wait:?}");
            assert!(backoff.no_response(WAIT_MAX_UNREACHED) <= WAIT_MAX_UNREACHED);
        }
        assert_eq!((backoff.attempts(), backoff.failures_with_response()), (80, 40));
    }
}
