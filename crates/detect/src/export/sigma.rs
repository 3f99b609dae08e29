//! Plain Sigma: rules without the `keepwatch` extension, for other converters and engines.
//!
//! Computed fields are replaced by conditions on recorded fields. Properties that plain Sigma
//! cannot express are reported: grouping of signals, severity cases, life cycle.

mod selections;
mod yaml;

use std::time::Duration;

use selections::Selections;
use sha2::{Digest as _, Sha256};
use yaml::Mapping;

use super::condition::Attribute;
use super::fidelity::{Effect, Reason, ReasonKind};
use super::model::{Counts, Key, Query, RuleModel, Who};
use super::profile::{Bodies, Column, DryRun, Kind, Profile};
use super::target::{Choice, Draft, File, Format, Target};
use crate::field;

/// The export target plain Sigma.
pub(super) struct PlainSigma;

static PROFILES: [Profile; 2] = [
    Profile {
        name: "kubernetes",
        title: "Fields as `audit.k8s.io/v1` has them, bodies included",
        column: kubernetes,
        lacks: &[],
        bodies: Bodies::All,
        dry_run: DryRun::Exact,
    },
    Profile {
        name: "kasten",
        title: "Fields as lines of K10 and Keepwatch have them",
        column: kasten,
        lacks: &[],
        bodies: Bodies::All,
        dry_run: DryRun::Exact,
    },
];

const FORMATS: [Format; 1] = [Format { name: "yaml", title: "Sigma rules, version 2" }];

fn kubernetes(attribute: &Attribute) -> Column {
    named(attribute, attribute.keys().join("."), Kind::Any)
}

/// Field names in K10's encoding, which has an empty text for an absent value.
fn kasten(attribute: &Attribute) -> Column {
    named(attribute, field::k10_name(&attribute.keys()), Kind::Text)
}

/// The column; missing for a key with dots, which Sigma cannot express, and for the cluster.
fn named(attribute: &Attribute, name: String, text_kind: Kind) -> Column {
    let keys = attribute.keys();
    if keys == ["cluster"] || keys.iter().any(|key| key.contains('.')) {
        return Column::Missing;
    }
    let kind = match keys.as_slice() {
        ["responseStatus", "code"] => Kind::Number,
        _ if attribute.is_object() => Kind::Object,
        _ if attribute.is_of_body() => Kind::Any,
        _ if attribute.is_list() => Kind::List,
        _ => text_kind,
    };
    Column::Named(name, kind)
}

impl Target for PlainSigma {
    fn name(&self) -> &'static str {
        "sigma"
    }

    fn title(&self) -> &'static str {
        "Plain Sigma"
    }

    fn profiles(&self) -> &'static [Profile] {
        &PROFILES
    }

    fn formats(&self) -> &'static [Format] {
        &FORMATS
    }

    fn write(&self, model: &RuleModel<'_>, choice: &Choice<'_>) -> Result<Draft, Vec<Reason>> {
        let mut writer = Writer { model, profile: choice.profile, reasons: Vec::new() };
        let text = writer.documents().map_err(|reason| vec![reason])?;
        let name = format!("{}.yml", model.rule.id);
        Ok(Draft { files: vec![File { name, text }], reasons: writer.reasons })
    }
}

struct Writer<'w> {
    model: &'w RuleModel<'w>,
    profile: &'static Profile,
    reasons: Vec<Reason>,
}

impl Writer<'_> {
    fn documents(&mut self) -> Result<String, Reason> {
        let model = self.model;
        self.report_lost_properties();
        let mut documents = Vec::new();
        match &model.counts {
            Counts::Absence => {
                let detail = "engines differ in what they make of a count below one";
                return Err(Reason::refusal(ReasonKind::NoAbsence, detail));
            }
            Counts::Single | Counts::FirstSeen { .. } => {
                let [query] = model.queries.as_slice() else {
                    return Err(Reason::refusal(ReasonKind::Condition, "several queries"));
                };
                let mut document = self.head();
                self.detection(query, &mut document)?;
                documents.push(document.finish());
            }
            Counts::Events | Counts::Values(_) | Counts::Queries | Counts::Sequence => {
                for query in &model.queries {
                    documents.push(self.counted(query)?);
                }
                documents.push(self.correlation()?);
            }
        }
        Ok(documents.join("---\n"))
    }

    fn report_lost_properties(&mut self) {
        let model = self.model;
        if let Counts::FirstSeen { .. } = model.counts {
            self.add_reason(ReasonKind::NoFirstSeen, Effect::More, "each event raises an alert");
        }
        if model.cases.len() > 1 {
            self.add_reason(ReasonKind::Cases, Effect::None, "the level is that of the rule");
        }
        if model.counts == Counts::Single {
            self.add_reason(ReasonKind::Grouping, Effect::None, "each event raises its own alert");
        }
    }

    fn add_reason(&mut self, kind: ReasonKind, effect: Effect, detail: &str) {
        Reason::new(kind, effect, detail).add_to(&mut self.reasons);
    }

    /// The metadata of a rule that raises signals.
    fn head(&self) -> Mapping {
        let rule = self.model.rule;
        let mut document = Mapping::default();
        document.text("title", &rule.title);
        document.text("id", &uuid(&rule.id));
        document.text("name", &identifier(&rule.id));
        document.text("status", "stable");
        document.text("description", &self.model.description());
        document.texts("references", &rule.references);
        document.text("author", &rule.author);
        document.texts("tags", &rule.tags);
        document.text("level", rule.severity.as_str());
        document.texts("falsepositives", &rule.false_positives);
        document
    }

    /// Writes a rule that a correlation counts.
    fn counted(&mut self, query: &Query<'_>) -> Result<String, Reason> {
        let mut document = Mapping::default();
        document.text("title", &query.rule.title);
        document.text("id", &uuid(&format!("{} {}", self.model.rule.id, query.label)));
        document.text("name", &self.reference(query));
        document.text("status", "stable");
        document.text("level", "informational");
        self.detection(query, &mut document)?;
        Ok(document.finish())
    }

    /// The name by which a correlation refers to a rule; several exports may share it.
    fn reference(&self, query: &Query<'_>) -> String {
        identifier(&format!("{}_{}", self.model.rule.id, query.label))
    }

    fn detection(&mut self, query: &Query<'_>, to: &mut Mapping) -> Result<(), Reason> {
        let mut source = Mapping::default();
        source.text("product", "kubernetes");
        source.text("service", "audit");
        to.mapping("logsource", source);
        let detection = Selections::of(&query.condition, self.profile)?;
        to.mapping("detection", detection);
        Ok(())
    }

    fn correlation(&mut self) -> Result<String, Reason> {
        let model = self.model;
        let mut document = self.head();
        let mut correlation = Mapping::default();
        correlation.text(
            "type",
            match &model.counts {
                Counts::Values(_) => "value_count",
                Counts::Queries => "temporal",
                Counts::Sequence => "temporal_ordered",
                _ => "event_count",
            },
        );
        let names: Vec<String> = model.queries.iter().map(|query| self.reference(query)).collect();
        correlation.texts("rules", &names);
        let mut keys = Vec::new();
        let mut aliases = Mapping::default();
        for (index, key) in model.group_by.iter().enumerate() {
            let name = self.key(key)?;
            let of_query = |query: &Query<'_>| query.group_by.get(index).cloned();
            let keys_of_queries: Vec<Key> = model.queries.iter().filter_map(of_query).collect();
            if keys_of_queries.iter().all(|other| other.attribute == key.attribute) {
                keys.push(name);
                continue;
            }
            let mut alias = Mapping::default();
            for (other, rule) in keys_of_queries.iter().zip(&names) {
                alias.text(rule, &self.key(other)?);
            }
            keys.push(key.name.clone());
            aliases.mapping(&key.name, alias);
        }
        correlation.texts("group-by", &keys);
        correlation.text("timespan", &timespan(model.timespan));
        self.condition(&mut correlation)?;
        if !aliases.is_empty() {
            correlation.mapping("aliases", aliases);
        }
        document.mapping("correlation", correlation);
        Ok(document.finish())
    }

    fn condition(&mut self, correlation: &mut Mapping) -> Result<(), Reason> {
        let model = self.model;
        let mut condition = Mapping::default();
        if let Counts::Values(key) = &model.counts {
            condition.text("field", &self.key(key)?);
        }
        let count_min = model.cases.last().map_or(1, |case| case.at_least);
        if model.counts != Counts::Sequence {
            condition.number("gte", count_min);
        }
        if let Some(count_max) = model.at_most {
            condition.number("lte", count_max);
        }
        if !condition.is_empty() {
            correlation.mapping("condition", condition);
        }
        Ok(())
    }

    fn key(&mut self, key: &Key) -> Result<String, Reason> {
        if key.who != Who::Named {
            let detail = format!(
                "by `{}` instead of `{}`, which differ when K10 acts for a user",
                key.attribute, key.name
            );
            self.add_reason(ReasonKind::Grouping, Effect::Either, &detail);
        }
        Ok(self.profile.named(&key.attribute)?.0)
    }
}

/// Replaces all but letters, digits and underscores.
fn identifier(text: &str) -> String {
    text.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// A UUID derived from the text, because Sigma requires UUIDs as ids.
fn uuid(text: &str) -> String {
    let digest = Sha256::digest(format!("keepwatch rule {text}").as_bytes());
    let mut bytes: Vec<u8> = digest.iter().take(16).copied().collect();
    // UUID version 8 (custom).
    for (index, mask, bits) in [(6, 0x0f, 0x80), (8, 0x3f, 0x80)] {
        if let Some(byte) = bytes.get_mut(index) {
            *byte = (*byte & mask) | bits;
        }
    }
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let digits = |from, to| hex.get(from..to).unwrap_or_default().concat();
    [digits(0, 4), digits(4, 6), digits(6, 8), digits(8, 10), digits(10, 16)].join("-")
}

/// Formats a duration in its largest whole unit.
fn timespan(time: Duration) -> String {
    super::fidelity::format_duration(time)
}
