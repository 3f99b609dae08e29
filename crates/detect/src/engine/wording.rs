//! Builds a signal with its texts from the state of an open signal.

use event::signal::{GroupValue, SignalRule};
use event::{Signal, SignalSpec, SignalState, Timestamp};

use super::open_signal::OpenSignal;
use super::plan::{CLOCK_SKEW, Plan, PlannedBody, PlannedRule, STATE_PRESSURE};

/// Shown for a group-by value that a coarser group ignores.
const ANY: &str = "(any)";
/// Maximum length of a title, in bytes.
const TITLE_LEN_MAX: usize = 256;
/// Maximum length of a message, in bytes.
const MESSAGE_LEN_MAX: usize = 16 << 10;

impl Plan {
    /// Builds the signal.
    pub(crate) fn to_signal(
        &self,
        rule: &PlannedRule,
        open_signal: &OpenSignal,
        state: SignalState,
    ) -> Signal {
        let cluster = if open_signal.coarse < open_signal.group.level_max() {
            &*open_signal.group.cluster
        } else {
            ""
        };
        let kept_len = open_signal.group.values.len().saturating_sub(open_signal.coarse);
        let group_by = rule.group_names.iter().zip(&open_signal.group.values).enumerate();
        let mut spec = SignalSpec {
            rule: SignalRule { id: rule.id.clone(), title: rule.title.clone() },
            severity: open_signal.severity,
            case: open_signal.case.clone(),
            title: String::new(),
            message: String::new(),
            actor: open_signal.actor.to_actor(),
            cluster: cluster.to_owned(),
            group_by: group_by
                .map(|(index, (field, value))| GroupValue {
                    field: field.clone(),
                    value: if index < kept_len { value.to_string() } else { ANY.to_owned() },
                })
                .collect(),
            targets: open_signal.targets.to_targets(),
            remaining: Vec::new(),
            count: open_signal.count,
            counts: std::collections::BTreeMap::new(),
            first_seen: Timestamp::from_micros(open_signal.first),
            last_seen: Timestamp::from_micros(open_signal.last),
            evidence: open_signal.evidence.to_evidence(),
            attack: rule.attack.clone(),
            references: rule.references.clone(),
            blind_spots: rule.blind_spots.clone(),
        };
        for (label, count) in
            rule.labels.iter().zip(&open_signal.counts).filter(|(label, _)| !label.is_empty())
        {
            *spec.counts.entry(label.clone()).or_default() += count;
        }
        spec.title = title(rule, open_signal, &spec);
        if let Some(template) = &rule.title_template {
            let title =
                self.render(template, rule, open_signal, &spec, (TITLE_LEN_MAX, |value| value));
            spec.title = one_line(&title, TITLE_LEN_MAX);
        }
        if let Some(template) = &rule.message_template {
            let format = (MESSAGE_LEN_MAX, escape_markdown as fn(String) -> String);
            spec.message = self.render(template, rule, open_signal, &spec, format);
        }
        Signal { id: open_signal.id.clone(), spec, state }
    }
}

/// The generated title, one line: actor, verb, number and kind of objects, and place.
fn title(rule: &PlannedRule, open_signal: &OpenSignal, spec: &SignalSpec) -> String {
    let mut title = match rule.id.as_str() {
        CLOCK_SKEW => {
            let source = spec.group_by.first().map_or("", |group| group.value.as_str());
            format!("{} of source {source} are stamped in the future", number(spec.count, "event"))
        }
        STATE_PRESSURE => {
            let about = spec.group_by.first().map_or("", |group| group.value.as_str());
            format!("rule {about} counts by a coarser key: a bound of its state is reached")
        }
        _ if matches!(rule.body, PlannedBody::Absence(..)) => {
            let values: Vec<_> = spec.group_by.iter().map(|group| group.value.as_str()).collect();
            format!("{}: nothing {} since {}", rule.title, values.join(", "), spec.first_seen)
        }
        _ => action(open_signal, spec),
    };
    if !spec.cluster.is_empty() {
        let preposition = if title.contains(" in namespace ") { "of" } else { "in" };
        for part in [" ", preposition, " cluster ", &spec.cluster] {
            title.push_str(part);
        }
    }
    one_line(&title, TITLE_LEN_MAX)
}

fn action(open_signal: &OpenSignal, spec: &SignalSpec) -> String {
    let who = match open_signal.actor.users.short() {
        none if none.is_empty() => "an unknown user".to_owned(),
        users => users,
    };
    let who = match open_signal.actor.impersonators.short() {
        none if none.is_empty() => who,
        impersonators => format!("{who} (impersonated by {impersonators})"),
    };
    let did = match open_signal.verbs.as_slice() {
        [verb] => past(verb),
        _ => "acted on".to_owned(),
    };
    let did = match open_signal.refused {
        0 => did,
        refused if refused == open_signal.count => {
            format!("was refused {} times: {did}", open_signal.count)
        }
        refused => format!("{did} ({refused} refused)"),
    };
    let items = open_signal.targets.items();
    let resources = open_signal.targets.resources();
    let namespaces = open_signal.targets.namespaces();
    let what = match (resources.listed(), items) {
        ([], _) => number(spec.count, "request"),
        ([resource], [target]) if !target.name.is_empty() => format!("{resource} {}", target.name),
        ([resource], _) => format!("{} {resource}", spec.targets.count),
        (several, _) if several.len() <= 3 => {
            format!("{} objects ({})", spec.targets.count, several.join(", "))
        }
        _ => format!("{} objects of {} resources", spec.targets.count, resources.count()),
    };
    match namespaces.listed() {
        [] => format!("{who} {did} {what}"),
        [namespace] => format!("{who} {did} {what} in namespace {namespace}"),
        _ => format!("{who} {did} {what} in {} namespaces", namespaces.count()),
    }
}

/// The past tense of a Kubernetes verb.
fn past(verb: &str) -> String {
    match verb {
        "get" => "read".to_owned(),
        "list" => "listed".to_owned(),
        "watch" => "watched".to_owned(),
        "patch" => "patched".to_owned(),
        "deletecollection" => "deleted collections of".to_owned(),
        "create" | "update" | "delete" => format!("{verb}d"),
        other => format!("sent {other} to"),
    }
}

fn number(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Truncates a text and removes line ends and control characters, which a client may have sent.
pub(crate) fn one_line(text: &str, len_max: usize) -> String {
    let text: String =
        text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    text.get(..text.floor_char_boundary(len_max)).unwrap_or_default().to_owned()
}

/// Escapes what would be a link, HTML or code in Markdown: an attacker chooses names of users and
/// agents. Other marks, such as `_`, are not escaped, because they are frequent in names and
/// harmless.
fn escape_markdown(value: String) -> String {
    if !value.contains(['\\', '[', '<', '`']) {
        return value;
    }
    let mut escaped = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        if matches!(c, '\\' | '[' | '<' | '`') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_have_a_past_tense() {
        let pasts = ["delete", "create", "get", "deletecollection", "options"].map(past);
        assert_eq!(
            pasts,
            ["deleted", "created", "read", "deleted collections of", "sent options to"]
        );
    }

    #[test]
    fn a_title_is_one_line_whatever_a_client_sends() {
        assert_eq!(one_line("a\nb\r\tc", 4), "a b ");
        assert_eq!(one_line("éé", 3), "é");
    }
}
