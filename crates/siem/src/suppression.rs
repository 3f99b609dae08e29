//! `Suppression`: prevents signals of given rules and events, until an expiry time and with a
//! reason.
//!
//! It hides signals, never events. An expired suppression has no effect and does not need to be
//! deleted.

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Column, Objects, Registry, Resource, ResourceId, Scope, Strategy, WriteContext};
use detect::{EventMatcher, LoadOptions};
use event::{Level, Timestamp};
use serde_json::{Map, Value, json};

use crate::detection_rule::DETECTION_RULES;
use crate::rule_names;
use crate::schema::{anything, count, object, object_with, short_text, text, time, words};
use crate::{AGE, CHANGEABLE, GROUP, VERSION, column, schema, wide};

/// The resource.
pub const SUPPRESSIONS: ResourceId = ResourceId { group: GROUP, plural: "suppressions" };
/// In `spec.rules`: every rule.
pub const EVERY_RULE: &str = "*";

const KIND: &str = "Suppression";
/// Maximum number of rules in a suppression.
const RULES_MAX: u32 = 100;
/// Maximum length of a reason or a ticket, in characters.
const REASON_LEN_MAX: u32 = 1024;
/// Maximum time until expiry, in microseconds: a year.
const VALIDITY_MAX: i64 = 366 * 86_400_000_000;
/// Maximum number of errors that are reported for a suppression.
const ERRORS_MAX: usize = 10;
const ACTIVE: &str = "active";
const EXPIRED: &str = "expired";

const COLUMNS: &[Column] = &[
    column("State", "string", "status.state", "Whether the suppression is in effect."),
    column("Expires At", "string", "spec.expiresAt", "Time from which it has no effect."),
    column("Hidden", "integer", "status.hidden", "Number of signals that it hid."),
    column("Created By", "string", "status.createdBy", "The user who created it."),
    column("Reason", "string", "spec.reason", "Why."),
    wide(column("Rules", "string", "spec.rules", "IDs of the suppressed rules.")),
    wide(column("Ticket", "string", "spec.ticket", "Ticket with more information.")),
    wide(column("Last Hidden", "date", "status.lastHidden", "Time since it last hid a signal.")),
    wide(AGE),
];

/// The resource for the API server. `options` has the values of placeholders.
pub fn resource(options: &LoadOptions) -> Resource {
    Resource {
        group: GROUP,
        version: VERSION,
        kind: KIND,
        plural: SUPPRESSIONS.plural,
        singular: "suppression",
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: CHANGEABLE,
        columns: COLUMNS,
        schema: schema::kind(
            "Suppression hides the signals of certain events for a limited time. The events \
             themselves are still recorded.",
            spec_schema(),
            status_schema(),
        )
        .into(),
        subresources: &[],
        selectable_fields: &["status.state", "status.createdBy"],
        omit_bodies: false,
        audit_level_min: Level::RequestResponse,
        read_only: None,
        strategy: Arc::new(Rules { options: options.clone() }),
    }
}

fn spec_schema() -> Value {
    let mut rules = schema::texts("IDs of the suppressed rules; * is every rule.");
    rules["minItems"] = 1.into();
    rules["maxItems"] = RULES_MAX.into();
    let matched = "The suppressed events: selections and a condition, as in the detection of a \
                   Sigma rule. Without a condition, all selections must match.";
    object_with(
        "The signals to hide, for how long, and why.",
        &["rules", "match", "expiresAt", "reason"],
        &[
            ("rules", rules),
            ("match", anything(matched)),
            ("expiresAt", time("Expiry, at most a year from now.")),
            ("reason", short_text(REASON_LEN_MAX, "Reason for the suppression.")),
            ("ticket", short_text(REASON_LEN_MAX, "Ticket with more information.")),
        ],
    )
}

fn status_schema() -> Value {
    object(
        "State of the suppression. Set by the server.",
        &[
            ("state", words(&[ACTIVE, EXPIRED], "Whether the suppression is in effect.")),
            ("createdBy", text("The user who created it.")),
            ("updatedBy", text("The user who last changed it.")),
            ("hidden", count("Number of signals that it hid.")),
            ("lastHidden", time("Time at which it last hid a signal.")),
        ],
    )
}

/// A suppression in the form that the detector evaluates.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// Name of the object.
    pub name: String,
    /// Ids of the rules it applies to; empty for every rule.
    pub rules: Vec<String>,
    /// Matches the events it applies to.
    pub events: EventMatcher,
    /// Expiry time.
    pub expires_at: Timestamp,
}

impl Suppression {
    /// Parses a stored suppression; `None` if it is invalid.
    pub fn parse(body: &[u8], options: &LoadOptions) -> Option<Self> {
        let stored: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let rules: Vec<String> = rules_of(&stored).into_iter().map(str::to_owned).collect();
        let is_every = rules.iter().any(|rule| rule == EVERY_RULE);
        let events = fields::value(&stored, "spec.match")?;
        Some(Self {
            name: fields::text(&stored, "metadata.name").to_owned(),
            rules: if is_every { Vec::new() } else { rules },
            events: EventMatcher::parse("spec.match", events, options).ok()?,
            expires_at: Timestamp::parse(fields::text(&stored, "spec.expiresAt")).ok()?,
        })
    }
}

/// All suppressions that have not expired at `now`.
pub async fn load(
    registry: &Registry,
    options: &LoadOptions,
    now: Timestamp,
) -> Result<Vec<Suppression>, ApiError> {
    let mut suppressions = Vec::new();
    registry
        .scan(SUPPRESSIONS, |body| suppressions.extend(Suppression::parse(body, options)))
        .await?;
    suppressions.retain(|suppression| suppression.expires_at > now);
    Ok(suppressions)
}

/// Writes the total number of signals that a suppression has hidden. Does nothing if the
/// suppression is deleted, or has hidden no other signal since.
pub fn record_hidden(
    objects: &mut Objects<'_>,
    name: &str,
    hidden: u64,
    last_hidden: Timestamp,
) -> Result<(), ApiError> {
    let Some(mut stored) = objects.get(SUPPRESSIONS, "", name) else { return Ok(()) };
    if fields::value(&stored, "status.hidden").and_then(Value::as_u64) == Some(hidden) {
        return Ok(());
    }
    fields::set(&mut stored, "status.hidden", hidden);
    fields::set(&mut stored, "status.lastHidden", last_hidden.to_string());
    objects.update(SUPPRESSIONS, stored)
}

/// Sets the state of suppressions that have expired at `now`.
pub fn expire(objects: &mut Objects<'_>, now: Timestamp) -> Result<(), ApiError> {
    for stored in objects.list(SUPPRESSIONS, None) {
        let mut stored = stored;
        let expires_at = Timestamp::parse(fields::text(&stored, "spec.expiresAt"));
        let is_over = expires_at.is_ok_and(|expires_at| expires_at <= now);
        if is_over && fields::text(&stored, "status.state") == ACTIVE {
            fields::set(&mut stored, "status.state", EXPIRED);
            objects.update(SUPPRESSIONS, stored)?;
        }
    }
    Ok(())
}

struct Rules {
    options: LoadOptions,
}

impl Strategy for Rules {
    fn prepare_create(&self, suppression: &mut Map<String, Value>, ctx: &WriteContext) {
        let user = ctx.user.username.as_str();
        let status = json!({"state": ACTIVE, "createdBy": user, "hidden": 0});
        fields::set(suppression, "status", status);
    }

    fn prepare_update(
        &self,
        suppression: &mut Map<String, Value>,
        old: &Map<String, Value>,
        ctx: &WriteContext,
    ) {
        fields::restore(suppression, old, &["status"]);
        if suppression.get("spec") != old.get("spec") {
            fields::set(suppression, "status.updatedBy", ctx.user.username.as_str());
        }
        if fields::text(suppression, "spec.expiresAt") != fields::text(old, "spec.expiresAt") {
            fields::set(suppression, "status.state", ACTIVE);
        }
    }

    fn validate(
        &self,
        suppression: &Map<String, Value>,
        old: Option<&Map<String, Value>>,
        ctx: &WriteContext,
    ) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, rule) in rules_of(suppression).into_iter().enumerate() {
            if rule.is_empty() {
                let field = format!("spec.rules[{index}]");
                errors.push(FieldError::required(
                    field,
                    "must contain the id of a rule, or * for every rule",
                ));
            }
        }
        if fields::text(suppression, "spec.reason").trim().is_empty() {
            errors
                .push(FieldError::required("spec.reason", "enter the reason for the suppression"));
        }
        let events = fields::value(suppression, "spec.match").cloned().unwrap_or_default();
        if let Err(mistakes) = EventMatcher::parse("spec.match", &events, &self.options) {
            errors.extend(mistakes.iter().take(ERRORS_MAX).map(to_field_error));
        }
        let is_new = old.is_none_or(|old| {
            fields::text(old, "spec.expiresAt") != fields::text(suppression, "spec.expiresAt")
        });
        if is_new {
            errors.extend(check_expiry(suppression, &ctx.now));
        }
        errors
    }

    fn on_create(
        &self,
        suppression: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        check_rules(suppression, &[], objects)
    }

    fn on_update(
        &self,
        suppression: &mut Map<String, Value>,
        old: &Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        // Rules that were deleted later do not block other changes.
        check_rules(suppression, &rules_of(old), objects)
    }
}

/// Rejects ids of rules that do not exist: a misspelt id would hide nothing.
fn check_rules(
    suppression: &Map<String, Value>,
    accepted: &[&str],
    objects: &mut Objects<'_>,
) -> Result<(), ApiError> {
    let names = rules_of(suppression);
    if names.iter().all(|rule| *rule == EVERY_RULE || accepted.contains(rule)) {
        return Ok(());
    }
    let stored = objects.list(DETECTION_RULES, None);
    let mut known = rule_names::ids(&stored);
    known.push(EVERY_RULE);
    known.extend(accepted);
    let field = |index| format!("spec.rules[{index}]");
    let what = "there is no rule with this id";
    rule_names::check((KIND, suppression), &names, &known, (&field, what))
}

fn rules_of(suppression: &Map<String, Value>) -> Vec<&str> {
    rule_names::texts_of(suppression, "spec.rules")
}

/// Without line and column, because the match is an object and not YAML text.
fn to_field_error(error: &detect::RuleError) -> FieldError {
    let hint = error.hint.as_ref().map(|hint| format!(" (help: {hint})")).unwrap_or_default();
    FieldError {
        reason: "FieldValueInvalid",
        field: "spec.match".to_owned(),
        message: format!("Invalid value: {}{hint}", error.message),
    }
}

fn check_expiry(suppression: &Map<String, Value>, now: &str) -> Option<FieldError> {
    let field = "spec.expiresAt";
    let value = fields::text(suppression, field);
    let micros = |text| Timestamp::parse(text).map(Timestamp::as_micros);
    let (Ok(expires_at), Ok(now)) = (micros(value), micros(now)) else {
        return Some(FieldError::invalid(field, &value.into(), "must be an RFC 3339 time"));
    };
    if expires_at <= now {
        return Some(FieldError::invalid(field, &value.into(), "must be in the future"));
    }
    if expires_at - now > VALIDITY_MAX {
        return Some(FieldError::invalid(field, &value.into(), "must be within a year"));
    }
    None
}
