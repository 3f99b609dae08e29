//! An open signal: the aggregate of its events.
//!
//! Every list has a cap; counts continue beyond it. An event is added once and cannot be removed.
//! Deliberately absent: when a signal opens and closes (module `life`), and its texts (`wording`).

mod targets;

use std::sync::Arc;

use event::Severity;
use event::signal::Actor;
use event::signal::{Evidence, ServiceAccount};
use serde_json::value::RawValue;

use super::codec::{CheckpointError, Saved, saved_struct};
use super::digest::Digest;
use super::facts::{Facts, Packed};
use super::hit::Group;
use super::plan::PlannedRule;
use super::settings::{
    ACTOR_VALUES_MAX, AUDIT_IDS_MAX, EVIDENCE_EVENTS_MAX, EVIDENCE_LEN_MAX, UPDATES_AT_ONCE,
};
pub(crate) use targets::Tally;

/// The state of an open signal.
#[derive(Clone, Debug)]
pub(crate) struct Episode {
    pub(crate) id: String,
    pub(crate) group: Arc<Group>,
    /// Number of group-by values that the group ignores because of a bound.
    pub(crate) coarse: usize,
    pub(crate) hidden_by: Option<Arc<str>>,
    /// Microseconds.
    pub(crate) opened: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Largest lateness of its events. Microseconds.
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
    pub(crate) targets: Tally,
    pub(crate) evidence: Events,
    /// Whether an update was sent since it opened.
    pub(crate) is_updated: bool,
    /// The count in the last update.
    pub(crate) told: u64,
    /// Time at which a delayed update is due. Microseconds.
    pub(crate) flush_at: Option<i64>,
}

saved_struct!(Episode {
    id,
    group,
    coarse,
    hidden_by,
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
    told,
    flush_at,
});

/// Users, addresses and user agents of the events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actors {
    pub(crate) users: Vec<String>,
    uid: String,
    groups: Vec<String>,
    impersonated_by: String,
    credential_id: String,
    source_ips: Vec<String>,
    user_agents: Vec<String>,
    marks: Vec<String>,
}

saved_struct!(Actors {
    users,
    uid,
    groups,
    impersonated_by,
    credential_id,
    source_ips,
    user_agents,
    marks,
});

/// Evidence: the audit IDs and the events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    audit_ids: Vec<String>,
    events: Vec<Box<RawValue>>,
}

/// An event that is added to a signal.
pub(crate) struct Witness<'a> {
    pub(crate) time: i64,
    pub(crate) packed: &'a Packed,
    /// The parts of the event that are new to the rule.
    pub(crate) marks: Marks,
    /// Indices of the rule's labels.
    pub(crate) positions: &'a [u16],
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

impl Episode {
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
            hidden_by: None,
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
            targets: Tally::default(),
            evidence: Events::default(),
            is_updated: false,
            told: 0,
            flush_at: None,
        }
    }

    /// Adds an event.
    pub(crate) fn add(&mut self, witness: &Witness<'_>) {
        self.count += 1;
        self.first = self.first.min(witness.time);
        self.last = self.last.max(witness.time);
        for position in witness.positions {
            if let Some(count) = self.counts.get_mut(usize::from(*position)) {
                *count += 1;
            }
        }
        let Some((facts, evidence)) = witness.packed.unpack() else {
            return;
        };
        self.refused += u64::from(matches!(facts.code, 401 | 403));
        push_new(&mut self.verbs, &facts.verb);
        self.actor.add(&facts, witness.marks);
        self.targets.add(&facts);
        self.evidence.add(&facts, evidence);
    }

    /// Raises the severity to that of the case that holds; it never decreases. Returns whether it
    /// rose.
    pub(crate) fn grade(&mut self, rule: &PlannedRule, level: u64) -> bool {
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

    /// Whether it has grown enough since the last update for an immediate one.
    pub(crate) fn is_news(&self) -> bool {
        self.count <= UPDATES_AT_ONCE || self.count - self.told >= self.told.div_ceil(10)
    }
}

impl Actors {
    fn add(&mut self, facts: &Facts, marks: Marks) {
        if self.users.is_empty() {
            self.uid.clone_from(&facts.uid);
            self.groups.clone_from(&facts.groups);
            self.impersonated_by.clone_from(&facts.impersonated_by);
        }
        if self.credential_id.is_empty() {
            self.credential_id.clone_from(&facts.credential_id);
        }
        push_new(&mut self.users, &facts.username);
        push_new(&mut self.user_agents, &facts.user_agent);
        let mut mark =
            |what: &str, value: &str| push_new(&mut self.marks, &format!("{what} {value}"));
        if marks.0 & Marks::USER != 0 {
            mark("user", &facts.username);
        }
        if marks.0 & Marks::USER_AGENT != 0 {
            mark("userAgent", &facts.user_agent);
        }
        for (place, ip) in facts.source_ips.iter().enumerate() {
            if place < Marks::SOURCE_IPS_MAX && marks.0 & (Marks::SOURCE_IP << place) != 0 {
                mark("sourceIP", ip);
            }
            push_new(&mut self.source_ips, ip);
        }
    }

    /// The actor section of the signal.
    pub(crate) fn tell(&self) -> Actor {
        let mut actor = Actor {
            source_ips: self.source_ips.clone(),
            user_agents: self.user_agents.clone(),
            first_seen: self.marks.clone(),
            ..Actor::default()
        };
        match self.users.as_slice() {
            [username] => {
                actor.username.clone_from(username);
                actor.uid.clone_from(&self.uid);
                actor.groups.clone_from(&self.groups);
                actor.impersonated_by.clone_from(&self.impersonated_by);
                actor.credential_id.clone_from(&self.credential_id);
                let facts = Facts { username: username.clone(), ..Facts::default() };
                actor.service_account = facts.service_account().map(|(namespace, name)| {
                    ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
                });
            }
            users => actor.users = users.to_vec(),
        }
        actor
    }
}

impl Events {
    fn add(&mut self, facts: &Facts, evidence: &str) {
        if !facts.audit_id.is_empty()
            && self.audit_ids.len() < AUDIT_IDS_MAX
            && !self.audit_ids.contains(&facts.audit_id)
        {
            self.audit_ids.push(facts.audit_id.clone());
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
    pub(crate) fn tell(&self) -> Evidence {
        Evidence { audit_ids: self.audit_ids.clone(), events: self.events.clone() }
    }

    /// The first event in the encoding `audit.k8s.io/v1`.
    pub(crate) fn first(&self) -> Option<&RawValue> {
        self.events.first().map(Box::as_ref)
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

    fn load(from: &mut &[u8]) -> Result<Self, CheckpointError> {
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

    fn load(from: &mut &[u8]) -> Result<Self, CheckpointError> {
        let place = usize::load(from)?;
        Self::ALL.get(place).copied().ok_or(CheckpointError::Damaged("a severity is unknown"))
    }
}

impl Saved for Marks {
    fn save(&self, to: &mut Vec<u8>) {
        self.0.save(to);
    }

    fn load(from: &mut &[u8]) -> Result<Self, CheckpointError> {
        u8::load(from).map(Self)
    }
}
