//! Whether events of several rules happened in the order of the list.
//!
//! For each place in the list it is known when the latest chain that reaches it began: one step per
//! event. An event that comes late, or at the same time as another, makes the chains be found again
//! from the times that are kept, which are few.

use super::{Spec, Verdict};
use crate::engine::codec::saved_struct;

/// Times that are kept. A run of events of one rule is kept as its first and its last.
const TIMES_MAX: usize = 256;

/// Events in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// For each place: the latest start of a chain that ends there.
    starts: Vec<Option<i64>>,
    /// Ordered by time; at the same time by place.
    times: Vec<Step>,
    /// Events so far: which times are of the same event.
    events: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    time: i64,
    /// The event's first place, so that at one time an event that begins a chain comes first.
    lead: u16,
    event: u64,
    /// Counted from the end, so that an event does not follow itself.
    reverse: u16,
    position: u16,
}

saved_struct!(Step { time, lead, event, reverse, position });
saved_struct!(Order { starts, times, events });

impl Order {
    pub(super) fn new(len: usize) -> Self {
        Self { starts: vec![None; len], ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        size_of::<Self>() + self.starts.capacity() * 16 + self.times.capacity() * size_of::<Step>()
    }

    pub(super) fn insert(&mut self, spec: &Spec, time: i64, positions: &[u16]) -> Verdict {
        let newest = self.times.last().map_or(i64::MIN, |last| last.time);
        self.events += 1;
        let lead = positions.iter().copied().min().unwrap_or_default();
        for &position in positions {
            let new =
                Step { time, lead, event: self.events, reverse: u16::MAX - position, position };
            let place = self.times.partition_point(|known| *known < new);
            self.times.insert(place, new);
            self.thin(place);
        }
        let over = self
            .times
            .partition_point(|known| known.time <= newest.max(time).saturating_sub(spec.horizon));
        let excess = self.times.len().saturating_sub(TIMES_MAX);
        self.times.drain(..over.max(excess));
        let met = if time > newest {
            let mut positions = positions.to_vec();
            positions.sort_unstable_by(|one, two| two.cmp(one));
            for position in positions {
                advance(&mut self.starts, spec, time, position);
            }
            is_complete(&self.starts, spec, time)
        } else {
            self.search(spec, time)
        };
        Verdict { met, level: u64::from(met) }
    }

    /// Leaves out the middle of three neighbours of the same place.
    fn thin(&mut self, place: usize) {
        for middle in [place + 1, place, place.wrapping_sub(1)] {
            let at = |index: usize| self.times.get(index).map(|time| time.position);
            let is_middle = at(middle).is_some()
                && at(middle) == at(middle.wrapping_add(1))
                && at(middle) == at(middle.wrapping_sub(1));
            if is_middle {
                self.times.remove(middle);
            }
        }
    }

    /// Finds the chains again; whether one is complete in a window that holds an event of `time`.
    fn search(&mut self, spec: &Spec, time: i64) -> bool {
        let mut starts = vec![None; self.starts.len()];
        let mut met = false;
        for known in &self.times {
            advance(&mut starts, spec, known.time, known.position);
            met |= (time..time + spec.timespan).contains(&known.time)
                && is_complete(&starts, spec, known.time);
        }
        // What is known of chains whose times are no longer kept stays true.
        for (known, found) in self.starts.iter_mut().zip(starts) {
            *known = (*known).max(found);
        }
        met
    }
}

/// Lets an event of a place go on with the chains.
fn advance(starts: &mut [Option<i64>], spec: &Spec, time: i64, position: u16) {
    let position = usize::from(position);
    let start = match position.checked_sub(1) {
        None => Some(time),
        Some(before) => starts.get(before).copied().flatten(),
    };
    let start = start.filter(|start| time - start < spec.timespan);
    if let Some(known) = starts.get_mut(position) {
        *known = (*known).max(start);
    }
}

/// Whether the window that ends at `time` holds a whole chain.
fn is_complete(starts: &[Option<i64>], spec: &Spec, time: i64) -> bool {
    starts.last().copied().flatten().is_some_and(|start| time - start < spec.timespan)
}
