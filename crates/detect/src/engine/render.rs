//! Renders templates: resolves their variables for a signal.

use event::{EventRef, SignalSpec, v1};

use super::episode::Episode;
use super::plan::{Plan, PlannedRule};
use super::wording::one_line;
use crate::field::Field;
use crate::fields::Fields;
use crate::template::Template;

/// Maximum length of a field value, in bytes.
const VALUE_LEN_MAX: usize = 1024;

impl Plan {
    /// Renders a template of a rule.
    pub(crate) fn render(
        &self,
        template: &Template,
        rule: &PlannedRule,
        episode: &Episode,
        spec: &SignalSpec,
        len_max: usize,
    ) -> String {
        // Field variables read the first event, which the signal keeps as evidence.
        let event =
            episode.evidence.first().and_then(|event| v1::read(event.get().as_bytes()).ok());
        let value = |name: &str| match name.strip_prefix('@') {
            Some(path) => event.as_ref().and_then(|event| {
                let view = EventRef::from(event);
                let fields = Fields::new(&view)
                    .with_cluster(&spec.cluster)
                    .with_k10_namespace(std::sync::Arc::clone(&self.k10_namespace));
                let field = Field::parse(path).ok()?;
                let mut values = Vec::new();
                fields.for_each_value(&field, |value| values.push(one_line(value, VALUE_LEN_MAX)));
                (!values.is_empty()).then(|| values.join(", "))
            }),
            None => variable(name, rule, episode, spec),
        };
        let mut text = template.render(&value);
        text.truncate(text.floor_char_boundary(len_max));
        text
    }
}

fn variable(
    name: &str,
    rule: &PlannedRule,
    episode: &Episode,
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
        "timestamp_epoch" | "last_seen_epoch" => (episode.last.div_euclid(MICROS)).to_string(),
        "first_seen" => spec.first_seen.to_string(),
        "first_seen_epoch" => (episode.first.div_euclid(MICROS)).to_string(),
        "events_matched" => spec.count.to_string(),
        "cluster" | "cluster-name" => spec.cluster.clone(),
        "source_ips" => spec.actor.source_ips.join(", "),
        "targets" => {
            let targets = spec.targets.items.iter().map(|target| match target.namespace.as_str() {
                "" => format!("{} {}", target.resource, target.name),
                namespace => format!("{} {namespace}/{}", target.resource, target.name),
            });
            targets.collect::<Vec<_>>().join(", ")
        }
        "targets_count" => spec.targets.count.to_string(),
        "signal_id" => episode.id.clone(),
        _ => return None,
    })
}
