//! How long to wait before the next attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The first wait.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);
/// The longest wait for somebody to be there at all. What piles up meanwhile is what has to be caught
/// up with, and a refused connection costs nobody anything.
pub(crate) const WAIT_MAX_UNREACHED: Duration = Duration::from_secs(2);

/// Attempts in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
    /// Those of them that met silence.
    silences: u32,
}

impl Backoff {
    /// Another attempt failed: how long to wait. Between half of the doubled wait and all of it,
    /// so that many who failed together do not come back together.
    pub(crate) fn failed(&mut self) -> Duration {
        self.failed_within(WAIT_MAX)
    }

    /// The same with a bound of its own.
    pub(crate) fn failed_within(&mut self, max: Duration) -> Duration {
        let doubled = WAIT_MIN.saturating_mul(1 << self.attempts.min(16)).min(max);
        self.attempts = self.attempts.saturating_add(1);
        let share = RandomState::new().hash_one(self.attempts) % 512;
        doubled / 1024 * (512 + u32::try_from(share).unwrap_or(0))
    }

    /// The same for an attempt that nobody answered.
    pub(crate) fn met_silence(&mut self, max: Duration) -> Duration {
        self.silences = self.silences.saturating_add(1);
        self.failed_within(max)
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How often there was an answer. How many attempts meet silence depends on its reason, which is
    /// nobody's business.
    pub(crate) fn answers(&self) -> u32 {
        self.attempts.saturating_sub(self.silences)
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
            // Each step counts twice.
            let doubled = WAIT_MIN.saturating_mul(1 << (2 * step).min(16)).min(WAIT_MAX);
            assert!(wait <= doubled && wait >= doubled / 3, "{wait:?}");
            assert!(backoff.met_silence(WAIT_MAX_UNREACHED) <= WAIT_MAX_UNREACHED);
        }
        assert_eq!((backoff.attempts(), backoff.answers()), (80, 40));
    }
}
