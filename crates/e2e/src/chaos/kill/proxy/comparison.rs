//! Compares the records of the proxy with the audit log of the API server behind it, with the
//! responses that the clients read, and with the objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, bail, ensure};
use event::annotations::{OUTCOME, OUTCOME_NOT_FORWARDED, OUTCOME_UNKNOWN};
use event::{Event, Stage};
use serde_json::Value;

use super::load::{Id, parse_id, user_of};
use crate::chaos::kill::load::LoggedResponse;
use crate::fixtures::AuditLog;

/// The audit policy of the API server: the writes of the clients.
pub(super) const PEER_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\n\
omitStages: [RequestReceived]\nrules:\n- level: Metadata\n  \
verbs: [create, update, patch, delete]\n  \
resources: [{group: wardle.example.com, resources: [flunders]}]\n- level: None\n";

/// The outcome of a request on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The API server responded with this code.
    Code(u16),
    /// It is not known whether the request had an effect.
    Unknown,
    /// It was not forwarded.
    NotForwarded,
}

/// A request on record.
struct Record {
    verb: String,
    name: String,
    outcome: Outcome,
}

/// The figures of a comparison without differences.
#[derive(Debug)]
pub(super) struct Comparison {
    responses: usize,
    records: usize,
    /// Writes that the API server executed.
    effects: usize,
    /// Records that say that the outcome is unknown.
    unknown: usize,
    /// Of these, the requests that the API server executed.
    unknown_effects: usize,
    objects: usize,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { responses, records, effects, unknown, unknown_effects, objects } = self;
        write!(
            f,
            "{responses} responses, {records} records, {effects} effects, {unknown} records of an \
             unknown outcome ({unknown_effects} of them with an effect), {objects} objects"
        )
    }
}

impl Comparison {
    /// Compares. The first difference is an error.
    pub(super) fn of(
        events: &[Event],
        peer_log: &AuditLog,
        responses: &[LoggedResponse],
        objects: &BTreeMap<String, Id>,
    ) -> anyhow::Result<Self> {
        let records = records(events)?;
        for response in responses {
            let id = parse_id(&response.id).context("not an ID of a client")?;
            let outcome = records.get(&id).map(|record| record.outcome);
            let expected = Some(Outcome::Code(response.code));
            ensure!(
                outcome == expected,
                "the response to {} had the code {}, its record is {outcome:?}",
                response.id,
                response.code
            );
        }
        let executed = executed(peer_log)?;
        for (id, code) in &executed {
            let record = records.get(id);
            let record =
                record.with_context(|| format!("{id:?} had an effect and has no record"))?;
            let is_recorded = [Outcome::Code(*code), Outcome::Unknown].contains(&record.outcome);
            ensure!(is_recorded, "{id:?} had the code {code}, its record is {:?}", record.outcome);
        }
        for (id, record) in &records {
            let is_write = !matches!(record.verb.as_str(), "get" | "list");
            let is_known = matches!(record.outcome, Outcome::Code(_));
            ensure!(
                !is_write || !is_known || executed.contains_key(id),
                "{id:?} is on record as {:?}, but did not reach the API server",
                record.outcome
            );
        }
        compare_objects(&records, objects)?;
        let unknown = records.iter().filter(|(_, record)| record.outcome == Outcome::Unknown);
        let is_success = |id: &Id| executed.get(id).is_some_and(|code| *code < 300);
        let comparison = Self {
            responses: responses.len(),
            records: records.len(),
            effects: executed.values().filter(|code| **code < 300).count(),
            unknown: unknown.clone().count(),
            unknown_effects: unknown.filter(|(id, _)| is_success(id)).count(),
            objects: objects.len(),
        };
        // Otherwise the kills hit no request.
        ensure!(comparison.unknown > 0, "no outcome is unknown: {comparison}");
        ensure!(comparison.effects > comparison.unknown, "too little: {comparison}");
        Ok(comparison)
    }
}

/// The records of the clients' requests, each of which has one.
fn records(events: &[Event]) -> anyhow::Result<BTreeMap<Id, Record>> {
    let mut records = BTreeMap::new();
    for event in events.iter().filter(|event| event.stage == Stage::ResponseComplete) {
        let Some(id) = parse_id(&event.audit_id) else { continue };
        let code = event.response_status.as_ref().map_or(0, |status| status.code);
        let outcome = match event.annotations.get(OUTCOME).map(String::as_str) {
            None => Outcome::Code(code),
            Some(OUTCOME_UNKNOWN) => Outcome::Unknown,
            Some(OUTCOME_NOT_FORWARDED) => Outcome::NotForwarded,
            Some(other) => bail!("{id:?} has the outcome {other}"),
        };
        let (user, expected) = (&event.user.username, user_of(id.1));
        ensure!(*user == expected, "{id:?} is recorded as a request of {user}");
        let name = event.object_ref.as_ref().map(|reference| reference.name.clone());
        let verb = event.verb.clone();
        let record = Record { verb, name: name.unwrap_or_default(), outcome };
        ensure!(records.insert(id, record).is_none(), "{id:?} has two records");
    }
    Ok(records)
}

/// The codes of the writes that reached the API server, from its own log.
fn executed(log: &AuditLog) -> anyhow::Result<BTreeMap<Id, u16>> {
    let mut executed = BTreeMap::new();
    for event in log.events()? {
        let text = |field: &str| event.pointer(field).and_then(Value::as_str).unwrap_or_default();
        if text("/stage") != "ResponseComplete" {
            continue;
        }
        let Some(id) = parse_id(text("/auditID")) else { continue };
        let (user, expected) = (text("/impersonatedUser/username"), user_of(id.1));
        ensure!(user == expected, "{id:?} was forwarded as a request of {user}");
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
        let code = u16::try_from(code.context("an event without a code")?)?;
        ensure!(executed.insert(id, code).is_none(), "{id:?} was forwarded twice");
    }
    Ok(executed)
}

/// What an object may be after some requests: the request that changed it last, or no object.
type States = BTreeSet<Option<Id>>;

/// Replays the records. One client changes an object, one request after the other, so only the last
/// request of a round can be without an outcome.
fn compare_objects(
    records: &BTreeMap<Id, Record>,
    objects: &BTreeMap<String, Id>,
) -> anyhow::Result<()> {
    let mut expected: BTreeMap<&str, States> = BTreeMap::new();
    for (id, record) in records {
        let state = match record.verb.as_str() {
            "create" | "update" | "patch" => Some(*id),
            "delete" => None,
            _ => continue,
        };
        let states = expected.entry(&record.name).or_insert_with(|| States::from([None]));
        match record.outcome {
            Outcome::Code(200..300) => *states = States::from([state]),
            Outcome::Code(_) | Outcome::NotForwarded => {}
            Outcome::Unknown => {
                states.insert(state);
            }
        }
    }
    for (name, changed_by) in objects {
        let states = expected.get(name.as_str());
        let is_recorded = states.is_some_and(|states| states.contains(&Some(*changed_by)));
        ensure!(is_recorded, "{name} was changed by {changed_by:?}, on record is {states:?}");
    }
    for (name, states) in &expected {
        let is_recorded = objects.contains_key(*name) || states.contains(&None);
        ensure!(is_recorded, "{name} does not exist, on record is {states:?}");
    }
    Ok(())
}
