//! The system clock. No other module reads it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use apiserver::Clock;
use event::Timestamp;

/// The system's real-time clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the clock that is passed to all other code")]
    fn now(&self) -> Timestamp {
        let micros =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// The system clock as the store reads it: microseconds since 1970.
pub(crate) fn for_store() -> store::Clock {
    Arc::new(|| SystemClock.now().as_micros())
}
