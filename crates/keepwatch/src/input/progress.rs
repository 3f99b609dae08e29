//! A progress line on a terminal, for long inputs.

use std::io::{self, IsTerminal as _, Write as _};

use apiserver::Clock as _;

use super::Inputs;
use crate::clock::SystemClock;

/// Events between two reads of the clock.
const EVENTS_PER_CHECK: u64 = 1024;
/// Time before the first progress line and between two of them, in microseconds.
const PERIOD: i64 = 200_000;
/// Width of the bar in characters.
const BAR: usize = 24;
/// Moves to the beginning of the line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// The line, on standard error if that is a terminal.
pub(crate) struct Progress {
    is_shown: bool,
    start: i64,
    next: i64,
    ticks: u64,
    is_drawn: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let now = SystemClock.now().as_micros();
        let is_shown = io::stderr().is_terminal();
        Self { is_shown, start: now, next: now + PERIOD, ticks: 0, is_drawn: false }
    }

    /// Must be called for each event.
    pub(crate) fn tick(&mut self, inputs: &Inputs) {
        self.ticks += 1;
        if !self.is_shown || !self.ticks.is_multiple_of(EVENTS_PER_CHECK) {
            return;
        }
        let now = SystemClock.now().as_micros();
        if now < self.next {
            return;
        }
        self.next = now + PERIOD;
        let (read, bytes) = inputs.progress();
        let line = line(read, bytes, inputs.tally().events, now.saturating_sub(self.start));
        self.is_drawn = write!(io::stderr(), "{CLEAR}{line}").is_ok();
    }

    /// Clears the line.
    pub(crate) fn finish(&mut self) {
        if self.is_drawn {
            write!(io::stderr(), "{CLEAR}").ok();
            self.is_drawn = false;
        }
    }
}

/// The line after this many microseconds.
fn line(read: u64, bytes: u64, events: u64, micros: i64) -> String {
    let micros = micros.max(1).unsigned_abs();
    let rate = u128::from(events) * 1_000_000 / u128::from(micros);
    let speed = format!("{events} events, {rate}/s");
    if bytes == 0 || read > bytes {
        return format!("{} read, {speed}", size(read));
    }
    let share =
        |total: u64| u64::try_from(u128::from(read) * u128::from(total) / u128::from(bytes));
    let filled = usize::try_from(share(BAR as u64).unwrap_or(0)).unwrap_or(BAR);
    let left = if read == 0 {
        String::new()
    } else {
        let rest = u128::from(micros) * u128::from(bytes - read) / u128::from(read) / 1_000_000;
        format!(", {rest} s left")
    };
    format!(
        "[{}{}] {} % of {}, {speed}{left}",
        "#".repeat(filled),
        "-".repeat(BAR.saturating_sub(filled)),
        share(100).unwrap_or(0),
        size(bytes)
    )
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = "B";
    for larger in UNITS {
        if value < 10 * 1024 {
            break;
        }
        value /= 1024;
        unit = larger;
    }
    format!("{value} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shows_progress_and_remaining_time() {
        assert_eq!(
            line(1 << 20, 4 << 20, 5000, 1_000_000),
            "[######------------------] 25 % of 4096 KiB, 5000 events, 5000/s, 3 s left"
        );
        assert_eq!(line(500, 0, 10, 2_000_000), "500 B read, 10 events, 5/s");
        assert_eq!(line(0, 100, 0, 0), "[------------------------] 0 % of 100 B, 0 events, 0/s");
    }
}
