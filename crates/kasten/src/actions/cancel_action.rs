//! `CancelAction`: cancels another action. It takes effect when it is created and is never stored.
//!
//! It is created in its target's namespace, so that permission to cancel is granted by namespace.
//! Cluster-scoped targets are cancelled from K10's namespace.

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Objects, Resource, Scope, Strategy, Verb, WriteContext};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::state::State;
use super::subject::{self, Subject};
use crate::kinds;
use crate::names::ResourceNames;
use crate::{Installation, rules, schema};

/// The action to cancel.
#[derive(Clone, Debug, JsonSchema)]
pub struct CancelActionSpec {
    /// The action to cancel.
    pub subject: Subject,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    crate::resource(
        installation.kind(kinds::CANCEL_ACTION),
        &[Verb::Create],
        &[],
        &[],
        schema::without_status::<CancelActionSpec>(
            "CancelAction stops a running action and its retries. It is never stored.",
        ),
        Arc::new(Cancel { installation: *installation }),
    )
}

/// The kinds that can be cancelled.
const CANCELLABLE: [ResourceNames; 8] = [
    kinds::BACKUP_ACTION,
    kinds::RESTORE_ACTION,
    kinds::IMPORT_ACTION,
    kinds::EXPORT_ACTION,
    kinds::RUN_ACTION,
    kinds::RETIRE_ACTION,
    kinds::BACKUP_CLUSTER_ACTION,
    kinds::RESTORE_CLUSTER_ACTION,
];

struct Cancel {
    installation: Installation,
}

impl Strategy for Cancel {
    fn prepare_create(&self, cancel: &mut Map<String, Value>, _ctx: &WriteContext) {
        if target_kind(cancel).is_some_and(|kind| kind.scope == Scope::Namespaced) {
            subject::fill_namespace(cancel);
        }
    }

    fn validate(
        &self,
        cancel: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        let kinds = CANCELLABLE.map(|names| names.kind);
        let mut errors = subject::check(cancel, &kinds);
        match target_kind(cancel).map(|kind| kind.scope) {
            Some(Scope::Namespaced) => errors.extend(subject::in_own_namespace(cancel)),
            Some(Scope::Cluster) => {
                errors.extend(check_k10_namespace(cancel, self.installation.namespace()));
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
        ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let Some(kind) = target_kind(cancel) else { return Ok(()) };
        let (installation, subject) = (&self.installation, subject::parse(cancel));
        let id = installation.id(kind);
        let Some(mut target) = objects.get(id, subject.namespace, subject.name) else {
            let (names, field) = (kinds::CANCEL_ACTION, "spec.subject.name");
            return Err(rules::not_found(installation, names, cancel, field, subject.name));
        };
        let state = fields::text(&target, "status.state");
        if let Some(reason) = cancel_error(state) {
            return Err(ApiError::conflict(id.group, id.plural, subject.name, &reason));
        }
        fields::set(&mut target, "status.state", State::Cancelled.as_str());
        fields::set(&mut target, "status.endTime", ctx.now.as_str());
        objects.update(id, target)
    }
}

fn target_kind(cancel: &Map<String, Value>) -> Option<ResourceNames> {
    let kind = subject::parse(cancel).kind;
    CANCELLABLE.into_iter().find(|names| names.kind == kind)
}

/// Checks that a cluster-scoped target has no namespace and that the action is in K10's.
fn check_k10_namespace(cancel: &Map<String, Value>, k10: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let subject = subject::parse(cancel);
    if !subject.namespace.is_empty() && subject.namespace != k10 {
        let detail = format!("a {} is cluster-scoped", subject.kind);
        let value = json!(subject.namespace);
        errors.push(FieldError::invalid("spec.subject.namespace", &value, &detail));
    }
    let namespace = fields::namespace(cancel);
    if namespace != k10 {
        let detail = format!("a {} must be cancelled from the namespace {k10:?}", subject.kind);
        errors.push(FieldError::invalid("metadata.namespace", &json!(namespace), &detail));
    }
    errors
}

/// Why an action in this state cannot be cancelled.
fn cancel_error(state: &str) -> Option<String> {
    match State::parse(state) {
        Some(State::Running | State::AttemptFailed) => None,
        Some(State::Pending) => Some("it is Pending and cannot be cancelled yet".to_owned()),
        _ => Some(format!("it is {state} and can no longer be cancelled")),
    }
}
