//! Texts of a rule with Datadog's variables, whose syntax the rules share.

use crate::export::condition::Attribute;
use crate::export::fidelity::{Effect, Reason, ReasonKind};
use crate::export::model::{Key, RuleModel, Who};
use crate::export::profile::{Column, Profile};
use crate::export::{Counts, attack};
use crate::field::Field;
use crate::template::{Part, Template, Test};

/// The message, followed by the rule's description and guide.
pub(super) fn message(
    model: &RuleModel<'_>,
    profile: &Profile,
    reasons: &mut Vec<Reason>,
) -> String {
    let mut writer = Writer { model, profile, reasons };
    let signal = &model.rule.signal;
    let mut text =
        signal.message.as_ref().map(|template| writer.template(template)).unwrap_or_default();
    let guide = &signal.guide;
    let description = model.description();
    for (heading, part) in [
        ("About", description.as_str()),
        ("Goal", &guide.goal),
        ("Strategy", &guide.strategy),
        ("Triage and response", &guide.response),
    ] {
        if !part.is_empty() {
            let part = writer.text(part.trim());
            text = format!("{}\n\n## {heading}\n\n{part}", text.trim_end());
        }
    }
    for (heading, list) in
        [("Blind spots", &signal.blind_spots), ("False positives", &model.rule.false_positives)]
    {
        if !list.is_empty() {
            let lines: Vec<String> =
                list.iter().map(|item| format!("- {}", writer.text(item.trim()))).collect();
            text = format!("{}\n\n## {heading}\n\n{}", text.trim_end(), lines.join("\n"));
        }
    }
    text.trim().to_owned()
}

struct Writer<'w> {
    model: &'w RuleModel<'w>,
    profile: &'w Profile,
    reasons: &'w mut Vec<Reason>,
}

impl Writer<'_> {
    /// Converts a text with variables.
    fn text(&mut self, text: &str) -> String {
        match Template::parse(text) {
            Ok(template) => self.template(&template),
            Err(_) => text.to_owned(),
        }
    }

    fn template(&mut self, template: &Template) -> String {
        let mut text = String::new();
        self.parts(template.parts(), &mut text);
        text
    }

    fn parts(&mut self, parts: &[Part], text: &mut String) {
        for part in parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Variable(name) => {
                    if let Some(known) = self.variable(name) {
                        text.push_str(&known);
                    }
                }
                Part::If(condition, inner) => self.block(condition, inner, text),
            }
        }
    }

    fn block(&mut self, condition: &Test, inner: &[Part], text: &mut String) {
        let name = self.variable(&condition.variable);
        let name = name.as_deref().and_then(|name| name.strip_prefix("{{")?.strip_suffix("}}"));
        let Some(name) = name else { return };
        // Datadog has a block for an absent value, but none for a present one.
        let (block, values, expected) = match condition.values.as_slice() {
            [] => ("is_exact_match", " \"\"".to_owned(), !condition.expected),
            values => {
                let block = if condition.is_exact { "is_exact_match" } else { "is_match" };
                let values: Vec<String> =
                    values.iter().map(|value| format!(" \"{value}\"")).collect();
                (block, values.concat(), condition.expected)
            }
        };
        let sign = if expected { "#" } else { "^" };
        text.extend(["{{", sign, block, " \"", name, "\"", &values, "}}"]);
        self.parts(inner, text);
        text.extend(["{{/", block, "}}"]);
    }

    /// Datadog's form of a variable, or a text that replaces it; `None` if there is neither.
    fn variable(&mut self, name: &str) -> Option<String> {
        if let Some(field) = name.strip_prefix('@') {
            let field = Field::parse(field).ok()?;
            return self.attribute(&field);
        }
        let column = |name: &str| match (self.profile.column)(&Attribute::named(name)) {
            Column::Named(name, _) => Some(format!("{{{{{name}}}}}")),
            Column::Missing => None,
        };
        let known = match name {
            "severity" | "rule_name" | "case_name" | "timestamp" | "timestamp_epoch"
            | "first_seen" | "first_seen_epoch" | "last_seen" | "last_seen_epoch"
            | "events_matched" => Some(format!("{{{{{name}}}}}")),
            "title" => Some("{{rule_name}}".to_owned()),
            "rule_id" => Some(self.model.rule.id.clone()),
            "cluster" | "cluster-name" => column("cluster"),
            "users" => return self.attribute(&Field::parse("actor.username").ok()?),
            "namespaces" => column("objectRef.namespace"),
            "source_ips" => column("sourceIPs"),
            other => {
                let query = other.strip_prefix("events_matched_per_query.");
                let is_one = |label: &&str| {
                    self.model.counts != Counts::Events
                        || self.model.queries.len() == 1 && self.model.label() == *label
                };
                query.filter(is_one).map(|_| format!("{{{{{other}}}}}"))
            }
        };
        if known.is_none() {
            self.unknown(name);
        }
        known
    }

    /// Converts a field. A computed user becomes the user of the event, as in the group-by.
    fn attribute(&mut self, field: &Field) -> Option<String> {
        let key = crate::export::model::key(field.as_str(), field).ok();
        let column = key.map(|Key { attribute, .. }| (self.profile.column)(&attribute));
        let Some(Column::Named(name, _)) = column else {
            self.unknown(field.as_str());
            return None;
        };
        Some(format!("{{{{{}}}}}", name.replace('\\', "")))
    }

    fn unknown(&mut self, name: &str) {
        let reason = Reason::new(ReasonKind::Variable, Effect::None, name);
        reason.add_to(self.reasons);
    }
}

/// ATT&CK tags in the format of Datadog's own rules: `tactic:TA0040-impact`.
pub(super) fn tags(model: &RuleModel<'_>) -> Vec<String> {
    const VERSION: attack::Version = attack::Version::Before19;
    let attack = attack::in_version(&model.attack, VERSION);
    let slug = |name: &str| name.to_lowercase().replace(' ', "-");
    let tag = |kind: &str, id: &str, name: Option<&str>| match name {
        Some(name) => format!("{kind}:{id}-{}", slug(name)),
        None => format!("{kind}:{id}"),
    };
    let tactics = attack.tactics.iter().map(|id| tag("tactic", id, attack::tactic(id, VERSION)));
    let techniques = attack.techniques.iter().map(|id| tag("technique", id, attack::technique(id)));
    tactics.chain(techniques).collect()
}

/// Whether a key is of a computed user.
pub(super) fn is_computed(key: &Key) -> bool {
    key.who != Who::Named
}
