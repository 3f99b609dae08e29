//! The engine's clock, which arrivals of events advance.
//!
//! The clock is the latest arrival. If arrivals are the events' own timestamps, one forged
//! timestamp must not advance it: a jump by more than the lateness bound waits until further events
//! confirm it. If the same source sends an earlier event first, the jump is rejected, and its event
//! counts at the current time of the clock.

use super::codec::saved_struct;
use super::digest::Digest;
use super::hit::Hit;
use super::settings::{FUTURE_SKEW_MAX, JUMP_EVENTS};

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
    /// The hit of the clock-skew rule; present if the timestamp may be rejected.
    pub(crate) skewed: Option<Box<Hit>>,
    /// Digest of its source.
    pub(crate) source: Digest,
}

saved_struct!(Clock { now, ahead });
saved_struct!(Timed { arrival, stamp, hit, skewed } since 4 { source });

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
        let now = clamped_time(now);
        self.now = Some(self.now.map_or(now, |known| known.max(now)));
    }

    /// Whether the timestamp of an event may be rejected. `jump_max` is the maximum advance without
    /// confirmation, `i64::MAX` if arrivals are trusted.
    pub(crate) fn may_clamp(&self, jump_max: i64, arrival: i64, stamp: i64) -> bool {
        is_ahead(stamp, arrival) || self.jumps(jump_max, arrival)
    }

    /// Whether no event waits for confirmation.
    pub(crate) fn is_settled(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Whether an event would have to wait for confirmation.
    fn jumps(&self, jump_max: i64, arrival: i64) -> bool {
        jump_max < i64::MAX && self.now.is_none_or(|now| arrival > now.saturating_add(jump_max))
    }

    /// Adds an event. Returns the events whose time is final, in the order in which they count.
    pub(crate) fn admit(&mut self, jump_max: i64, timed: Timed) -> Vec<Admitted> {
        let timed = Timed {
            arrival: clamped_time(timed.arrival),
            stamp: clamped_time(timed.stamp),
            ..timed
        };
        if !self.jumps(jump_max, timed.arrival) {
            let (source, arrival) = (timed.source, timed.arrival);
            // A late or duplicate event neither confirms nor rejects a jump.
            let advances = self.now.is_none_or(|now| now < arrival);
            self.advance(arrival);
            let mut admitted = vec![Admitted::of(timed)];
            if !self.ahead.is_empty() {
                admitted.extend(self.take_confirmed(jump_max));
                if advances {
                    admitted.extend(self.take_rejected(source));
                }
            }
            return admitted;
        }
        let index = self.ahead.partition_point(|ahead| ahead.arrival <= timed.arrival);
        self.ahead.insert(index, timed);
        if self.ahead.len() < JUMP_EVENTS {
            return Vec::new();
        }
        self.jump(jump_max)
    }

    /// Releases the events of a source that are still ahead although the source has sent an earlier
    /// event. They count at the current time.
    fn take_rejected(&mut self, source: Digest) -> Vec<Admitted> {
        let now = self.now.unwrap_or_default();
        let rejected = self.ahead.extract_if(.., |timed| timed.source == source);
        rejected.map(|timed| Admitted { time: now, arrival: now, clamped: true, timed }).collect()
    }

    /// Accepts the smallest jump and the events close to it.
    fn jump(&mut self, jump_max: i64) -> Vec<Admitted> {
        let Some(first) = self.ahead.first().map(|first| first.arrival) else {
            return Vec::new();
        };
        self.advance(first);
        self.take_confirmed(jump_max)
    }

    /// Releases the events that are ahead by less than a jump after the clock advanced.
    fn take_confirmed(&mut self, jump_max: i64) -> Vec<Admitted> {
        let mut admitted = Vec::new();
        while let Some(next) = self.ahead.first().map(|next| next.arrival) {
            if self.jumps(jump_max, next) {
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
    pub(crate) fn finish(&mut self, jump_max: i64) -> Vec<Admitted> {
        let mut admitted = Vec::new();
        while !self.ahead.is_empty() {
            admitted.extend(self.jump(jump_max));
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

fn clamped_time(time: i64) -> i64 {
    time.clamp(TIME_MIN, TIME_MAX)
}
