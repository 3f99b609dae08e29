//! How long to wait before the next attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The first wait.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// Attempts in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Another attempt failed: how long to wait. Between half of the doubled wait and all of it,
    /// so that many who failed together do not come back together.
    pub(crate) fn failed(&mut self) -> Duration {
        let doubled = WAIT_MIN.saturating_mul(1 << self.attempts.min(16)).min(WAIT_MAX);
        self.attempts = self.attempts.saturating_add(1);
        let share = RandomState::new().hash_one(self.attempts) % 512;
        doubled / 1024 * (512 + u32::try_from(share).unwrap_or(0))
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let mut backoff = Backoff::default();
        for step in 0..40 {
            let wait = backoff.failed();
            let doubled = WAIT_MIN.saturating_mul(1 << step.min(16)).min(WAIT_MAX);
            assert!(wait <= doubled && wait >= doubled / 3, "{wait:?}");
        }
    }
}
