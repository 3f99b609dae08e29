//! Renders templates: resolves their variables for a signal.

use event::{Event, EventRef, ObjectReference, SignalSpec, Stage, Status, Timestamp, UserInfo, v1};

use super::event_summary::EventSummary;
use super::open_signal::{Names, OpenSignal, with_others};
use super::plan::{Plan, PlannedRule};
use super::wording::one_line;
use crate::field::{Field, Path, RefPath, UserPath};
use crate::fields::Fields;
use crate::template::Template;

/// Maximum length of a field value, in bytes.
const VALUE_LEN_MAX: usize = 1024;

impl Plan {
    /// Renders a template of a rule. Variables of fields have the values of the newest event;
    /// `escape` is applied to each value.
    pub(crate) fn render(
        &self,
        template: &Template,
        rule: &PlannedRule,
        open_signal: &OpenSignal,
        spec: &SignalSpec,
        (len_max, escape): (usize, fn(String) -> String),
    ) -> String {
        let event = newest(open_signal);
        let value = |name: &str| match name.strip_prefix('@') {
            Some(path) => event.as_ref().and_then(|event| {
                let field = Field::parse(path).ok()?;
                let view = EventRef::from(event);
                let fields = Fields::new(&view)
                    .with_cluster(&spec.cluster)
                    .with_k10_namespace(std::sync::Arc::clone(&self.k10_namespace));
                let mut values = Vec::new();
                fields.for_each_value(&field, |value| values.push(one_line(value, VALUE_LEN_MAX)));
                let value = (!values.is_empty()).then(|| values.join(", "))?;
                Some(if open_signal.coarse == 0 {
                    value
                } else {
                    shared(&field, value, rule, open_signal)
                })
            }),
            None => variable(name, rule, open_signal, spec),
        };
        let mut text = template.render(&|name| value(name).map(escape));
        text.truncate(text.floor_char_boundary(len_max));
        text
    }
}

/// The newest event. If it was too long to keep, it has only the fields that are known.
fn newest(open_signal: &OpenSignal) -> Option<Event> {
    // A signal of an older checkpoint has evidence only.
    let Some(newest) = &open_signal.newest else {
        return open_signal.evidence.newest().and_then(|event| v1::read(event.as_bytes()).ok());
    };
    let (summary, event) = newest.packed.unpack()?;
    let event = v1::read(event.as_bytes()).ok();
    Some(event.unwrap_or_else(|| event_of_summary(summary, Timestamp::from_micros(newest.time))))
}

fn event_of_summary(summary: EventSummary, time: Timestamp) -> Event {
    let effective = UserInfo {
        username: summary.username,
        uid: summary.uid,
        groups: summary.groups,
        ..UserInfo::default()
    };
    let (user, impersonated_user) = match summary.impersonated_by {
        empty if empty.is_empty() => (effective, None),
        username => (UserInfo { username, ..UserInfo::default() }, Some(effective)),
    };
    let object_ref = (!summary.resource.is_empty()).then(|| ObjectReference {
        api_group: summary.api_group,
        resource: summary.resource,
        subresource: summary.subresource,
        namespace: summary.namespace,
        name: summary.name,
        ..ObjectReference::default()
    });
    Event {
        audit_id: summary.audit_id,
        user,
        impersonated_user,
        source_ips: summary.source_ips,
        user_agent: summary.user_agent,
        object_ref,
        response_status: Some(Status { code: summary.code, ..Status::default() }),
        ..Event::internal(Stage::ResponseComplete, &summary.verb, time)
    }
}

/// The value of a field in a text about a coarser group. Its events can have different values, so a
/// single value must not represent all.
fn shared(field: &Field, value: String, rule: &PlannedRule, open_signal: &OpenSignal) -> String {
    let short = |names: &Names| if names.count() > 1 { names.short() } else { value.clone() };
    let is_impersonated = open_signal.actor.impersonators.count() > 0;
    match field.path() {
        Path::Actor(UserPath::Username) => short(&open_signal.actor.responsible),
        Path::EffectiveUser(UserPath::Username) => short(&open_signal.actor.users),
        Path::User(UserPath::Username) if !is_impersonated => short(&open_signal.actor.users),
        Path::ObjectRef(RefPath::Namespace) => short(open_signal.targets.namespaces()),
        Path::SourceIps => open_signal.actor.source_ips.long(),
        path => {
            let kept_len = open_signal.group.values.len().saturating_sub(open_signal.coarse);
            let mut ignored = rule.group_names.iter().skip(kept_len);
            let is_ignored =
                ignored.any(|name| Field::parse(name).is_ok_and(|ignored| ignored.path() == path));
            if is_ignored { format!("{value} and others") } else { value }
        }
    }
}

fn variable(
    name: &str,
    rule: &PlannedRule,
    open_signal: &OpenSignal,
    spec: &SignalSpec,
) -> Option<String> {
    const MICROS: i64 = 1_000_000;
    if let Some(query) = name.strip_prefix("events_matched_per_query.") {
        return Some(spec.counts.get(query).copied().unwrap_or_default().to_string());
    }
    Some(match name {
        "severity" => spec.severity.to_string(),
        "title" => spec.title.clone(),
        "rule_name" => rule.title.clone(),
        "rule_id" => rule.id.clone(),
        "case_name" => spec.case.clone(),
        "timestamp" | "last_seen" => spec.last_seen.to_string(),
        "timestamp_epoch" | "last_seen_epoch" => (open_signal.last.div_euclid(MICROS)).to_string(),
        "first_seen" => spec.first_seen.to_string(),
        "first_seen_epoch" => (open_signal.first.div_euclid(MICROS)).to_string(),
        "events_matched" => spec.count.to_string(),
        "cluster" | "cluster-name" => spec.cluster.clone(),
        "duration" => duration(open_signal.last.saturating_sub(open_signal.first)),
        "users" => open_signal.actor.responsible.short(),
        "users_count" => open_signal.actor.responsible.count().to_string(),
        "namespaces" => open_signal.targets.namespaces().short(),
        "namespaces_count" => open_signal.targets.namespaces().count().to_string(),
        "source_ips" => open_signal.actor.source_ips.long(),
        "targets" => {
            let targets = spec.targets.items.iter().map(|target| match target.namespace.as_str() {
                "" => format!("{} {}", target.resource, target.name),
                namespace => format!("{} {namespace}/{}", target.resource, target.name),
            });
            let listed = spec.targets.items.len() as u64;
            let others = spec.targets.count.saturating_sub(listed);
            with_others(targets.collect::<Vec<_>>().join(", "), others)
        }
        "targets_count" => spec.targets.count.to_string(),
        "signal_id" => open_signal.id.clone(),
        _ => return None,
    })
}

/// A time span in its largest units: `45s`, `27h`, `2d 3h`.
fn duration(micros: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let seconds = micros.div_euclid(1_000_000);
    // Up to two days, hours are clearer than a day and hours.
    let units = if seconds < 2 * 86_400 { UNITS.get(1..) } else { UNITS.get(..) };
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (len, unit) in units.unwrap_or_default() {
        if rest >= *len {
            parts.push(format!("{}{unit}", rest / len));
            rest %= len;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn a_duration_has_at_most_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (45, "45s"),
            (90, "1m 30s"),
            (27 * 3600, "27h"),
            (27 * 3600 + 61, "27h 1m"),
            (7 * 86_400, "7d"),
            (2 * 86_400 + 3 * 3600 + 5, "2d 3h"),
        ] {
            assert_eq!(duration(seconds * 1_000_000), text);
        }
    }
}
