//! An open signal: the aggregate of its events.
//!
//! Every list has a cap; counts continue beyond it. An event is added once and cannot be removed.
//! Deliberately absent: when a signal opens and closes (modules `count` and `state`), and its texts
//! (`wording`).

mod counter;
mod names;
mod targets;

use std::sync::Arc;

use event::Severity;
use event::signal::Actor;
use event::signal::{Evidence, ServiceAccount};
use serde_json::value::RawValue;

use super::codec::{CheckpointError, Decoder, Saved, saved_struct};
use super::digest::Digest;
use super::event_summary::{EventSummary, Packed};
use super::hit::{Group, Hit};
use super::plan::PlannedRule;
use super::settings::{
    ACTOR_VALUES_MAX, AUDIT_IDS_MAX, EVIDENCE_EVENTS_MAX, EVIDENCE_LEN_MAX, UPDATES_AT_ONCE,
};
pub(crate) use names::{Names, with_others};
pub(crate) use targets::DistinctTargets;

/// The state of an open signal.
#[derive(Clone, Debug)]
pub(crate) struct OpenSignal {
    pub(crate) id: String,
    pub(crate) group: Arc<Group>,
    /// Number of group-by values that the group ignores because of a bound.
    pub(crate) coarse: usize,
    pub(crate) suppressed_by: Option<Arc<str>>,
    /// Microseconds.
    pub(crate) opened: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Time after [`Self::due`] at which it closes, because of late events. Microseconds.
    pub(crate) lateness: i64,
    pub(crate) count: u64,
    /// Counts of events, by index of the rule's labels.
    pub(crate) counts: Vec<u64>,
    pub(crate) severity: Severity,
    pub(crate) case: String,
    /// Number of denied requests (401, 403).
    pub(crate) refused: u64,
    pub(crate) verbs: Vec<String>,
    pub(crate) actor: Actors,
    pub(crate) targets: DistinctTargets,
    pub(crate) evidence: Events,
    /// The newest event, which texts show.
    pub(crate) newest: Option<Newest>,
    /// Whether an update was sent since it opened.
    pub(crate) is_updated: bool,
    /// The count in the last update.
    pub(crate) reported: u64,
    /// Time at which a delayed update is due. Microseconds.
    pub(crate) flush_at: Option<i64>,
}

saved_struct!(OpenSignal {
    id,
    group,
    coarse,
    suppressed_by,
    opened,
    first,
    last,
    lateness,
    count,
    counts,
    severity,
    case,
    refused,
    verbs,
    actor,
    targets,
    evidence,
    is_updated,
    reported,
    flush_at,
} since 2 { newest });

/// The newest event of a signal, by event time.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    pub(crate) time: i64,
    pub(crate) packed: Packed,
}

saved_struct!(Newest { time, packed });

/// Users, addresses and user agents of the events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actors {
    /// The users that the requests were authorized for.
    pub(crate) users: Names,
    /// The users responsible for the requests, as in the fields of `actor`.
    pub(crate) responsible: Names,
    uid: String,
    groups: Vec<String>,
    pub(crate) impersonators: Names,
    credentials: Vec<String>,
    pub(crate) source_ips: Names,
    user_agents: Vec<String>,
    marks: Vec<String>,
}

/// Evidence: the audit IDs and the events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    audit_ids: Vec<String>,
    events: Vec<Box<RawValue>>,
}

/// An event that is added to a signal.
pub(crate) struct SignalEvent<'a> {
    pub(crate) time: i64,
    pub(crate) packed: &'a Packed,
    /// The parts of the event that are new to the rule.
    pub(crate) marks: Marks,
    /// Indices of the rule's labels.
    pub(crate) positions: &'a [u16],
    /// The namespace of K10's own service accounts.
    pub(crate) k10_namespace: &'a str,
}

/// Bit set of the parts of an event that are new: the user, the user agent, each address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(pub(crate) u8);

impl Marks {
    pub(crate) const USER: u8 = 1;
    pub(crate) const USER_AGENT: u8 = 2;
    /// Bit of the first address; each further address has the next bit.
    pub(crate) const SOURCE_IP: u8 = 4;
    /// Number of addresses with a bit.
    pub(crate) const SOURCE_IPS_MAX: usize = 6;
}

impl OpenSignal {
    /// Creates a signal without events; `opener` is the identity of the event that opens it.
    pub(crate) fn open(
        rule: &PlannedRule,
        (time, lateness, opener): (i64, i64, Digest),
        group: Arc<Group>,
        coarse: usize,
    ) -> Self {
        const ID_LEN: usize = 20;
        let key = group.key(coarse);
        let id = Digest::of([rule.id.as_bytes(), &key.0, &opener.0]).label(ID_LEN);
        Self {
            id,
            group,
            coarse,
            suppressed_by: None,
            opened: time,
            first: time,
            last: time,
            lateness,
            count: 0,
            counts: vec![0; rule.labels.len()],
            severity: rule.severity,
            case: String::new(),
            refused: 0,
            verbs: Vec::new(),
            actor: Actors::default(),
            targets: DistinctTargets::default(),
            evidence: Events::default(),
            newest: None,
            is_updated: false,
            reported: 0,
            flush_at: None,
        }
    }

    /// Adds an event.
    pub(crate) fn add(&mut self, event: &SignalEvent<'_>) {
        self.count += 1;
        self.first = self.first.min(event.time);
        self.last = self.last.max(event.time);
        for position in event.positions {
            if let Some(count) = self.counts.get_mut(usize::from(*position)) {
                *count += 1;
            }
        }
        let Some((summary, evidence)) = event.packed.unpack() else {
            return;
        };
        self.refused += u64::from(matches!(summary.code, 401 | 403));
        push_new(&mut self.verbs, &summary.verb);
        self.actor.add(&summary, event.marks, event.k10_namespace);
        self.targets.add(&summary);
        self.evidence.add(&summary, evidence);
        self.keep_newest(event.time, event.packed);
    }

    /// Adds the person of an event whose request it already contains. Returns whether the signal
    /// changed.
    pub(crate) fn join(&mut self, packed: &Packed, k10_namespace: &str) -> bool {
        let Some((summary, _)) = packed.unpack() else { return false };
        let known = self.actor.impersonators.count();
        self.actor.add(&summary, Marks::default(), k10_namespace);
        self.actor.impersonators.count() > known
    }

    /// Keeps an event as the newest one, from which texts are rendered, if none is newer.
    pub(crate) fn keep_newest(&mut self, time: i64, packed: &Packed) {
        if packed.len() > 0 && self.newest.as_ref().is_none_or(|newest| newest.time <= time) {
            self.newest = Some(Newest { time, packed: packed.clone() });
        }
    }

    /// Raises the severity to that of the case that holds; it never decreases. Returns whether it
    /// rose.
    pub(crate) fn escalate(&mut self, rule: &PlannedRule, level: u64) -> bool {
        let Some(case) = rule.case(level) else {
            return false;
        };
        // The first case that holds names the signal, even if its severity equals the rule's.
        let rises = case.severity > self.severity
            || (self.case.is_empty() && case.severity == self.severity);
        if rises {
            self.severity = case.severity;
            self.case.clone_from(&case.name);
        }
        rises
    }

    /// Delays the close for events that are as late as `hit`. After an event that is later than the
    /// lateness bound of its source, the signal stays open for the keep-alive time from now.
    pub(crate) fn delay_close(&mut self, rule: &PlannedRule, hit: &Hit, bound: i64) {
        let lateness = if hit.lateness <= bound {
            hit.lateness
        } else {
            let end = hit.release().saturating_add(rule.keep_alive);
            end.saturating_sub(self.due(rule)).max(bound)
        };
        self.lateness = self.lateness.max(lateness);
    }

    /// Time at which it closes without further events. Microseconds.
    pub(crate) fn due(&self, rule: &PlannedRule) -> i64 {
        let silent = self.last.saturating_add(rule.keep_alive);
        let old = self.opened.saturating_add(rule.max_duration);
        // An absence signal has no keep-alive: a missing event does not close it.
        if matches!(rule.body, super::plan::PlannedBody::Absence(..)) {
            old
        } else {
            silent.min(old)
        }
    }

    /// Whether the count has grown enough since the last update to send the next one immediately.
    pub(crate) fn needs_immediate_update(&self) -> bool {
        self.count <= UPDATES_AT_ONCE || self.count - self.reported >= self.reported.div_ceil(10)
    }
}

impl Actors {
    fn add(&mut self, summary: &EventSummary, marks: Marks, k10_namespace: &str) {
        if self.users.count() == 0 {
            self.uid.clone_from(&summary.uid);
            self.groups.clone_from(&summary.groups);
        }
        push_new(&mut self.credentials, &summary.credential_id);
        self.users.add(&summary.username);
        self.responsible.add(summary.responsible(k10_namespace));
        self.impersonators.add(&summary.impersonated_by);
        push_new(&mut self.user_agents, &summary.user_agent);
        let mut mark =
            |what: &str, value: &str| push_new(&mut self.marks, &format!("{what} {value}"));
        if marks.0 & Marks::USER != 0 {
            mark("user", &summary.username);
        }
        if marks.0 & Marks::USER_AGENT != 0 {
            mark("userAgent", &summary.user_agent);
        }
        for (bit, ip) in summary.source_ips.iter().enumerate() {
            if bit < Marks::SOURCE_IPS_MAX && marks.0 & (Marks::SOURCE_IP << bit) != 0 {
                mark("sourceIP", ip);
            }
            self.source_ips.add(ip);
        }
    }

    /// The actor section of the signal.
    pub(crate) fn to_actor(&self) -> Actor {
        let mut actor = Actor {
            source_ips: self.source_ips.listed().to_vec(),
            user_agents: self.user_agents.clone(),
            first_seen: self.marks.clone(),
            ..Actor::default()
        };
        match self.impersonators.listed() {
            [impersonator] => actor.impersonated_by.clone_from(impersonator),
            impersonators => actor.impersonators = impersonators.to_vec(),
        }
        // Several impersonated users can share the credential of the impersonator.
        if let [credential] = self.credentials.as_slice() {
            actor.credential_id.clone_from(credential);
        }
        match self.users.listed() {
            [username] => {
                actor.username.clone_from(username);
                actor.uid.clone_from(&self.uid);
                actor.groups.clone_from(&self.groups);
                let credential = self.credentials.first();
                actor.credential_id = credential.cloned().unwrap_or_default();
                let summary =
                    EventSummary { username: username.clone(), ..EventSummary::default() };
                actor.service_account = summary.service_account().map(|(namespace, name)| {
                    ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
                });
            }
            users => actor.users = users.to_vec(),
        }
        actor
    }
}

impl Saved for Actors {
    fn save(&self, to: &mut Vec<u8>) {
        self.users.save(to);
        self.responsible.save(to);
        self.uid.save(to);
        self.groups.save(to);
        self.impersonators.save(to);
        self.credentials.save(to);
        self.source_ips.save(to);
        self.user_agents.save(to);
        self.marks.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        /// Version 1 kept the first impersonator and the first credential only.
        fn single_text(from: &mut Decoder<'_>) -> Result<Vec<String>, CheckpointError> {
            let text = String::load(from)?;
            Ok(if text.is_empty() { Vec::new() } else { vec![text] })
        }
        let is_old = from.version < 2;
        let users = Names::load(from)?;
        Ok(Self {
            responsible: if is_old { users.clone() } else { Names::load(from)? },
            users,
            uid: Saved::load(from)?,
            groups: Saved::load(from)?,
            impersonators: if is_old {
                single_text(from)?.iter().map(String::as_str).collect()
            } else {
                Names::load(from)?
            },
            credentials: if is_old { single_text(from)? } else { Vec::load(from)? },
            source_ips: Names::load(from)?,
            user_agents: Saved::load(from)?,
            marks: Saved::load(from)?,
        })
    }
}

impl Events {
    /// The last event of the evidence.
    pub(crate) fn newest(&self) -> Option<&str> {
        self.events.last().map(|event| event.get())
    }

    fn add(&mut self, summary: &EventSummary, evidence: &str) {
        if !summary.audit_id.is_empty()
            && self.audit_ids.len() < AUDIT_IDS_MAX
            && !self.audit_ids.contains(&summary.audit_id)
        {
            self.audit_ids.push(summary.audit_id.clone());
        }
        let len: usize = self.events.iter().map(|event| event.get().len()).sum();
        let fits =
            self.events.len() < EVIDENCE_EVENTS_MAX && len + evidence.len() <= EVIDENCE_LEN_MAX;
        if fits
            && !evidence.is_empty()
            && let Ok(event) = RawValue::from_string(evidence.to_owned())
        {
            self.events.push(event);
        }
    }

    /// The evidence section of the signal.
    pub(crate) fn to_evidence(&self) -> Evidence {
        Evidence { audit_ids: self.audit_ids.clone(), events: self.events.clone() }
    }
}

/// Appends a text if the list does not contain it and is below its cap.
fn push_new(list: &mut Vec<String>, text: &str) {
    if !text.is_empty() && list.len() < ACTOR_VALUES_MAX && !list.iter().any(|known| known == text)
    {
        list.push(text.to_owned());
    }
}

impl Saved for Events {
    fn save(&self, to: &mut Vec<u8>) {
        self.audit_ids.save(to);
        (self.events.len() as u64).save(to);
        for event in &self.events {
            super::codec::save_bytes(event.get().as_bytes(), to);
        }
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let audit_ids = Vec::load(from)?;
        let events = Vec::<String>::load(from)?.into_iter().map(RawValue::from_string);
        let events = events.collect::<Result<_, _>>();
        events
            .map(|events| Self { audit_ids, events })
            .map_err(|_| CheckpointError::Damaged("an event is not JSON"))
    }
}

impl Saved for Severity {
    fn save(&self, to: &mut Vec<u8>) {
        Self::ALL.iter().position(|known| known == self).unwrap_or_default().save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let index = usize::load(from)?;
        Self::ALL.get(index).copied().ok_or(CheckpointError::Damaged("a severity is unknown"))
    }
}

impl Saved for Marks {
    fn save(&self, to: &mut Vec<u8>) {
        self.0.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        u8::load(from).map(Self)
    }
}
