//! Falco: rules for the plugin `k8saudit`, on single events.
//!
//! Falco does not count and has no state, so other rules are refused.

mod condition;

use event::Severity;

use super::attack::{self, Version};
use super::condition::{Attribute, Condition};
use super::fidelity::{Effect, Reason, ReasonKind};
use super::model::{Counts, RuleModel};
use super::plain;
use super::profile::{Bodies, Column, DryRun, Kind, OWN_RECORDS, Profile};
use super::target::{Choice, Draft, File, Format, Target};
use crate::ruleset::RuleSet;

/// The export target Falco.
pub(super) struct Falco;

static PROFILES: [Profile; 1] = [Profile {
    name: "k8saudit",
    title: "The cluster's own audit log, by the plugin `k8saudit`",
    column,
    lacks: &[OWN_RECORDS],
    bodies: Bodies::NotOfAggregated,
    dry_run: DryRun::Wildcards,
}];

const FORMATS: [Format; 1] = [Format { name: "yaml", title: "A file of rules" }];

/// The file with the required plugin versions, which Falco must load first.
const REQUIRED: &str = "\
- required_engine_version: 0.31.0
- required_plugin_versions:
    - name: k8saudit
      version: 0.7.0
    - name: json
      version: 0.7.0
";

impl Target for Falco {
    fn name(&self) -> &'static str {
        "falco"
    }

    fn title(&self) -> &'static str {
        "Falco"
    }

    fn profiles(&self) -> &'static [Profile] {
        &PROFILES
    }

    fn formats(&self) -> &'static [Format] {
        &FORMATS
    }

    fn write(&self, model: &RuleModel<'_>, choice: &Choice<'_>) -> Result<Draft, Vec<Reason>> {
        let counts = match &model.counts {
            Counts::Single => None,
            Counts::FirstSeen { .. } => Some(ReasonKind::NoFirstSeen),
            Counts::Sequence => Some(ReasonKind::NoOrder),
            Counts::Absence => Some(ReasonKind::NoAbsence),
            Counts::Values(_) => Some(ReasonKind::NoDistinctCount),
            Counts::Events | Counts::Queries => Some(ReasonKind::NoCount),
        };
        if let Some(kind) = counts {
            return Err(vec![Reason::refusal(kind, "")]);
        }
        let any = model.queries.iter().map(|query| query.condition.clone()).collect();
        let any = Condition::Any(any).simplified();
        let mut writer = condition::Writer { profile: choice.profile, reasons: Vec::new() };
        let condition = writer.top(&any).map_err(|reason| vec![reason])?;
        let mut reasons = writer.reasons;
        if any.attributes().contains(&Attribute::named("requestURI")) {
            let detail = "a request with an unusual encoding of dryRun in its URL matches too";
            reasons.push(Reason::new(ReasonKind::DryRun, Effect::Rare, detail));
        }
        let detail = "every event is an alert of its own";
        reasons.push(Reason::new(ReasonKind::Grouping, Effect::None, detail));
        if model.cases.len() > 1 {
            let detail = "an alert does not count events";
            reasons.push(Reason::new(ReasonKind::Cases, Effect::None, detail));
        }
        let text = yaml(model, &condition);
        Ok(Draft { files: vec![File { name: format!("{}.yaml", model.rule.id), text }], reasons })
    }

    fn package(&self, _rules: &RuleSet, _written: &[&str], _choice: &Choice<'_>) -> Vec<File> {
        vec![File { name: "_required.yaml".to_owned(), text: REQUIRED.to_owned() }]
    }
}

/// The plugin's field for an attribute, or a JSON pointer if the plugin has none.
fn column(attribute: &Attribute) -> Column {
    let keys = attribute.keys();
    let name = match keys.as_slice() {
        ["cluster"] => return Column::Missing,
        ["verb"] => "ka.verb",
        ["stage"] => "ka.stage",
        ["auditID"] => "ka.auditid",
        ["requestURI"] => "ka.uri",
        ["userAgent"] => "ka.useragent",
        ["user", "username"] => "ka.user.name",
        ["impersonatedUser", "username"] => "ka.impuser.name",
        ["objectRef", "resource"] => "ka.target.resource",
        ["objectRef", "subresource"] => "ka.target.subresource",
        ["objectRef", "namespace"] => "ka.target.namespace",
        ["objectRef", "name"] => "ka.target.name",
        ["responseStatus", "code"] => {
            return Column::Named("ka.response.code".to_owned(), Kind::Number);
        }
        _ => {
            let keys = keys.iter().map(|key| key.replace('~', "~0").replace('/', "~1"));
            let path: Vec<String> = keys.collect();
            let name = format!("jevt.value[/{}]", path.join("/"));
            let kind = if attribute.is_list() { Kind::List } else { Kind::Text };
            return Column::Named(name, kind);
        }
    };
    Column::text(name)
}

fn yaml(model: &RuleModel<'_>, condition: &str) -> String {
    let rule = model.rule;
    let attack = attack::in_version(&model.attack, Version::V19);
    let tactics = attack.tactics.iter().filter_map(|id| attack::tactic(id, Version::V19));
    let tags: Vec<String> = ["k8s", "kasten"]
        .into_iter()
        .map(str::to_owned)
        .chain(tactics.map(|name| format!("mitre_{}", name.to_lowercase().replace(' ', "_"))))
        .chain(attack.techniques.iter().cloned())
        .collect();
    let description = plain::text(&model.description(), &plain::placeholder);
    let output = format!(
        "{} (rule={} user=%ka.user.name verb=%ka.verb resource=%ka.target.resource \
         namespace=%ka.target.namespace name=%ka.target.name code=%ka.response.code \
         ips=%ka.sourceips auditID=%ka.auditid)",
        rule.title, rule.id
    );
    let severity = model.cases.last().map_or(rule.severity, |case| case.severity);
    format!(
        "- rule: {}\n  desc: {}\n  condition: >-\n    {condition}\n  output: {}\n  \
         priority: {}\n  source: k8s_audit\n  tags: [{}]\n",
        quoted(&rule.title),
        quoted(&description),
        quoted(&output),
        priority(severity),
        tags.join(", ")
    )
}

const fn priority(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "INFORMATIONAL",
        Severity::Low => "NOTICE",
        Severity::Medium => "WARNING",
        Severity::High => "ERROR",
        Severity::Critical => "CRITICAL",
    }
}

/// A quoted text, valid in JSON and YAML.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
