//! The engine's clock, which arrivals of events advance.
//!
//! The clock is the latest arrival. If arrivals are the events' own timestamps, one forged
//! timestamp must not advance it: a jump waits until further events confirm it. If the next event
//! does not confirm it, the event that jumped counts at the time at which it was read.

use super::codec::saved_struct;
use super::hit::Hit;
use super::settings::{Arrival, FUTURE_SKEW_MAX, JUMP_EVENTS, JUMP_MAX};

/// Latest valid time, the end of the year 9999. Microseconds.
const TIME_MAX: i64 = 253_402_300_799_999_999;
const TIME_MIN: i64 = -62_167_219_200_000_000;

/// The clock and the events that wait for confirmation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Microseconds; `None` before the first event.
    now: Option<i64>,
    /// Events ahead of the clock by more than the allowed jump, oldest arrival first.
    ahead: Vec<Timed>,
}

/// An event with its arrival and timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) arrival: i64,
    pub(crate) stamp: i64,
    /// The hit, if a rule matched. Its time is not set yet.
    pub(crate) hit: Option<Box<Hit>>,
    /// The hit of the clock-skew rule; present if the timestamp may prove wrong.
    pub(crate) skewed: Option<Box<Hit>>,
}

saved_struct!(Clock { now, ahead });
saved_struct!(Timed { arrival, stamp, hit, skewed });

/// An event whose time is final.
pub(crate) struct Admitted {
    pub(crate) time: i64,
    pub(crate) arrival: i64,
    /// Whether the timestamp was rejected and replaced.
    pub(crate) clamped: bool,
    pub(crate) timed: Timed,
}

impl Clock {
    pub(crate) fn now(&self) -> Option<i64> {
        self.now
    }

    /// Advances the clock.
    pub(crate) fn advance(&mut self, now: i64) {
        let now = sane(now);
        self.now = Some(self.now.map_or(now, |known| known.max(now)));
    }

    /// Whether the timestamp of an event may prove wrong.
    pub(crate) fn may_clamp(&self, mode: Arrival, arrival: i64, stamp: i64) -> bool {
        is_ahead(stamp, arrival) || (mode == Arrival::Stamped && self.jumps(arrival))
    }

    /// Whether no event waits for confirmation.
    pub(crate) fn is_settled(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Whether an event would have to wait for confirmation.
    fn jumps(&self, arrival: i64) -> bool {
        self.now.is_none_or(|now| arrival > now.saturating_add(JUMP_MAX))
    }

    /// Adds an event. Returns the events whose time is final, in the order in which they count.
    pub(crate) fn admit(&mut self, mode: Arrival, timed: Timed) -> Vec<Admitted> {
        let timed = Timed { arrival: sane(timed.arrival), stamp: sane(timed.stamp), ..timed };
        if mode == Arrival::Observed || (self.ahead.is_empty() && !self.jumps(timed.arrival)) {
            self.advance(timed.arrival);
            return vec![Admitted::of(timed)];
        }
        if !self.jumps(timed.arrival) {
            self.advance(timed.arrival);
            let mut admitted = vec![Admitted::of(timed)];
            admitted.extend(self.ahead_of_time());
            return admitted;
        }
        let place = self.ahead.partition_point(|ahead| ahead.arrival <= timed.arrival);
        self.ahead.insert(place, timed);
        if self.ahead.len() < JUMP_EVENTS {
            return Vec::new();
        }
        self.confirm()
    }

    /// Releases the events that are still ahead: no further event confirmed their time.
    fn ahead_of_time(&mut self) -> Vec<Admitted> {
        let mut admitted = self.believed();
        let now = self.now.unwrap_or_default();
        let forged = self.ahead.drain(..);
        admitted.extend(forged.map(|timed| Admitted {
            time: now,
            arrival: now,
            clamped: true,
            timed,
        }));
        admitted
    }

    /// Accepts the smallest jump and the events close to it.
    fn confirm(&mut self) -> Vec<Admitted> {
        let Some(first) = self.ahead.first().map(|first| first.arrival) else {
            return Vec::new();
        };
        self.advance(first);
        self.believed()
    }

    /// Releases the events that are ahead by less than a jump after the clock advanced.
    fn believed(&mut self) -> Vec<Admitted> {
        let mut admitted = Vec::new();
        while let Some(next) = self.ahead.first().map(|next| next.arrival) {
            if self.jumps(next) {
                break;
            }
            self.advance(next);
            admitted.push(Admitted::of(self.ahead.remove(0)));
        }
        admitted
    }

    /// Replaces the rule indices of waiting hits, or drops the hits.
    pub(crate) fn renumber(&mut self, renumbered: impl Fn(&Hit) -> Option<Hit>) {
        for ahead in &mut self.ahead {
            for hit in [&mut ahead.hit, &mut ahead.skewed] {
                *hit = hit.as_deref().and_then(&renumbered).map(Box::new);
            }
        }
    }

    /// Ends the input: waiting events are accepted.
    pub(crate) fn finish(&mut self) -> Vec<Admitted> {
        let mut admitted = Vec::new();
        while !self.ahead.is_empty() {
            admitted.extend(self.confirm());
        }
        admitted
    }
}

impl Admitted {
    fn of(timed: Timed) -> Self {
        let arrival = timed.arrival;
        let clamped = is_ahead(timed.stamp, arrival);
        Self { time: if clamped { arrival } else { timed.stamp }, arrival, clamped, timed }
    }
}

fn is_ahead(stamp: i64, arrival: i64) -> bool {
    stamp > arrival.saturating_add(FUTURE_SKEW_MAX)
}

fn sane(time: i64) -> i64 {
    time.clamp(TIME_MIN, TIME_MAX)
}
