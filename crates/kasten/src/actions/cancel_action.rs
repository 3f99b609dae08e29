//! `CancelAction`: stops another action. Created, acted on, answered, and never stored.
//!
//! It lives where its target lives, so that the right to cancel is given by namespace; targets
//! without a namespace are cancelled from K10's.

use std::sync::Arc;

use apiserver::{ApiError, FieldError, Objects, Occasion, Resource, Scope, Strategy, Verb};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::state::State;
use super::subject::{self, Subject};
use crate::domain::{self, Names};
use crate::{Installation, fields, rules, schema};

/// What to stop.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct CancelActionSpec {
    /// The action to stop.
    pub subject: Subject,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    crate::resource(
        installation.kind(domain::CANCEL_ACTION),
        &[Verb::Create],
        &[],
        &[],
        schema::without_status::<CancelActionSpec>(
            "CancelAction stops a running action and its retries. It is never stored.",
        ),
        Arc::new(Cancel { installation: *installation }),
    )
}

/// The kinds that can be stopped.
const CANCELLABLE: [Names; 8] = [
    domain::BACKUP_ACTION,
    domain::RESTORE_ACTION,
    domain::IMPORT_ACTION,
    domain::EXPORT_ACTION,
    domain::RUN_ACTION,
    domain::RETIRE_ACTION,
    domain::BACKUP_CLUSTER_ACTION,
    domain::RESTORE_CLUSTER_ACTION,
];

struct Cancel {
    installation: Installation,
}

impl Strategy for Cancel {
    fn prepare_create(&self, cancel: &mut Map<String, Value>, _at: &Occasion) {
        if target_kind(cancel).is_some_and(|kind| kind.scope == Scope::Namespaced) {
            subject::fill_namespace(cancel);
        }
    }

    fn validate(
        &self,
        cancel: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _at: &Occasion,
    ) -> Vec<FieldError> {
        let kinds = CANCELLABLE.map(|names| names.kind);
        let mut errors = subject::check(cancel, &kinds);
        match target_kind(cancel).map(|kind| kind.scope) {
            Some(Scope::Namespaced) => errors.extend(subject::in_own_namespace(cancel)),
            Some(Scope::Cluster) => {
                errors.extend(from_k10_namespace(cancel, self.installation.namespace()));
            }
            None => {}
        }
        errors
    }

    fn stored(&self) -> bool {
        false
    }

    fn on_create(
        &self,
        cancel: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        at: &Occasion,
    ) -> Result<(), ApiError> {
        let Some(kind) = target_kind(cancel) else { return Ok(()) };
        let (installation, subject) = (&self.installation, subject::of(cancel));
        let id = installation.id(kind);
        let Some(mut target) = objects.get(id, subject.namespace, subject.name) else {
            let (names, field) = (domain::CANCEL_ACTION, "spec.subject.name");
            return Err(rules::dangling(installation, names, cancel, field, subject.name));
        };
        let state = fields::text(&target, "status.state");
        if let Some(why_not) = obstacle(state) {
            return Err(ApiError::conflict(id.group, id.plural, subject.name, &why_not));
        }
        fields::set(&mut target, "status.state", State::Cancelled.as_str());
        fields::set(&mut target, "status.endTime", at.now.as_str());
        objects.update(id, target)
    }
}

fn target_kind(cancel: &Map<String, Value>) -> Option<Names> {
    let kind = subject::of(cancel).kind;
    CANCELLABLE.into_iter().find(|names| names.kind == kind)
}

/// A cluster-scoped target has no namespace, and is cancelled from K10's.
fn from_k10_namespace(cancel: &Map<String, Value>, k10: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let subject = subject::of(cancel);
    if !subject.namespace.is_empty() && subject.namespace != k10 {
        let detail = format!("a {} lives in no namespace", subject.kind);
        let given = json!(subject.namespace);
        errors.push(FieldError::invalid("spec.subject.namespace", &given, &detail));
    }
    let own = fields::namespace(cancel);
    if own != k10 {
        let detail = format!("a {} is cancelled from {k10:?}", subject.kind);
        errors.push(FieldError::invalid("metadata.namespace", &json!(own), &detail));
    }
    errors
}

/// Why an action in this state cannot be stopped.
fn obstacle(state: &str) -> Option<String> {
    match State::parse(state) {
        Some(State::Running | State::AttemptFailed) => None,
        Some(State::Pending) => Some("it is Pending and not cancellable yet".to_owned()),
        _ => Some(format!("it is {state} and no longer cancellable")),
    }
}
