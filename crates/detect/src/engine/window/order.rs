//! Detects events of several rules in the order of the list.
//!
//! Events with equal times may be matched in any order, each for one position of the list: a rule
//! that is listed twice needs two events. The order of arrival makes no difference.
//!
//! For each position in the list the window keeps the latest start of a chain that reaches it. The
//! events of the newest time are matched when they arrive; a late event recomputes the chains from
//! the kept times, which are few.

use std::collections::{BTreeMap, BTreeSet};

use super::{Spec, WindowResult};
use crate::engine::codec::{CheckpointError, Decoder, Saved, saved_struct};

/// Maximum number of kept times, beside those of the newest time.
const TIMES_MAX: usize = 256;
/// From this number of times on, a run of events of one rule is kept as its first and last. Late
/// events between them are then matched with these two.
const COMPACT_FROM: usize = 32;

/// The chains of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// For each position, the latest start of a chain that ends there before the newest time.
    starts: Vec<Option<i64>>,
    /// Ordered by time, then by event.
    times: Vec<Step>,
    /// Number of events so far; it numbers events, so that the positions of one event are known.
    events: u64,
}

/// An event at one of its positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    time: i64,
    event: u64,
    position: u16,
}

saved_struct!(Order { starts, times, events });

impl Saved for Step {
    /// The format contains two unused numbers of earlier releases.
    fn save(&self, to: &mut Vec<u8>) {
        self.time.save(to);
        self.position.save(to);
        self.event.save(to);
        (u16::MAX - self.position).save(to);
        self.position.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let (time, _, event) = (i64::load(from)?, u16::load(from)?, u64::load(from)?);
        let (_, position) = (u16::load(from)?, u16::load(from)?);
        Ok(Self { time, event, position })
    }
}

impl Order {
    pub(super) fn new(len: usize) -> Self {
        Self { starts: vec![None; len], ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        size_of::<Self>() + self.starts.capacity() * 16 + self.times.capacity() * size_of::<Step>()
    }

    pub(super) fn insert(&mut self, spec: &Spec, time: i64, positions: &[u16]) -> WindowResult {
        let newest = self.newest();
        if time > newest {
            // No further event of the time that was the newest is in order.
            let group = group(&self.times, newest);
            advance(&mut self.starts, spec, newest, group);
        }
        if self.is_needed(time, positions) {
            self.events += 1;
            let index = self.times.partition_point(|known| known.time <= time);
            let event = self.events;
            let steps = positions.iter().map(|&position| Step { time, event, position });
            self.times.splice(index..index, steps);
            self.expire(spec);
        }
        let met = if time >= newest {
            let mut starts = self.starts.clone();
            advance(&mut starts, spec, time, group(&self.times, time));
            is_complete(&starts, spec, time)
        } else {
            self.search(spec, time)
        };
        WindowResult { met, level: u64::from(met) }
    }

    fn newest(&self) -> i64 {
        self.times.last().map_or(i64::MIN, |last| last.time)
    }

    /// Whether an event can make a difference among those of the same time. Of equal events, as
    /// many as they have positions are enough. For a position, as many events as the list has
    /// positions are enough: the other positions leave one of them.
    fn is_needed(&self, time: i64, positions: &[u16]) -> bool {
        let known = group(&self.times, time);
        if known.len() >= TIMES_MAX {
            return false;
        }
        let events = || known.chunk_by(|left, right| left.event == right.event);
        let is_equal = |event: &&[Step]| event.iter().map(|step| &step.position).eq(positions);
        let events_of =
            |position: &u16| known.iter().filter(|step| step.position == *position).count();
        events().filter(is_equal).count() < positions.len()
            && positions.iter().any(|position| events_of(position) < self.starts.len())
    }

    /// Removes the times that no window can contain from now on, and those that exceed the bounds.
    fn expire(&mut self, spec: &Spec) {
        if self.times.len() > COMPACT_FROM {
            self.compact();
        }
        let newest = self.newest();
        let over = newest.saturating_sub(spec.horizon);
        let over = self.times.partition_point(|known| known.time <= over);
        let before_newest = self.times.partition_point(|known| known.time < newest);
        let excess = self.times.len().saturating_sub(TIMES_MAX).min(before_newest);
        self.times.drain(..over.max(excess));
    }

    /// Removes the times between the first and the last of a run with the same single position.
    fn compact(&mut self) {
        let times = &self.times;
        let at = |index: usize| times.get(index).map(|step| step.time);
        let single = |index: usize| {
            let step = times.get(index)?;
            let is_alone =
                at(index.wrapping_sub(1)) != Some(step.time) && at(index + 1) != Some(step.time);
            is_alone.then_some(step.position)
        };
        let is_middle = |index: usize| {
            let position = single(index);
            position.is_some()
                && position == single(index.wrapping_sub(1))
                && position == single(index + 1)
        };
        let remaining = (0..times.len()).filter(|index| !is_middle(*index));
        self.times = remaining.filter_map(|index| times.get(index).copied()).collect();
    }

    /// Recomputes the chains. Returns whether a window with an event of `time` has a complete one.
    fn search(&mut self, spec: &Spec, time: i64) -> bool {
        let newest = self.newest();
        let mut starts = vec![None; self.starts.len()];
        let mut met = false;
        for group in self.times.chunk_by(|left, right| left.time == right.time) {
            let Some(end) = group.first().map(|step| step.time) else { continue };
            if end == newest {
                // Keep the starts of chains whose times were removed: they remain valid.
                for (known, start) in self.starts.iter_mut().zip(&mut starts) {
                    *known = (*known).max(*start);
                    *start = *known;
                }
            }
            advance(&mut starts, spec, end, group);
            let is_around = (time..time.saturating_add(spec.timespan)).contains(&end);
            met |= is_around && is_complete(&starts, spec, end);
        }
        met
    }
}

/// The events of one time.
fn group(times: &[Step], time: i64) -> &[Step] {
    let first = times.partition_point(|known| known.time < time);
    let end = times.partition_point(|known| known.time <= time);
    times.get(first..end).unwrap_or_default()
}

/// Extends the chains by the events of one time. A chain takes consecutive positions if each of
/// them can have an event of its own.
fn advance(starts: &mut [Option<i64>], spec: &Spec, time: i64, group: &[Step]) {
    let positions: BTreeSet<u16> = group.iter().map(|step| step.position).collect();
    let mut matching = Matching { group, by_event: BTreeMap::new() };
    let mut reached = Vec::with_capacity(positions.len());
    // The positions from `first` on have events.
    let (mut first, mut next) = (0, 0);
    for position in positions {
        if position != next {
            matching.by_event.clear();
            first = position;
        }
        next = position.saturating_add(1);
        // The position alone always has one.
        while !matching.add(position, &mut BTreeSet::new()) && first < position {
            matching.remove(first);
            first += 1;
        }
        let start = match usize::from(first).checked_sub(1) {
            None => Some(time),
            Some(before) => {
                let earlier = starts.get(before..usize::from(position)).unwrap_or_default();
                earlier.iter().copied().max().flatten()
            }
        };
        reached.push((position, start.filter(|start| time - start < spec.timespan)));
    }
    for (position, start) in reached {
        if let Some(known) = starts.get_mut(usize::from(position)) {
            *known = (*known).max(start);
        }
    }
}

/// An assignment of events of one time to positions.
struct Matching<'a> {
    group: &'a [Step],
    by_event: BTreeMap<u64, u16>,
}

impl Matching<'_> {
    /// Assigns an event to a position; others may change theirs. Returns whether it is possible.
    /// `seen` are the events that were tried. The depth is at most the number of positions with
    /// events, which [`TIMES_MAX`] bounds.
    fn add(&mut self, position: u16, tried: &mut BTreeSet<u64>) -> bool {
        for step in self.group.iter().filter(|step| step.position == position) {
            if !tried.insert(step.event) {
                continue;
            }
            let holder = self.by_event.get(&step.event).copied();
            if holder.is_none_or(|holder| self.add(holder, tried)) {
                self.by_event.insert(step.event, position);
                return true;
            }
        }
        false
    }

    fn remove(&mut self, position: u16) {
        self.by_event.retain(|_, assigned| *assigned != position);
    }
}

/// Whether the window that ends at `time` contains a complete chain.
fn is_complete(starts: &[Option<i64>], spec: &Spec, time: i64) -> bool {
    starts.last().copied().flatten().is_some_and(|start| time - start < spec.timespan)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Kind;
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// An event: its second, and its positions.
    type Event = (i64, Vec<u16>);

    fn spec(timespan: i64, len: usize) -> Spec {
        let timespan = timespan * SECOND;
        let kind = Kind::Order(len);
        let horizon = timespan + 100 * SECOND;
        Spec { kind, timespan, horizon, at_least: 1, at_most: u64::MAX, count_max: 1 }
    }

    /// Whether the positions from `next` on can each have an unused event, in the order of time.
    fn is_chain(events: &[&Event], used: &mut Vec<usize>, (next, len): (u16, u16)) -> bool {
        next == len
            || (0..events.len()).any(|at| {
                let last = used.last().map_or(i64::MIN, |used| events[*used].0);
                if used.contains(&at) || events[at].0 < last || !events[at].1.contains(&next) {
                    return false;
                }
                used.push(at);
                let is_found = is_chain(events, used, (next + 1, len));
                used.pop();
                is_found
            })
    }

    /// Whether a window that contains the last event has a complete chain, by trying all chains.
    fn by_definition(events: &[Event], timespan: i64, len: u16) -> bool {
        let time = events.last().unwrap().0;
        events.iter().map(|event| event.0).any(|end| {
            let window: Vec<&Event> =
                events.iter().filter(|event| event.0 <= end && event.0 > end - timespan).collect();
            (time..time + timespan).contains(&end) && is_chain(&window, &mut Vec::new(), (0, len))
        })
    }

    /// Inserts events in this order, and restores the state in between. Returns which were met.
    fn insert(events: &[Event], timespan: i64, len: u16) -> Vec<bool> {
        let spec = spec(timespan, usize::from(len));
        let mut order = Order::new(usize::from(len));
        let mut met = Vec::new();
        for (time, positions) in events {
            met.push(order.insert(&spec, time * SECOND, positions).met);
            let mut saved = Vec::new();
            order.save(&mut saved);
            let restored = Order::load(&mut Decoder::current(&saved)).unwrap();
            assert_eq!(restored, order);
            order = restored;
        }
        met
    }

    fn check(events: &[(i64, &[u16])], len: u16, expected: bool) {
        let events: Vec<Event> = events.iter().map(|(at, of)| (*at, of.to_vec())).collect();
        for run in 0..events.len() {
            let mut order = events.clone();
            order.rotate_left(run);
            for _ in 0..2 {
                let met = insert(&order, 60, len);
                assert_eq!(met.contains(&true), expected, "{order:?}: {met:?}");
                order.reverse();
            }
        }
    }

    #[test]
    fn events_of_one_time_match_in_any_order_each_for_one_position() {
        // Update, create, get, update.
        let (update, create, get) = (&[0, 3][..], &[1][..], &[2][..]);
        check(&[(0, update), (1, create), (1, get), (1, update)], 4, true);
        check(&[(1, update), (1, create), (1, get), (1, update)], 4, true);
        check(&[(1, update), (1, create), (1, get)], 4, false);
        check(&[(0, update), (2, create), (1, get), (3, update)], 4, false);
        // Get, any.
        check(&[(0, &[0]), (0, &[0, 1])], 2, true);
        check(&[(0, &[0, 1]), (0, &[0, 1])], 2, true);
        check(&[(0, &[0, 1])], 2, false);
        check(&[(0, &[0]), (0, &[0])], 2, false);
        // A rule that is listed twice.
        check(&[(0, &[0, 1]), (0, &[2])], 3, false);
        check(&[(0, &[0, 1]), (0, &[0, 1]), (0, &[2])], 3, true);
    }

    #[test]
    fn many_equal_events_are_bounded_and_hide_no_chain() {
        let spec = spec(60, 4);
        let mut order = Order::new(4);
        order.insert(&spec, 0, &[0, 3]);
        for _ in 0..10_000 {
            assert!(!order.insert(&spec, SECOND, &[1]).met);
            assert!(!order.insert(&spec, SECOND, &[1, 2]).met);
        }
        assert_eq!(order.times.len(), 2 + 1 + 4, "{order:?}");
        assert!(order.insert(&spec, SECOND, &[0, 3]).met);
        for at in 2..10_000 {
            order.insert(&spec, at * SECOND / 1000, &[1]);
            assert!(order.times.len() <= COMPACT_FROM + TIMES_MAX, "{}", order.times.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn chains_are_those_of_the_definition_in_any_order_of_arrival(
            len in 1..=4_u16,
            timespan in 1..=5_i64,
            events in prop::collection::vec((0..5_i64, 1..16_u16), 1..=8),
        ) {
            let of = |mask: u16| (0..len).filter(|at| mask & (1 << at) != 0).collect::<Vec<_>>();
            let events: Vec<Event> = events
                .into_iter()
                .map(|(at, mask)| (at, of(mask)))
                .filter(|(_, positions)| !positions.is_empty())
                .collect();
            let expected: Vec<bool> = (1..=events.len())
                .map(|end| by_definition(&events[..end], timespan, len))
                .collect();
            prop_assert_eq!(insert(&events, timespan, len), expected);
        }
    }
}
