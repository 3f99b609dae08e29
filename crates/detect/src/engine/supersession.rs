//! Supersession: an open signal of one rule prevents a signal of another rule about the same
//! events.
//!
//! A rule supersedes another *wholly* if it groups by no other fields: its signal is about
//! everything in the group of the superseded rule. Otherwise it does so *partly*: a signal about
//! one user covers only that user's events, and must not hide requests of others at the same time.
//! For partly superseded rules the table keeps the events that no superseding signal contains.
//! While a superseding signal is open, these events alone must meet the condition.
//!
//! Deliberately absent: the order in which rules raise signals, which the plan decides.

use std::collections::{BTreeMap, VecDeque};

use super::codec::saved_struct;
use super::digest::Digest;
use super::hit::{Group, Hit, Part};
use super::plan::{Plan, PlannedBody, PlannedRule};
use super::state::State;
use super::window::{Kind, Spec};

/// The events of one group that no superseding signal contains.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uncovered {
    /// Ordered by time.
    events: VecDeque<UncoveredEvent>,
    /// The sum of their sizes, in bytes.
    size: usize,
}

#[derive(Clone, Debug)]
struct UncoveredEvent {
    time: i64,
    value: Digest,
    /// The groups of partly superseding rules in which the event counts.
    groups: Vec<RuleGroup>,
}

/// A group of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RuleGroup {
    rule: u32,
    key: Digest,
}

saved_struct!(UncoveredEvent { time, value, groups });
saved_struct!(RuleGroup { rule, key });

impl super::codec::Saved for Uncovered {
    fn save(&self, to: &mut Vec<u8>) {
        self.events.save(to);
    }

    fn load(from: &mut super::codec::Decoder<'_>) -> Result<Self, super::codec::CheckpointError> {
        let events = VecDeque::load(from)?;
        let size = events.iter().map(UncoveredEvent::size).sum();
        Ok(Self { events, size })
    }
}

impl State {
    /// Whether open signals of other rules supersede a signal about this event. Stores the event if
    /// they do not contain it.
    pub(super) fn is_superseded(
        &mut self,
        plan: &Plan,
        rule: &PlannedRule,
        (hit, part, key): (&Hit, &Part, Digest),
        is_met: bool,
    ) -> bool {
        let group = &part.group;
        let is_partly = self.has_open_signal(plan, rule, &rule.partly_superseded_by, group);
        let counted = self.count_uncovered(rule, (hit, part, key), is_met && is_partly);
        self.has_open_signal(plan, rule, &rule.superseded_by, group) || (is_partly && !counted)
    }

    /// Whether one of the `superseding` rules has an open signal in the same cluster with the same
    /// values of the common group-by fields.
    fn has_open_signal(
        &self,
        plan: &Plan,
        rule: &PlannedRule,
        superseding: &[u32],
        group: &Group,
    ) -> bool {
        superseding.iter().any(|index| {
            let table = self.tables.get(*index as usize);
            let (Some(table), Some(superseding)) = (table, plan.rule(*index)) else {
                return false;
            };
            if superseding.group_names == rule.group_names {
                return table.open_signals.contains_key(&group.key(0));
            }
            table.open_signals.values().any(|open_signal| {
                let other = &open_signal.group;
                let agrees = |(name, value)| {
                    let index = superseding.group_names.iter().position(|other| other == name);
                    index.is_none_or(|index| other.values.get(index) == Some(value))
                };
                other.cluster == group.cluster
                    && other.salt == group.salt
                    && rule.group_names.iter().zip(&group.values).all(agrees)
            })
        })
    }

    /// Stores the event unless an open signal of a partly superseding rule contains it. Returns
    /// whether the uncovered events meet the condition; computed only with `is_met`.
    fn count_uncovered(
        &mut self,
        rule: &PlannedRule,
        (hit, part, key): (&Hit, &Part, Digest),
        is_met: bool,
    ) -> bool {
        if rule.partly_superseded_by.is_empty() {
            return false;
        }
        let is_superseding = |other: &&Part| {
            rule.partly_superseded_by.contains(&other.rule) && other.group.salt == part.group.salt
        };
        let parts: Vec<&Part> = hit.parts.iter().filter(is_superseding).collect();
        let is_open = |part: &&Part| {
            let table = self.tables.get(part.rule as usize);
            table.is_some_and(|table| table.has_open_signal(&part.group))
        };
        if parts.iter().any(is_open) {
            return false;
        }
        let PlannedBody::Window(spec, _) = &rule.body else { return is_met };
        let groups = parts
            .iter()
            .map(|part| RuleGroup { rule: part.rule, key: part.group.key(0) })
            .collect();
        let Some(table) = self.tables.get_mut(part.rule as usize) else { return false };
        let Some(spec) =
            table.windows.contains_key(&key).then(|| table.window_spec(key, spec, hit))
        else {
            return false;
        };
        let mut uncovered = table.uncovered.remove(&key).unwrap_or_default();
        let size_before = uncovered.size;
        uncovered.insert(&spec, UncoveredEvent { time: hit.time, value: part.value, groups });
        if is_met {
            uncovered.retain(|event| !event.groups.iter().any(|group| self.is_open(*group)));
        }
        self.windows_len = (self.windows_len + uncovered.size).saturating_sub(size_before);
        let is_met = is_met && uncovered.is_met(&spec, hit.time);
        if let Some(table) = self.tables.get_mut(part.rule as usize) {
            table.uncovered.insert(key, uncovered);
        }
        is_met
    }

    fn is_open(&self, group: RuleGroup) -> bool {
        let table = self.tables.get(group.rule as usize);
        table.is_some_and(|table| table.open_signals.contains_key(&group.key))
    }
}

impl Uncovered {
    fn insert(&mut self, spec: &Spec, event: UncoveredEvent) {
        if spec.kind == Kind::Values {
            // Only the last event with a value counts, so that repetitions displace no others.
            let is_same =
                |other: &UncoveredEvent| other.value == event.value && other.groups == event.groups;
            if let Some(known) = self.events.iter().rposition(is_same)
                && let Some(known) = self.events.remove(known)
            {
                self.size -= known.size();
            }
        }
        let index = self.events.partition_point(|other| other.time <= event.time);
        self.size += event.size();
        self.events.insert(index, event);
        let newest = self.events.back().map_or(i64::MIN, |event| event.time);
        while self.events.front().is_some_and(|event| event.time <= newest - spec.horizon)
            || self.events.len() > spec.times_max()
        {
            if let Some(event) = self.events.pop_front() {
                self.size -= event.size();
            }
        }
    }

    fn retain(&mut self, predicate: impl FnMut(&UncoveredEvent) -> bool) {
        self.events.retain(predicate);
        self.size = self.events.iter().map(UncoveredEvent::size).sum();
    }

    /// Whether a window that contains an event of that time meets the condition.
    fn is_met(&self, spec: &Spec, time: i64) -> bool {
        let mut counts: BTreeMap<Digest, u32> = BTreeMap::new();
        let mut start = 0;
        for (end, event) in self.events.iter().enumerate() {
            if event.time >= time.saturating_add(spec.timespan) {
                break;
            }
            *counts.entry(event.value).or_default() += 1;
            while let Some(first) = self.events.get(start)
                && first.time <= event.time - spec.timespan
            {
                if let Some(count) = counts.get_mut(&first.value) {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(&first.value);
                    }
                }
                start += 1;
            }
            let is_last = self.events.get(end + 1).is_none_or(|next| next.time > event.time);
            let len = if spec.kind == Kind::Count { end + 1 - start } else { counts.len() };
            if event.time >= time && is_last && spec.is_met(len as u64) {
                return true;
            }
        }
        false
    }

    /// Adopts other rule indices. The events of removed rules count as uncovered.
    pub(super) fn renumber(&mut self, index: &impl Fn(u32) -> Option<u32>) {
        for event in &mut self.events {
            event.groups.retain_mut(|group| match index(group.rule) {
                Some(rule) => {
                    group.rule = rule;
                    true
                }
                None => false,
            });
        }
        self.size = self.events.iter().map(UncoveredEvent::size).sum();
    }

    /// Approximate size in memory, in bytes.
    pub(super) fn len(&self) -> usize {
        self.size
    }
}

impl UncoveredEvent {
    /// Approximate size in memory, in bytes.
    fn size(&self) -> usize {
        size_of::<Self>() + self.groups.len() * size_of::<RuleGroup>()
    }
}
