//! Encodes the engine's state as a checkpoint and decodes it.
//!
//! ```text
//! magic, version │ digest of the rest │ clock, identities, counters │ rules │ waiting hits
//! ```
//!
//! A rule is identified by the digest of its text and of the texts it refers to, so that state is
//! restored only for an unchanged rule. Timers are not written: they are computed from the rest.

use bytes::Bytes;

use super::clock::Clock;
use super::codec::{CheckpointError, Decoder, Saved, VERSION, saved_struct};
use super::digest::Digest;
use super::hit::Hit;
use super::identities::Identities;
use super::impersonations::Impersonations;
use super::open_signal::OpenSignal;
use super::plan::{Plan, PlannedBody, PlannedRule};
use super::requests::Requests;
use super::settings::CHUNK_LEN_MAX;
use super::state::{Counters, State, StepContext, Timer, TimerKind};
use super::supersession::Uncovered;
use super::table::Table;
use super::{ChangeKind, Engine};

const MAGIC: &[u8] = b"KWDETECT";

/// The part of a rule that a checkpoint contains, so that its signals can close after the rule is
/// removed.
#[derive(Clone, Debug)]
struct Header {
    fingerprint: Digest,
    id: String,
    title: String,
    group_names: Vec<String>,
    labels: Vec<String>,
}

saved_struct!(Header { fingerprint, id, title, group_names, labels });

impl Engine {
    pub(crate) fn save(&self) -> Vec<Bytes> {
        let mut body = Vec::new();
        let state = &self.state;
        state.clock.save(&mut body);
        state.identities.save(&mut body);
        state.counters.save(&mut body);
        state.suppressed.save(&mut body);
        state.requests.save(&mut body);
        state.impersonations.save(&mut body);
        (self.plan.rules.len() as u64).save(&mut body);
        for (rule, table) in self.plan.rules.iter().zip(&state.tables) {
            Header::of(rule).save(&mut body);
            table.save(&mut body);
        }
        let hits: Vec<_> = state.waiting.hits().cloned().collect();
        hits.save(&mut body);
        let mut head = MAGIC.to_vec();
        head.push(VERSION);
        Digest::of([body.as_slice()]).save(&mut head);
        head.append(&mut body);
        let all = Bytes::from(head);
        (0..all.len())
            .step_by(CHUNK_LEN_MAX)
            .map(|start| all.slice(start..all.len().min(start + CHUNK_LEN_MAX)))
            .collect()
    }

    pub(crate) fn load(&mut self, checkpoint: &[Bytes]) -> Result<(), CheckpointError> {
        let all = checkpoint.concat();
        let body = all.strip_prefix(MAGIC).ok_or(CheckpointError::Version(None))?;
        let (&version, rest) = body.split_first().ok_or(CheckpointError::Version(None))?;
        if !(1..=VERSION).contains(&version) {
            return Err(CheckpointError::Version(Some(version)));
        }
        let from = &mut Decoder { rest, version };
        if Digest::load(from)? != Digest::of([from.rest]) {
            return Err(CheckpointError::Damaged("its digest differs"));
        }
        let mut state = State {
            clock: Clock::load(from)?,
            identities: Identities::load(from)?,
            counters: Counters::load(from)?,
            suppressed: Saved::load(from)?,
            requests: if version < 2 { Requests::default() } else { Saved::load(from)? },
            impersonations: match version {
                ..5 => Impersonations::default(),
                _ => Saved::load(from)?,
            },
            ..State::default()
        };
        let mut rules = Vec::new();
        for _ in 0..u64::load(from)? {
            rules.push(Header::load(from)?.into_rule());
            state.tables.push(Table::load(from)?);
        }
        for hit in Vec::<Hit>::load(from)? {
            state.waiting.insert(hit);
        }
        if !from.rest.is_empty() {
            return Err(CheckpointError::Damaged("there are bytes after its end"));
        }
        let built_in = u32::try_from(rules.len().saturating_sub(2)).unwrap_or_default();
        let (clock_skew, state_pressure) = (built_in, built_in + 1);
        let consumers = Vec::new();
        let k10_namespace = std::sync::Arc::clone(&self.plan.k10_namespace);
        let plan = Plan { rules, consumers, clock_skew, state_pressure, k10_namespace };
        self.migrate_state(state, &plan);
        Ok(())
    }

    /// Migrates a state from the rules of `plan` to those of this engine.
    pub(crate) fn migrate_state(&mut self, state: State, plan: &Plan) {
        let known = self.plan.by_fingerprint();
        let indices: Vec<Option<u32>> =
            plan.rules.iter().map(|rule| known.get(&rule.fingerprint).copied()).collect();
        let State {
            clock,
            identities,
            requests,
            impersonations,
            waiting,
            tables,
            counters,
            suppressed,
            ..
        } = state;
        let retained =
            State { clock, identities, requests, impersonations, ..State::new(&self.plan) };
        let mut migrated = State { counters, suppressed, ..retained };
        let index_after = |rule: u32| indices.get(rule as usize).copied().flatten();
        for hit in waiting.hits() {
            if let Some(hit) = renumbered(hit, &index_after) {
                migrated.waiting.insert(hit);
            }
        }
        migrated.clock.renumber(|hit| renumbered(hit, &index_after));
        for (index, mut table) in (0..).zip(tables) {
            match index_after(index).and_then(|rule| migrated.tables.get_mut(rule as usize)) {
                Some(current_table) => {
                    for uncovered in table.uncovered.values_mut() {
                        uncovered.renumber(&index_after);
                    }
                    *current_table = table;
                }
                None => self.close_all(plan, index, &mut table),
            }
        }
        migrated.set_timers(&self.plan);
        self.state = migrated;
    }

    /// Closes the signals of a removed rule.
    fn close_all(&mut self, plan: &Plan, rule: u32, table: &mut Table) {
        let mut context = StepContext {
            plan,
            settings: &self.settings,
            changes: &mut self.orphans,
            matches: None,
        };
        for mut open_signal in std::mem::take(&mut table.open_signals).into_values() {
            let last = open_signal.last;
            context.report(rule, &mut open_signal, ChangeKind::Closed, last);
        }
        // The index of a removed rule is invalid.
        self.orphans.iter_mut().for_each(|change| change.rule = None);
    }
}

impl Header {
    fn of(rule: &PlannedRule) -> Self {
        Self {
            fingerprint: rule.fingerprint,
            id: rule.id.clone(),
            title: rule.title.clone(),
            group_names: rule.group_names.clone(),
            labels: rule.labels.clone(),
        }
    }

    /// A rule that can render its signals but matches nothing.
    fn into_rule(self) -> PlannedRule {
        let Self { fingerprint, id, title, group_names, labels } = self;
        PlannedRule { fingerprint, group_names, labels, ..PlannedRule::with_defaults(&id, &title) }
    }
}

/// The hit with new rule indices; `None` if all of its rules were removed.
fn renumbered(hit: &Hit, index: &impl Fn(u32) -> Option<u32>) -> Option<Hit> {
    let mut hit = hit.clone();
    hit.matched = hit.matched.iter().filter_map(|rule| index(*rule)).collect();
    hit.parts.retain_mut(|part| match index(part.rule) {
        Some(rule) => {
            part.rule = rule;
            true
        }
        None => false,
    });
    (!hit.parts.is_empty()).then_some(hit)
}

impl State {
    /// An empty state.
    pub(crate) fn new(plan: &Plan) -> Self {
        let tables = plan.rules.iter().map(|_| Table::default()).collect();
        Self { tables, ..Self::default() }
    }

    /// Sets all timers and computes the size in bytes.
    fn set_timers(&mut self, plan: &Plan) {
        for (rule, (planned, table)) in (0..).zip(plan.rules.iter().zip(&self.tables)) {
            if let PlannedBody::Window(spec, _) = &planned.body {
                let windows = table.windows.iter();
                self.windows_len += windows.clone().map(|(_, window)| window.len()).sum::<usize>();
                self.windows_len += table.uncovered.values().map(Uncovered::len).sum::<usize>();
                self.timers.extend(windows.map(|(key, window)| {
                    let at = table.window_end(key, window, spec);
                    Timer { at, kind: TimerKind::Expire, rule, key: *key }
                }));
            }
            if let PlannedBody::Absence(timespan, _) = &planned.body {
                let absences = table.absences.iter().filter(|(_, absence)| !absence.is_raised);
                self.timers.extend(absences.map(|(key, absence)| {
                    let at =
                        absence.last.saturating_add(*timespan).saturating_add(absence.lateness);
                    Timer { at, kind: TimerKind::Absence, rule, key: *key }
                }));
            }
            for (key, open_signal) in &table.open_signals {
                self.timers.extend(signal_timers(planned, rule, *key, open_signal));
            }
        }
    }
}

fn signal_timers(
    planned: &PlannedRule,
    rule: u32,
    key: Digest,
    open_signal: &OpenSignal,
) -> impl Iterator<Item = Timer> {
    let at = open_signal.due(planned).saturating_add(open_signal.lateness);
    let close = Timer { at, kind: TimerKind::Close, rule, key };
    let update = open_signal.flush_at.map(|at| Timer { at, kind: TimerKind::Update, rule, key });
    std::iter::once(close).chain(update)
}
