//! The state of one rule, and the fallback to coarser groups when there are too many.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use event::Timestamp;

use super::codec::{CheckpointError, Decoder, Saved, saved_struct};
use super::digest::Digest;
use super::event_summary::Packed;
use super::hit::{Group, Hit};
use super::memory::Memory;
use super::open_signal::OpenSignal;
use super::supersession::Uncovered;
use super::window::{Spec, Window};

/// The state of one rule.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Windows by group. Iterated only in the order of its keys.
    pub(crate) windows: HashMap<Digest, Window>,
    /// The groups whose windows have events beyond the lateness bounds.
    pub(crate) late: BTreeMap<Digest, LateRetention>,
    /// Events of a partly superseded rule that no superseding signal contains.
    pub(crate) uncovered: BTreeMap<Digest, Uncovered>,
    /// Open signals by group.
    pub(crate) open_signals: BTreeMap<Digest, Box<OpenSignal>>,
    pub(crate) absences: BTreeMap<Digest, AbsenceState>,
    /// Remembered values of a first-seen rule.
    pub(crate) values: Memory,
    /// Start of the learning time of a first-seen rule, by cluster.
    pub(crate) learning: BTreeMap<Arc<str>, i64>,
    /// Remembered users, addresses and user agents.
    pub(crate) marks: Memory,
    pub(crate) counters: RuleCounters,
}

/// The last event of a group of an absence correlation.
#[derive(Clone, Debug)]
pub(crate) struct AbsenceState {
    pub(crate) group: Arc<Group>,
    pub(crate) coarse: usize,
    pub(crate) last: i64,
    pub(crate) lateness: i64,
    pub(crate) identity: Digest,
    pub(crate) packed: Packed,
    pub(crate) position: u16,
    pub(crate) suppressed_by: Option<Arc<str>>,
    /// Whether the absence signal was raised: the next event restarts the timer.
    pub(crate) is_raised: bool,
}

/// Longer retention of a window whose events exceed the lateness bounds. Without it, the window
/// would be removed before the next event of the same backlog, and these events would never count
/// together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LateRetention {
    /// The largest lateness of its events. Microseconds.
    pub(crate) lateness: i64,
    /// Time of the clock until which the window is kept. Microseconds.
    pub(crate) until: i64,
}

/// Totals of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleCounters {
    pub(crate) matched: u64,
    pub(crate) signals: u64,
    pub(crate) superseded: u64,
    pub(crate) coarse: u64,
    /// Time of the event that opened the last signal. Microseconds.
    pub(crate) last_fired: Option<i64>,
}

saved_struct!(AbsenceState {
    group,
    coarse,
    last,
    lateness,
    identity,
    packed,
    position,
    suppressed_by,
    is_raised,
});
saved_struct!(LateRetention { lateness, until });
saved_struct!(RuleCounters { matched, signals, superseded, coarse, last_fired });

/// The group in which an event counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupKey {
    pub(crate) key: Digest,
    /// Number of group-by values that it ignores.
    pub(crate) coarse: usize,
    /// Whether the limit forced a coarser group.
    pub(crate) is_forced: bool,
}

/// Finds the key for a group among `len` others: its own if it exists or the limit allows it, else
/// the least coarse one. An existing group is never evicted, so that a flood of others does not
/// reset it. The limit of coarse groups is an eighth higher; the single coarsest has none.
pub(crate) fn group_key(
    group: &Group,
    coarse: usize,
    is_known: impl Fn(&Digest) -> bool,
    len: usize,
    len_max: usize,
) -> GroupKey {
    let key = group.key(coarse);
    if len < len_max || is_known(&key) {
        return GroupKey { key, coarse, is_forced: false };
    }
    let has_capacity = len < len_max.saturating_add(len_max / 8);
    let mut group_key = GroupKey { key, coarse, is_forced: true };
    while group_key.coarse < group.level_max() {
        group_key.coarse += 1;
        group_key.key = group.key(group_key.coarse);
        if has_capacity || is_known(&group_key.key) {
            break;
        }
    }
    group_key
}

impl Table {
    /// Whether a signal of the group, or of a coarser one, is open.
    pub(crate) fn has_open_signal(&self, group: &Group) -> bool {
        (0..=group.level_max()).any(|level| self.open_signals.contains_key(&group.key(level)))
    }

    /// The specification of the window of a group for an event that is counted now. While events
    /// come too late, the window also keeps the events before them.
    pub(crate) fn window_spec(&mut self, key: Digest, spec: &Spec, hit: &Hit) -> Spec {
        let release = hit.release();
        let end = release.saturating_add(spec.horizon);
        if hit.lateness > spec.lateness() {
            let late = self.late.entry(key).or_insert(LateRetention { lateness: 0, until: end });
            late.lateness = late.lateness.max(hit.lateness);
            late.until = late.until.max(end);
        } else if self.late.get(&key).is_some_and(|late| late.until < release) {
            self.late.remove(&key);
        }
        let lateness = self.late.get(&key).map_or(0, |late| late.lateness);
        let horizon = spec.horizon.max(spec.timespan.saturating_add(lateness));
        Spec { horizon, ..spec.clone() }
    }

    /// Time at which a window without further events is removed. Microseconds.
    pub(crate) fn window_end(&self, key: &Digest, window: &Window, spec: &Spec) -> i64 {
        let end = window.newest().saturating_add(spec.horizon);
        self.late.get(key).map_or(end, |late| late.until.max(end))
    }

    pub(crate) fn fired(&mut self, time: i64) {
        self.counters.signals += 1;
        self.counters.last_fired = self.counters.last_fired.max(Some(time));
    }

    pub(crate) fn last_fired(&self) -> Option<Timestamp> {
        self.counters.last_fired.map(Timestamp::from_micros)
    }
}

impl Saved for Table {
    fn save(&self, to: &mut Vec<u8>) {
        let mut keys: Vec<&Digest> = self.windows.keys().collect();
        keys.sort_unstable();
        (keys.len() as u64).save(to);
        for key in keys {
            if let Some(window) = self.windows.get(key) {
                key.save(to);
                window.save(to);
            }
        }
        self.late.save(to);
        self.uncovered.save(to);
        self.open_signals.save(to);
        self.absences.save(to);
        self.values.save(to);
        self.learning.save(to);
        self.marks.save(to);
        self.counters.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        Ok(Self {
            windows: Vec::<(Digest, Window)>::load(from)?.into_iter().collect(),
            late: if from.version < 3 { BTreeMap::new() } else { BTreeMap::load(from)? },
            uncovered: if from.version < 4 { BTreeMap::new() } else { BTreeMap::load(from)? },
            open_signals: BTreeMap::load(from)?,
            absences: BTreeMap::load(from)?,
            values: Memory::load(from)?,
            learning: BTreeMap::load(from)?,
            marks: Memory::load(from)?,
            counters: RuleCounters::load(from)?,
        })
    }
}
