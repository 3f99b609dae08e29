//! A line of the log that senders can cause, so that it is written only once in a while.

use event::Timestamp;

use crate::limits::REFUSAL_LOG_PERIOD;

/// When a line was written last, and how many were left out since.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogLine {
    /// `None` before the first.
    time: Option<Timestamp>,
    left_out: u64,
}

impl LogLine {
    /// The number of lines that were left out since the last one; `None` if this one is left out
    /// too.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<u64> {
        let period = i64::try_from(REFUSAL_LOG_PERIOD.as_micros()).unwrap_or(i64::MAX);
        // A clock that was set back does not silence the log.
        let is_recent =
            |last: Timestamp| (0..period).contains(&(now.as_micros() - last.as_micros()));
        if self.time.is_some_and(is_recent) {
            self.left_out += 1;
            return None;
        }
        self.time = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}
