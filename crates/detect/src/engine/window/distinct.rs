//! Counts the distinct values in a window.
//!
//! An event at `t` makes its value count in the windows that end in `[t, t + timespan)`. Adjacent
//! intervals of a value merge into one run, so a value with a thousand events costs one run, and
//! the order of arrival makes no difference. For events in order the count is maintained
//! incrementally.

use std::collections::{BTreeMap, BTreeSet};

use super::{Spec, WindowResult};
use crate::engine::codec::{CheckpointError, Decoder, Saved};
use crate::engine::digest::Digest;

/// Minimum number of runs that are kept, at any threshold, for late values.
const RUNS_MIN: usize = 64;

/// The runs of all values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Distinct {
    /// Time of the last event of a run, by value and time of the first event.
    runs: BTreeMap<(Digest, i64), i64>,
    /// The same runs, by time of the last event.
    by_last: BTreeSet<(i64, Digest, i64)>,
    newest: i64,
    /// Number of runs that the window ending at `newest` does not contain.
    expired: usize,
}

impl Distinct {
    pub(super) fn insert(&mut self, spec: &Spec, time: i64, value: Digest) -> WindowResult {
        self.advance(spec, time);
        self.extend(spec, time, value);
        self.expire(spec);
        if time >= self.newest {
            let level = (self.runs.len() - self.expired) as u64;
            return WindowResult { met: spec.is_met(level), level };
        }
        self.search(spec, time)
    }

    pub(super) fn len(&self) -> usize {
        const RUN_LEN: usize = 2 * size_of::<(Digest, i64, i64)>();
        size_of::<Self>() + self.runs.len() * RUN_LEN * 3 / 2
    }

    fn add(&mut self, spec: &Spec, value: Digest, first: i64, last: i64) {
        self.runs.insert((value, first), last);
        self.by_last.insert((last, value, first));
        self.expired += usize::from(last <= self.newest - spec.timespan);
    }

    fn remove(&mut self, spec: &Spec, value: Digest, first: i64, last: i64) {
        self.runs.remove(&(value, first));
        self.by_last.remove(&(last, value, first));
        self.expired -= usize::from(last <= self.newest - spec.timespan);
    }

    /// Advances the end of the newest window.
    fn advance(&mut self, spec: &Spec, time: i64) {
        if self.runs.is_empty() {
            self.newest = time;
        }
        if time > self.newest {
            let start = (self.newest - spec.timespan, Digest([u8::MAX; 16]), i64::MAX);
            let end = (time - spec.timespan, Digest([u8::MAX; 16]), i64::MAX);
            self.expired += self
                .by_last
                .range((std::ops::Bound::Excluded(start), std::ops::Bound::Included(end)))
                .count();
            self.newest = time;
        }
    }

    /// Adds an event to the run it touches, and merges it with the next run if they touch.
    fn extend(&mut self, spec: &Spec, time: i64, value: Digest) {
        let (mut first, mut last) = (time, time);
        let before = self.runs.range((value, i64::MIN)..=(value, time)).next_back();
        if let Some((&(_, start), &end)) = before.filter(|(_, end)| time - **end < spec.timespan) {
            if end >= time {
                return;
            }
            self.remove(spec, value, start, end);
            first = start;
        }
        let after = self.runs.range((value, time)..=(value, i64::MAX)).next();
        if let Some((&(_, start), &end)) =
            after.filter(|((_, start), _)| start - time < spec.timespan)
        {
            self.remove(spec, value, start, end);
            last = end;
        }
        self.add(spec, value, first, last);
    }

    fn expire(&mut self, spec: &Spec) {
        let over = self.newest - spec.horizon;
        while let Some(&(last, value, first)) = self.by_last.first()
            && (last <= over || self.runs.len() > spec.count_max.max(RUNS_MIN))
        {
            self.remove(spec, value, first, last);
        }
    }

    /// The fullest window that ends in `[time, time + timespan)`; it ends where a run begins.
    fn search(&self, spec: &Spec, time: i64) -> WindowResult {
        let until = time + spec.timespan;
        let mut changes = Vec::new();
        let mut count: u64 = 0;
        for (&(_, first), &last) in &self.runs {
            let end = last + spec.timespan;
            if first >= until || end <= time {
                continue;
            }
            if first <= time {
                count += 1;
            } else {
                changes.push((first, true));
            }
            changes.push((end, false));
        }
        // At equal times, ends sort before starts: a window excludes its start.
        changes.sort_unstable();
        let mut result = WindowResult { met: spec.is_met(count), level: count };
        for (_, begins) in changes.into_iter().take_while(|(at, _)| *at < until) {
            if begins {
                count += 1;
                result.level = result.level.max(count);
                result.met |= spec.is_met(count);
            } else {
                count -= 1;
            }
        }
        result
    }
}

impl Saved for Distinct {
    fn save(&self, to: &mut Vec<u8>) {
        self.newest.save(to);
        (self.expired as u64).save(to);
        (self.runs.len() as u64).save(to);
        for ((value, first), last) in &self.runs {
            value.save(to);
            first.save(to);
            last.save(to);
        }
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let newest = i64::load(from)?;
        let expired = usize::load(from)?;
        let mut distinct = Self { newest, expired, ..Self::default() };
        for (value, (first, last)) in Vec::<(Digest, (i64, i64))>::load(from)? {
            distinct.runs.insert((value, first), last);
            distinct.by_last.insert((last, value, first));
        }
        if expired > distinct.runs.len() {
            return Err(CheckpointError::Damaged("a window counts more values than it has"));
        }
        Ok(distinct)
    }
}
