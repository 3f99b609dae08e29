//! Matches an event against the rules and reads its groups and values, so that later steps do not
//! need the event.

use std::collections::BTreeSet;
use std::sync::Arc;

use event::Stage;
use event::annotations::{ADMISSION, ADMISSION_RECORD};
use event::fields::ObjectRefFields;

use super::digest::{Digest, Hasher};
use super::event_summary::Packed;
use super::hit::{Group, Hit, Identity, Part, group_value};
use super::plan::PlannedBody;
use super::settings::GROUP_VALUES_MAX;
use super::{Engine, Input, Suppression};
use crate::field::Field;
use crate::fields::Fields;
use crate::rule::{Body, Correlation, CorrelationKind, Rule};

/// Maximum number of groups of one event in one rule. There are several if a group-by field is a
/// list.
const GROUPS_MAX: usize = GROUP_VALUES_MAX;

impl Engine {
    /// The hit of an event; `None` if the event cannot contribute to a signal.
    pub(crate) fn hit(&self, input: &Input<'_>, fields: &Fields<'_>) -> Option<Hit> {
        let mut matched: Vec<u32> = Vec::new();
        self.rules.for_each_match(fields, |rule| matched.extend(u32::try_from(rule).ok()));
        if matched.is_empty() {
            return None;
        }
        matched.sort_unstable();
        let cluster: Arc<str> = group_value(input.cluster);
        let mut parts = Vec::new();
        for &rule in &matched {
            self.detection_parts(rule, fields, &cluster, &mut parts);
        }
        for (rule, position) in self.reachable(&matched) {
            self.correlation_parts(rule, position, fields, &cluster, &mut parts);
        }
        self.suppress(input, fields, &mut parts);
        if parts.is_empty() {
            return None;
        }
        let source: Arc<str> = group_value(input.source);
        let event = input.event;
        let effective = event.impersonated_user().unwrap_or_else(|| event.user()).username();
        let actor = fields.actor_name();
        Some(Hit {
            time: 0,
            lateness: self.settings.lateness_of(input.source),
            identity: identity(input),
            request: request(input, actor),
            effective_request: request(input, effective),
            is_impersonation: actor != effective,
            cluster,
            source,
            matched,
            parts,
            packed: Packed::of(input.event),
        })
    }

    /// The hit of the clock-skew rule, for an event with a rejected timestamp.
    pub(crate) fn skewed(&self, input: &Input<'_>) -> Hit {
        let cluster: Arc<str> = group_value(input.cluster);
        let source: Arc<str> = group_value(input.source);
        let mut identity = identity(input);
        identity.digest = Digest::of([&identity.digest.0[..], b"skewed"]);
        let (values, salt) = (vec![Arc::clone(&source)], Arc::from(""));
        let part = Part {
            rule: self.plan.clock_skew,
            positions: vec![0],
            group: Arc::new(Group { cluster: Arc::clone(&cluster), values, salt }),
            value: Digest::default(),
            suppressed_by: None,
        };
        Hit {
            time: 0,
            lateness: self.settings.lateness_of(input.source),
            identity,
            request: Digest::default(),
            effective_request: Digest::default(),
            is_impersonation: false,
            cluster,
            source,
            matched: Vec::new(),
            parts: vec![part],
            packed: Packed::of(input.event),
        }
    }

    /// The correlations that may count the event, each with the index of the counted rule in its
    /// list. A correlation can also count the signals of another correlation.
    fn reachable(&self, matched: &[u32]) -> BTreeSet<(u32, u16)> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<u32> = matched.to_vec();
        while let Some(rule) = open.pop() {
            for &(consumer, position) in
                self.plan.consumers.get(rule as usize).into_iter().flatten()
            {
                if reached.insert((consumer, position)) {
                    open.push(consumer);
                }
            }
        }
        reached
    }

    fn detection_parts(
        &self,
        index: u32,
        fields: &Fields<'_>,
        cluster: &Arc<str>,
        parts: &mut Vec<Part>,
    ) {
        let rule = self.rules.rules().get(index as usize);
        let Some(rule) = rule.filter(|rule| rule.raises) else { return };
        let group_by = rule.signal.group_by.iter();
        // A missing value counts as empty, so that a detection does not ignore the event.
        let values = combinations(group_by, fields, true).unwrap_or_default();
        let value = match &rule.signal.first_seen {
            Some(first_seen) => joint_value(&first_seen.fields, fields),
            None => Some(Digest::default()),
        };
        let Some(value) = value else { return };
        push_parts(parts, index, 0, values, cluster, value);
    }

    fn correlation_parts(
        &self,
        index: u32,
        position: u16,
        fields: &Fields<'_>,
        cluster: &Arc<str>,
        parts: &mut Vec<Part>,
    ) {
        let Some(Rule { body: Body::Correlation(correlation), .. }) =
            self.rules.rules().get(index as usize)
        else {
            return;
        };
        let at = usize::from(position);
        let group_by = correlation.group_by.iter().map(|group| group.fields.get(at));
        let Some(group_by) = group_by.collect::<Option<Vec<_>>>() else { return };
        // A correlation ignores an event in which a group-by value is missing.
        let Some(groups) = combinations(group_by.into_iter(), fields, false) else { return };
        for value in counted_values(correlation, fields) {
            push_parts(parts, index, position, groups.clone(), cluster, value);
        }
    }

    /// Marks the parts that a suppression hides. They are counted separately from the others.
    /// Requests that change suppressions are never hidden, because otherwise one suppression could
    /// hide that another one is created.
    fn suppress(&self, input: &Input<'_>, fields: &Fields<'_>, parts: &mut [Part]) {
        let is_suppression = |object: &ObjectRefFields<'_>| {
            object.api_group == "siem.keepwatch.io" && object.resource == "suppressions"
        };
        if fields.object_ref().is_some_and(is_suppression) {
            return;
        }
        let stamp = input.event.stage_timestamp().min(input.arrival);
        let is_current =
            |suppression: &&Suppression| suppression.expires.is_none_or(|expires| stamp < expires);
        for suppression in self.suppressions.iter().filter(is_current) {
            let is_concerned = |part: &&mut Part| {
                let rule = self.plan.rule(part.rule);
                part.suppressed_by.is_none()
                    && (suppression.rules.is_empty()
                        || rule.is_some_and(|rule| suppression.rules.contains(&rule.id)))
            };
            let mut named = parts.iter_mut().filter(is_concerned).peekable();
            let is_selected = named.peek().is_some()
                && suppression.events.as_ref().is_none_or(|events| events.matches(fields));
            if is_selected {
                let name: Arc<str> = Arc::from(&*suppression.name);
                for part in named {
                    part.suppressed_by = Some(Arc::clone(&name));
                    let body = self.plan.rule(part.rule).map(|rule| &rule.body);
                    // An event restarts an absence timer whether or not its signal is suppressed.
                    if !matches!(body, Some(PlannedBody::Absence(..))) {
                        let salt = Arc::clone(&name);
                        part.group = Arc::new(Group { salt, ..(*part.group).clone() });
                    }
                }
            }
        }
    }
}

/// The identity of an event. A client may choose the audit ID and reuse it for many requests, so
/// the identity also contains the facts that the server sets.
fn identity(input: &Input<'_>) -> Identity {
    let event = input.event;
    let mut hasher = Hasher::default();
    for part in [
        input.cluster,
        event.audit_id(),
        event.stage().as_str(),
        event.verb(),
        event.request_uri(),
        event.user().username(),
    ] {
        hasher.part(part.as_bytes());
    }
    for time in [event.request_received_timestamp(), event.stage_timestamp()] {
        hasher.part(&time.as_micros().to_le_bytes());
    }
    Identity { audit_id: group_value(event.audit_id()), digest: hasher.finish() }
}

/// The digest that identifies a request of this user in the logs of several sources, together with its
/// approximate time. With the actor, it finds the events of one request that name the same actor: of a
/// request that K10 sends for a user, kube-apiserver records both, and an extension API server only
/// that user. With the effective user, it finds the events of an impersonated request (module
/// `impersonations`).
fn request(input: &Input<'_>, user: &str) -> Digest {
    let event = input.event;
    // kube-apiserver names the record of the admission webhook in its own event of the request.
    let record = event.annotation(ADMISSION_RECORD);
    let id = record.unwrap_or_else(|| event.audit_id());
    if id.is_empty() {
        return Digest::default();
    }
    let mut hasher = Hasher::default();
    let (mut stage, mut verb) = (event.stage(), event.verb());
    let is_admission = event.annotation(ADMISSION).is_some();
    if is_admission {
        stage = Stage::ResponseComplete;
    }
    // An admission review has the operation UPDATE for a patch too.
    if (is_admission || record.is_some()) && verb == "patch" {
        verb = "update";
    }
    for part in [input.cluster, id, stage.as_str(), verb, user] {
        hasher.part(part.as_bytes());
    }
    if let Some(object) = event.object_ref() {
        // kube-apiserver does not decode the body of a request that it forwards, so that its event
        // of a create has no name.
        let is_create = event.verb() == "create" && object.subresource.is_empty();
        let name = if is_create { "" } else { object.name };
        for part in [object.api_group, object.resource, object.subresource, object.namespace, name]
        {
            hasher.part(part.as_bytes());
        }
    }
    hasher.finish()
}

/// The groups of an event: one for each combination of the values of its group-by fields. A missing
/// value counts as empty; without `is_missing_empty`, it makes the result `None`.
fn combinations<'f>(
    fields_by: impl Iterator<Item = &'f Field>,
    fields: &Fields<'_>,
    is_missing_empty: bool,
) -> Option<Vec<Vec<Arc<str>>>> {
    let mut groups: Vec<Vec<Arc<str>>> = vec![Vec::new()];
    for field in fields_by {
        let mut values: Vec<Arc<str>> = Vec::new();
        fields.for_each_value(field, |value| {
            if values.len() < GROUP_VALUES_MAX {
                let value = group_value(value);
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        });
        if values.is_empty() {
            if !is_missing_empty {
                return None;
            }
            values.push(Arc::from(""));
        }
        let combined = groups.iter().flat_map(|group| {
            values.iter().map(|value| group.iter().chain([value]).cloned().collect())
        });
        groups = combined.take(GROUPS_MAX).collect();
    }
    Some(groups)
}

/// The values that a value count counts for an event. Other correlations count the event itself,
/// which is one empty value.
fn counted_values(correlation: &Correlation, fields: &Fields<'_>) -> Vec<Digest> {
    let field = match &correlation.kind {
        CorrelationKind::ValueCount(counted) => match counted.as_slice() {
            [field] => field,
            several => return counted_combinations(several, fields),
        },
        _ => return vec![Digest::default()],
    };
    let mut values = Vec::new();
    fields.for_each_value(field, |value| {
        if values.len() < GROUP_VALUES_MAX {
            values.push(Digest::of([value.as_bytes()]));
        }
    });
    values.dedup();
    values
}

/// One value for each combination of the fields' values. At least one field must be present.
fn counted_combinations(counted: &[Field], fields: &Fields<'_>) -> Vec<Digest> {
    let combinations = combinations(counted.iter(), fields, true).unwrap_or_default();
    let with_values =
        combinations.iter().filter(|values| values.iter().any(|value| !value.is_empty()));
    with_values.map(|values| Digest::of(values.iter().map(|value| value.as_bytes()))).collect()
}

/// The combined value of several fields; `None` if all are missing.
fn joint_value(by: &[Field], fields: &Fields<'_>) -> Option<Digest> {
    let mut hasher = Hasher::default();
    let mut is_present = false;
    for field in by {
        let mut len: u64 = 0;
        fields.for_each_value(field, |value| {
            is_present = true;
            len += 1;
            hasher.part(value.as_bytes());
        });
        hasher.part(&len.to_le_bytes());
    }
    is_present.then(|| hasher.finish())
}

fn push_parts(
    parts: &mut Vec<Part>,
    rule: u32,
    position: u16,
    groups: Vec<Vec<Arc<str>>>,
    cluster: &Arc<str>,
    value: Digest,
) {
    for values in groups {
        // If another rule of the correlation has the same group, the event is counted once.
        let known = parts
            .iter_mut()
            .find(|part| part.rule == rule && part.value == value && part.group.values == values);
        if let Some(known) = known {
            if !known.positions.contains(&position) {
                known.positions.push(position);
            }
            continue;
        }
        let group = Group { cluster: Arc::clone(cluster), values, salt: Arc::from("") };
        let (positions, group) = (vec![position], Arc::new(group));
        parts.push(Part { rule, positions, group, value, suppressed_by: None });
    }
}
