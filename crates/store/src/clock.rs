//! The two clocks of the store: the time of commits, which the binary supplies, and a monotonic clock
//! for periods.

use std::sync::Arc;
use std::time::Instant;

/// The source of the current time, in microseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The monotonic clock, to measure periods.
#[expect(clippy::disallowed_methods, reason = "periods are counted on the machine's own clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
