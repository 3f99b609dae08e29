//! Waiting for another process to get somewhere.
//!
//! There is nothing to be notified by across process borders, so this asks again and again, with a
//! limit. It is the only place of the suite that sleeps.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a component may take to do what it should; generous, for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

const PAUSE: Duration = Duration::from_millis(100);

/// Asks `probe` until it has an answer, for at most [`PATIENCE`].
///
/// `Ok(None)` means "not yet", an error "never".
#[expect(clippy::disallowed_methods, reason = "the suite waits for real processes in real time")]
pub fn until<T>(
    what: &str,
    mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(answer) = probe().with_context(|| format!("while waiting: {what}"))? {
            return Ok(answer);
        }
        thread::sleep(PAUSE);
    }
    bail!("waited in vain: {what}")
}
