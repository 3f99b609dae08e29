//! The activity of a user: complete counts, and details within a memory limit.
//!
//! Events may come in any order and more than once. Deliberately absent: rendering.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::Arc;

use event::annotations::ADMISSION;
use event::{Event, ObjectReference, Signal, Stage, Timestamp};

use super::classify::{Class, class_of};
use super::density::Density;
use super::related::{Related, Users, credential_of};
use super::sessions::Sessions;

/// Maximum number of requests of one class whose details are retained, both of the first and of the
/// last ones.
const REQUESTS_MAX: usize = 2000;
/// Maximum number of distinct values that are retained for each field.
const VALUES_MAX: usize = 500;
/// Maximum number of values that are recognized as not new.
const KNOWN_MAX: usize = 10_000;
/// Maximum number of signals that are retained.
pub(crate) const SIGNALS_MAX: usize = 500;
/// Maximum number of events whose repetitions are detected.
const REPETITIONS_MAX: usize = 65_536;
/// Maximum difference between the timestamps of two servers for the same request, in microseconds.
const SAME_REQUEST_TIME_MAX: i64 = 5_000_000;

/// The user and the time range.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) name: String,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

/// The collected activity of a user.
#[derive(Default)]
pub(crate) struct Timeline {
    pub(crate) scope: Scope,
    /// The source of the events, for the heading.
    pub(crate) origin: String,
    pub(crate) count: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) by_class: [u64; Class::ALL.len()],
    pub(crate) density: Density,
    pub(crate) sessions: Sessions,
    pub(crate) namespaces: BTreeMap<String, [u64; Class::ALL.len()]>,
    pub(crate) addresses: Values,
    pub(crate) agents: Values,
    pub(crate) credentials: Values,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) signals: Vec<Arc<Signal>>,
    requests: BTreeMap<Class, RetainedRequests>,
    users: Users,
    /// Values from before the time range.
    before: HashSet<(TrackedField, String)>,
    repetitions: Repetitions,
}

/// One request of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserRequest {
    pub(crate) time: Timestamp,
    pub(crate) class: Class,
    pub(crate) verb: String,
    /// Plural, with group and subresource where there is one; the path of other requests.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) code: u16,
    pub(crate) address: String,
    /// The other side of an impersonation.
    pub(crate) impersonation: Option<Impersonation>,
    pub(crate) audit_id: String,
    /// Values that occurred for the first time.
    pub(crate) firsts: Vec<String>,
    /// Values that could be new.
    tracked_values: Vec<(TrackedField, String)>,
}

/// An impersonation, from the user's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Impersonation {
    /// The user impersonated this one.
    As(String),
    /// This user impersonated the user.
    By(String),
}

/// The fields whose first occurrence is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TrackedField {
    Address,
    Agent,
    Credential,
    Namespace,
    Verb,
}

/// Different values, and how often and when each was seen.
#[derive(Default)]
pub(crate) struct Values(pub(crate) BTreeMap<String, Value>);

/// The number and the times of the occurrences of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) count: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// The value occurred before the time range.
    pub(crate) is_known: bool,
}

/// The first and the last requests of one class.
#[derive(Default)]
struct RetainedRequests {
    first: Vec<UserRequest>,
    last: VecDeque<UserRequest>,
}

impl UserRequest {
    /// Whether the user was not allowed to send the request.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.code, 401 | 403)
    }

    /// Whether the response was another error.
    pub(crate) fn is_failed(&self) -> bool {
        self.code >= 400 && !self.is_refused()
    }
}

impl Timeline {
    pub(crate) fn new(scope: Scope, origin: String) -> Self {
        Self { scope, origin, ..Self::default() }
    }

    /// Adds an event of any user. `source` names the stream of events that it is from.
    pub(crate) fn add(&mut self, event: &Event, source: &str) {
        // The events of the admission webhook are the only ones of their requests from that source.
        let is_last = matches!(event.stage, Stage::ResponseComplete | Stage::Panic)
            || event.annotations.contains_key(ADMISSION);
        if !is_last {
            return;
        }
        let time = event.stage_timestamp;
        if self.scope.until.is_some_and(|until| time > until) {
            return;
        }
        let is_before = self.scope.since.is_some_and(|since| time < since);
        if !is_before {
            self.users.add(event, &self.scope.name);
        }
        let name = self.scope.name.as_str();
        let other = event.impersonated_user.as_ref();
        let impersonation = match other.map(|user| user.username.as_str()) {
            Some(other) if event.user.username == name => Some(Impersonation::As(other.to_owned())),
            Some(other) if other == name => Some(Impersonation::By(event.user.username.clone())),
            _ if event.user.username == name => None,
            _ => return,
        };
        if is_before {
            for (kind, value) in tracked_values(event) {
                if self.before.len() < KNOWN_MAX {
                    self.before.insert((kind, value));
                }
            }
        } else if self.repetitions.is_new(event, source) {
            self.add_request(request(event, impersonation), event);
        }
    }

    /// Adds a signal, if it is about the user.
    pub(crate) fn add_signal(&mut self, signal: &Arc<Signal>) {
        let actor = &signal.spec.actor;
        let name = &self.scope.name;
        let is_actor = actor.username == *name
            || actor.impersonated_by == *name
            || actor.users.contains(name)
            || actor.impersonators.contains(name);
        let is_within = self.scope.since.is_none_or(|since| signal.spec.last_seen >= since)
            && self.scope.until.is_none_or(|until| signal.spec.first_seen <= until);
        // A later state can have more users than its list contains.
        let is_known = self.signals.iter().any(|known| known.id == signal.id);
        if !(is_actor || is_known) || !is_within {
            return;
        }
        if let Some(known) = self.signals.iter_mut().find(|known| known.id == signal.id) {
            *known = Arc::clone(signal);
        } else if self.signals.len() < SIGNALS_MAX {
            self.signals.push(Arc::clone(signal));
        }
    }

    /// Must be called after the last event and signal: marks first occurrences and sorts the
    /// signals.
    pub(crate) fn finish(&mut self) {
        self.signals.sort_by(|left, right| {
            (left.spec.first_seen, &left.id).cmp(&(right.spec.first_seen, &right.id))
        });
        let mut known = std::mem::take(&mut self.before);
        let has_past = !known.is_empty();
        if !has_past {
            for values in [&mut self.addresses, &mut self.agents, &mut self.credentials] {
                values.mark_first_known();
            }
        }
        let mut requests: Vec<&mut UserRequest> = self
            .requests
            .values_mut()
            .flat_map(|requests| requests.first.iter_mut().chain(requests.last.iter_mut()))
            .collect();
        requests
            .sort_by(|left, right| (left.time, &left.audit_id).cmp(&(right.time, &right.audit_id)));
        for (index, request) in requests.into_iter().enumerate() {
            // The very first value is not marked.
            let is_very_first = index == 0 && !has_past;
            for (kind, value) in std::mem::take(&mut request.tracked_values) {
                // Reading an object for the first time is not marked.
                let is_marked = match kind {
                    TrackedField::Verb => request.class < Class::Change,
                    _ => !is_very_first,
                };
                let is_new = known.len() < KNOWN_MAX && !known.contains(&(kind, value.clone()));
                if is_new && is_marked {
                    request.firsts.push(format!("{} {value}", kind.as_str()));
                }
                if is_new {
                    known.insert((kind, value));
                }
            }
        }
        self.before = known;
    }

    fn add_request(&mut self, request: UserRequest, event: &Event) {
        self.count += 1;
        self.refused += u64::from(request.is_refused());
        self.failed += u64::from(request.is_failed());
        bump(&mut self.by_class, request.class);
        self.density.add(request.time, request.class, request.is_refused());
        self.sessions.add(request.time);
        if let Some(counts) = self.namespaces.get_mut(&request.namespace) {
            bump(counts, request.class);
        } else if self.namespaces.len() < VALUES_MAX {
            bump(self.namespaces.entry(request.namespace.clone()).or_default(), request.class);
        }
        let known =
            |kind: TrackedField, value: &str| self.before.contains(&(kind, value.to_owned()));
        if let Some(address) = event.source_ips.first() {
            self.addresses.add(address, request.time, known(TrackedField::Address, address));
        }
        if !event.user_agent.is_empty() {
            let agent = &event.user_agent;
            self.agents.add(agent, request.time, known(TrackedField::Agent, agent));
        }
        if let Some(credential) = credential_of(event) {
            self.credentials.add(
                credential,
                request.time,
                known(TrackedField::Credential, credential),
            );
        }
        for group in &event.user.groups {
            if self.groups.len() < VALUES_MAX {
                self.groups.insert(group.clone());
            }
        }
        self.requests.entry(request.class).or_default().add(request);
    }

    /// The retained requests, the earliest first.
    pub(crate) fn requests(&self) -> Vec<&UserRequest> {
        let requests =
            self.requests.values().flat_map(|requests| requests.first.iter().chain(&requests.last));
        let mut requests: Vec<&UserRequest> = requests.collect();
        requests
            .sort_by(|left, right| (left.time, &left.audit_id).cmp(&(right.time, &right.audit_id)));
        requests
    }

    /// Users that are related to this one.
    pub(crate) fn related(&self) -> Vec<Related> {
        let keys = |values: &Values| values.0.keys().cloned().collect::<Vec<String>>();
        let (addresses, credentials) = (keys(&self.addresses), keys(&self.credentials));
        self.users.related(
            &self.scope.name,
            addresses.iter().map(String::as_str),
            credentials.iter().map(String::as_str),
        )
    }

    /// The time range from the first to the last event or signal.
    pub(crate) fn range(&self) -> Option<(Timestamp, Timestamp)> {
        let sessions = self.sessions.all().map(|session| (session.first, session.last));
        let signals =
            self.signals.iter().map(|signal| (signal.spec.first_seen, signal.spec.last_seen));
        sessions.chain(signals).reduce(|left, right| (left.0.min(right.0), left.1.max(right.1)))
    }
}

impl Values {
    fn add(&mut self, value: &str, time: Timestamp, is_known: bool) {
        if let Some(known) = self.0.get_mut(value) {
            known.count += 1;
            known.first = known.first.min(time);
            known.last = known.last.max(time);
        } else if self.0.len() < VALUES_MAX {
            let first = Value { count: 1, first: time, last: time, is_known };
            self.0.insert(value.to_owned(), first);
        }
    }
}

impl Values {
    /// Without earlier events, the earliest value is not new.
    fn mark_first_known(&mut self) {
        if let Some(value) = self.0.values_mut().min_by_key(|value| value.first) {
            value.is_known = true;
        }
    }
}

impl RetainedRequests {
    fn add(&mut self, request: UserRequest) {
        if self.first.len() < REQUESTS_MAX {
            self.first.push(request);
            return;
        }
        if self.last.len() == REQUESTS_MAX {
            self.last.pop_front();
        }
        self.last.push_back(request);
    }
}

impl TrackedField {
    fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Agent => "client",
            Self::Credential => "credential",
            Self::Namespace => "namespace",
            Self::Verb => "act",
        }
    }
}

/// The requests whose repetitions are detected, by a hash of audit ID, verb and object: a client
/// can choose the audit ID.
#[derive(Default)]
struct Repetitions {
    /// Source and time of each recorded event of the request.
    known: HashMap<u64, Vec<(u64, Timestamp)>>,
    order: VecDeque<u64>,
}

impl Repetitions {
    /// Whether the event is not the repetition of another. Events of one source are equal if their
    /// times are; two sources of the same request differ a little.
    fn is_new(&mut self, event: &Event, source: &str) -> bool {
        if event.audit_id.is_empty() {
            return true;
        }
        let (request, source) = (hash(&(&event.audit_id, &event.verb, named(event))), hash(source));
        let time = event.stage_timestamp;
        let others = self.known.entry(request).or_default();
        let is_known = others.iter().any(|(other, at)| {
            let apart = at.as_micros().abs_diff(time.as_micros());
            if *other == source {
                apart == 0
            } else {
                apart <= SAME_REQUEST_TIME_MAX.unsigned_abs()
            }
        });
        if is_known {
            return false;
        }
        others.push((source, time));
        self.order.push_back(request);
        if self.order.len() > REPETITIONS_MAX
            && let Some(oldest) = self.order.pop_front()
            && let Some(times) = self.known.get_mut(&oldest)
        {
            times.remove(0);
            if times.is_empty() {
                self.known.remove(&oldest);
            }
        }
        true
    }
}

fn hash(value: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

/// The object of a request, or its path.
fn named(event: &Event) -> (String, &str, &str) {
    let reference = event.object_ref.as_ref();
    let of = |field: fn(&ObjectReference) -> &String| {
        reference.map_or("", |reference| field(reference).as_str())
    };
    (resource_of(event), of(|reference| &reference.namespace), of(|reference| &reference.name))
}

fn bump(counts: &mut [u64; Class::ALL.len()], class: Class) {
    if let Some(count) = counts.get_mut(class as usize) {
        *count += 1;
    }
}

/// The values of an event whose first occurrence is marked.
fn tracked_values(event: &Event) -> Vec<(TrackedField, String)> {
    let mut tracked_values = Vec::new();
    let mut add = |kind: TrackedField, value: &str| {
        if !value.is_empty() {
            tracked_values.push((kind, value.to_owned()));
        }
    };
    add(TrackedField::Address, event.source_ips.first().map_or("", String::as_str));
    add(TrackedField::Agent, &event.user_agent);
    add(TrackedField::Credential, credential_of(event).unwrap_or_default());
    if let Some(reference) = &event.object_ref {
        add(TrackedField::Namespace, &reference.namespace);
        add(TrackedField::Verb, &format!("{} {}", event.verb, resource_of(event)));
    }
    tracked_values
}

fn request(event: &Event, impersonation: Option<Impersonation>) -> UserRequest {
    let reference = event.object_ref.as_ref();
    UserRequest {
        time: event.stage_timestamp,
        class: class_of(event),
        verb: event.verb.clone(),
        resource: resource_of(event),
        namespace: reference.map(|reference| reference.namespace.clone()).unwrap_or_default(),
        name: reference.map(|reference| reference.name.clone()).unwrap_or_default(),
        code: event.response_status.as_ref().map_or(0, |status| status.code),
        address: event.source_ips.first().cloned().unwrap_or_default(),
        impersonation,
        audit_id: event.audit_id.clone(),
        firsts: Vec::new(),
        tracked_values: tracked_values(event),
    }
}

/// `restorepoints`, `pods/exec`, or the path of a non-resource request.
fn resource_of(event: &Event) -> String {
    match &event.object_ref {
        Some(reference) if reference.subresource.is_empty() => reference.resource.clone(),
        Some(reference) => format!("{}/{}", reference.resource, reference.subresource),
        None => event.request_uri.split('?').next().unwrap_or_default().to_owned(),
    }
}
