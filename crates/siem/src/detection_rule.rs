//! `DetectionRule`: Sigma rules, and their statistics.
//!
//! [`install`] creates the built-in rules. They belong to the server: users can only enable and
//! disable them. Rules of users are validated before they are stored, so every stored rule can be
//! loaded.

mod builtin;
mod statistics;

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Column, Objects, Registry, Resource, ResourceId, Scope, Strategy, WriteContext};
use detect::{Document, LoadOptions, Rule, RuleSet};
use event::{Level, Severity};
use serde_json::{Map, Value, json};

use crate::rule_names::texts_of;
use crate::schema::{count, object, object_with, short_text, text, texts, time, words};
use crate::{AGE, CHANGEABLE, GROUP, VERSION, column, schema, wide};

pub use builtin::{BuiltinRule, install};
pub use statistics::{RuleStatistics, record_statistics};

/// The resource.
pub const DETECTION_RULES: ResourceId = ResourceId { group: GROUP, plural: "detectionrules" };
/// Maximum number of rules that users can create.
pub const RULES_MAX: usize = 1_000;

const KIND: &str = "DetectionRule";
/// Maximum length of `spec.sigma`, in characters.
pub const SIGMA_LEN_MAX: u32 = 256 << 10;
/// Maximum number of errors that are reported for a rule.
const ERRORS_MAX: usize = 10;
/// `status.source` of built-in rules.
const BUILTIN: &str = "builtin";
/// `status.source` of rules of users.
const USER: &str = "user";

const COLUMNS: &[Column] = &[
    column("Enabled", "boolean", "spec.enabled", "Whether the rule is evaluated."),
    column("Severity", "string", "status.severity", "Severity of its signals."),
    column("Source", "string", "status.source", "Whether the rule is built in."),
    column("Signals", "integer", "status.signals", "Number of signals that the rule raised."),
    column("Last Fired", "date", "status.lastFired", "Time since its last signal."),
    column("Title", "string", "status.title", "What the rule detects."),
    wide(column(
        "Evaluated",
        "integer",
        "status.evaluated",
        "Number of events on which the rule was evaluated.",
    )),
    wide(column("Matched", "integer", "status.matched", "Number of events that matched.")),
    wide(AGE),
];

/// The resource for the API server. `options` has the values of placeholders in rules.
pub fn resource(options: &LoadOptions) -> Resource {
    Resource {
        group: GROUP,
        version: VERSION,
        kind: KIND,
        plural: DETECTION_RULES.plural,
        singular: "detectionrule",
        // Not `dr`, which is known as the short name of Istio's DestinationRule.
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: CHANGEABLE,
        columns: COLUMNS,
        schema: schema::kind(
            "DetectionRule contains Sigma rules that raise signals. It takes effect at once.",
            spec_schema(),
            status_schema(),
        )
        .into(),
        subresources: &[],
        selectable_fields: &["spec.enabled", "status.source", "status.severity"],
        omit_bodies: false,
        audit_level_min: Level::RequestResponse,
        read_only: None,
        strategy: Arc::new(Rules { options: options.clone() }),
    }
}

fn spec_schema() -> Value {
    let mut enabled = json!({"type": "boolean", "default": true});
    enabled["description"] = "Whether the rule is evaluated.".into();
    object_with(
        "What the rule detects.",
        &["sigma"],
        &[
            (
                "sigma",
                short_text(
                    SIGMA_LEN_MAX,
                    "Sigma rules as YAML: one document, or several that refer to each other.",
                ),
            ),
            ("enabled", enabled),
        ],
    )
}

fn status_schema() -> Value {
    object(
        "State of the rule. Set by the server.",
        &[
            ("source", words(&[BUILTIN, USER], "Whether the rule is built in.")),
            ("title", text("Title of the rule that raises signals.")),
            (
                "severity",
                words(&Severity::ALL.map(Severity::as_str), "The severity of its signals."),
            ),
            ("rules", texts("IDs of its rules, as in signals and suppressions.")),
            ("titles", texts("Titles of its rules that raise signals.")),
            ("names", texts("Names of its rules, to which correlations refer.")),
            ("evaluated", count("Number of events on which the rule was evaluated.")),
            ("matched", count("Number of events that matched.")),
            ("signals", count("Number of signals that the rule raised.")),
            ("lastFired", time("Time at which it last raised a signal.")),
            ("cost", count("Average CPU time of an evaluation of its rules, in nanoseconds.")),
            ("error", text("Why the rule is not evaluated although it is enabled.")),
        ],
    )
}

/// The enabled rules, as documents to load. The file name of each document is the object's name.
pub async fn load(registry: &Registry) -> Result<Vec<Document>, ApiError> {
    let mut documents = Vec::new();
    registry.scan(DETECTION_RULES, |body| documents.extend(document(body))).await?;
    Ok(documents)
}

/// The document of a stored rule; `None` if the rule is disabled.
pub fn document(body: &[u8]) -> Option<Document> {
    let rule: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let is_enabled = fields::value(&rule, "spec.enabled") != Some(&Value::Bool(false));
    is_enabled.then(|| source(&rule))
}

/// Sets the status fields that are derived from the Sigma rules: title, severity and rule ids.
fn describe(rule: &mut Map<String, Value>, options: &LoadOptions) {
    let (set, _) = RuleSet::load_lenient(&[source(rule)], options);
    // Of several rules with the highest severity, `max_by_key` returns the last one.
    let raising = set.rules().iter().rev().filter(|rule| rule.raises);
    let Some(first) = raising.max_by_key(|rule| rule.severity).or(set.rules().first()) else {
        return;
    };
    fields::set(rule, "status.title", first.title.as_str());
    fields::set(rule, "status.severity", first.severity.as_str());
    let ids: Vec<&str> = set.rules().iter().map(|rule: &Rule| rule.id.as_str()).collect();
    fields::set(rule, "status.rules", ids);
    let raising = set.rules().iter().filter(|rule| rule.raises);
    let titles: Vec<&str> = raising.map(|rule| rule.title.as_str()).collect();
    fields::set(rule, "status.titles", titles);
    let names: Vec<&str> = set.rules().iter().filter_map(|rule| rule.name.as_deref()).collect();
    if names.is_empty() {
        fields::remove(rule, "status.names");
    } else {
        fields::set(rule, "status.names", names);
    }
}

/// The document of an object. A rule without an id and a name has the object's name as its id. The
/// object affects only its own rules: only a suppression, which expires and is visible to all
/// users, hides signals of the rules of other objects.
fn source(rule: &Map<String, Value>) -> Document {
    Document::confined(fields::text(rule, "metadata.name"), fields::text(rule, "spec.sigma"))
}

struct Rules {
    options: LoadOptions,
}

impl Strategy for Rules {
    fn prepare_create(&self, rule: &mut Map<String, Value>, _ctx: &WriteContext) {
        fields::set(rule, "status", json!({"source": USER}));
        describe(rule, &self.options);
    }

    fn prepare_update(
        &self,
        rule: &mut Map<String, Value>,
        old: &Map<String, Value>,
        _ctx: &WriteContext,
    ) {
        fields::restore(rule, old, &["status"]);
        if fields::text(rule, "spec.sigma") != fields::text(old, "spec.sigma") {
            describe(rule, &self.options);
        }
    }

    fn validate(
        &self,
        rule: &Map<String, Value>,
        old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        // Parsing a long rule takes time, and other writes wait for this one.
        let is_unchanged =
            |old| fields::text(old, "spec.sigma") == fields::text(rule, "spec.sigma");
        if old.is_some_and(is_unchanged) {
            return Vec::new();
        }
        let (set, errors) = RuleSet::load_lenient(&[source(rule)], &self.options);
        if errors.is_empty() && set.rules().is_empty() {
            return vec![FieldError::required("spec.sigma", "the text contains no rule")];
        }
        errors.iter().take(ERRORS_MAX).map(to_field_error).collect()
    }

    fn on_create(
        &self,
        rule: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let rules = objects.list(DETECTION_RULES, None);
        let user_rules = rules.iter().filter(|other| !is_builtin(other)).count();
        if user_rules >= RULES_MAX {
            let detail = format!("there are already {RULES_MAX} rules: delete one first");
            return Err(forbidden(rule, &detail));
        }
        check_unique(rule, &rules)
    }

    fn on_update(
        &self,
        rule: &mut Map<String, Value>,
        old: &Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        if fields::text(rule, "spec.sigma") == fields::text(old, "spec.sigma") {
            return Ok(());
        }
        if is_builtin(old) {
            let detail = "the rule is built in: its text cannot be changed. Set spec.enabled \
                          to false, and create a rule of your own with another id";
            return Err(forbidden(rule, detail));
        }
        check_unique(rule, &objects.list(DETECTION_RULES, None))
    }

    fn on_delete(
        &self,
        rule: &Map<String, Value>,
        _objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        if is_builtin(rule) {
            let detail = "the rule is built in: set spec.enabled to false instead";
            return Err(forbidden(rule, detail));
        }
        Ok(())
    }
}

fn is_builtin(rule: &Map<String, Value>) -> bool {
    fields::text(rule, "status.source") == BUILTIN
}

fn forbidden(rule: &Map<String, Value>, detail: &str) -> ApiError {
    let name = fields::text(rule, "metadata.name");
    ApiError::forbidden(GROUP, DETECTION_RULES.plural, name, detail)
}

/// A field error with line and column in the rule.
fn to_field_error(error: &detect::RuleError) -> FieldError {
    let detect::RuleError { line, column, message, hint, .. } = error;
    let hint = hint.as_ref().map(|hint| format!(" (help: {hint})")).unwrap_or_default();
    FieldError {
        reason: "FieldValueInvalid",
        field: "spec.sigma".to_owned(),
        message: format!("Invalid value: {line}:{column}: {message}{hint}"),
    }
}

/// Checks that no other object has a rule with the same id or name: the detector would skip it.
fn check_unique(rule: &Map<String, Value>, others: &[Map<String, Value>]) -> Result<(), ApiError> {
    let name = fields::text(rule, "metadata.name");
    let names = ids_and_names(rule);
    for other in others.iter().filter(|other| fields::text(other, "metadata.name") != name) {
        let other_names = ids_and_names(other);
        if let Some(duplicate) = names.iter().find(|name| other_names.contains(name)) {
            let other_name = fields::text(other, "metadata.name");
            let detail = format!("{KIND} {other_name:?} already has a rule with this id or name");
            let error = FieldError::invalid("spec.sigma", &(*duplicate).into(), &detail);
            return Err(ApiError::invalid(GROUP, KIND, name, &[error]));
        }
    }
    Ok(())
}

fn ids_and_names(rule: &Map<String, Value>) -> Vec<&str> {
    [rule_ids(rule), texts_of(rule, "status.names")].concat()
}

/// The ids of the rules in an object.
pub(crate) fn rule_ids(rule: &Map<String, Value>) -> Vec<&str> {
    texts_of(rule, "status.rules")
}
