//! Group `actions`: one object for each operation of K10.
//!
//! An action is created, then executed by an executor that reports through `/status`, and then kept
//! as a record. [`Action`] is the strategy that all of them share; the file of a kind holds its
//! spec and its [`ActionStrategy`]. Nothing here executes an action.

pub mod backup_action;
pub mod backup_cluster_action;
pub mod batch_restore_action;
pub mod cancel_action;
pub mod export_action;
pub mod import_action;
pub mod migrate_fcd_action;
pub mod report_action;
pub mod restore_action;
pub mod restore_cluster_action;
pub mod retire_action;
pub mod run_action;
pub mod spec;
pub mod stage_action;
pub mod state;
pub mod status;
pub mod subject;
pub mod upgrade_action;
pub mod validate_action;

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Attributes, Column, Objects, Resource, Strategy, WriteContext};
use serde_json::{Map, Value, json};

use crate::kinds;
use crate::names::ResourceNames;
use crate::{Installation, columns, rules, verbs};
use state::{Lifecycle, State};

/// The kind-specific part of the strategy. The default implementations do nothing.
pub(crate) trait ActionStrategy: Send + Sync {
    /// Whether only K10's own service accounts may create one.
    fn created_by_k10_only(&self) -> bool {
        false
    }

    /// Fills in fields that are derived from others.
    fn prepare(&self, _action: &mut Map<String, Value>) {}

    /// Validation of the spec beyond the schema.
    fn validate(
        &self,
        _action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        Vec::new()
    }

    /// Further requests for which the caller must be authorized.
    fn required_access(
        &self,
        _action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<Attributes> {
        Vec::new()
    }

    /// Validation against other objects, in the transaction of the create.
    fn admit(
        &self,
        _action: &Map<String, Value>,
        _objects: &Objects<'_>,
        _installation: &Installation,
    ) -> Result<(), ApiError> {
        Ok(())
    }
}

/// The strategy of an action: it starts in the first state of its lifecycle, allows only the
/// lifecycle's transitions, and sets the times.
struct Action {
    installation: Installation,
    names: ResourceNames,
    lifecycle: Lifecycle,
    rules: &'static dyn ActionStrategy,
}

/// The resource of a kind of action.
fn resource(
    installation: &Installation,
    names: ResourceNames,
    lifecycle: Lifecycle,
    rules: &'static dyn ActionStrategy,
    columns: &'static [Column],
    schema: Value,
) -> Resource {
    crate::resource(
        installation.kind(names),
        verbs::CREATE_DELETE,
        columns,
        columns::STATUS_AND_DETAILS,
        schema,
        Arc::new(Action { installation: *installation, names, lifecycle, rules }),
    )
}

impl Strategy for Action {
    fn prepare_create(&self, action: &mut Map<String, Value>, ctx: &WriteContext) {
        let initial_state = self.lifecycle.initial_state().as_str();
        let status =
            json!({"state": initial_state, "startTime": ctx.now, "endTime": null, "progress": 0});
        fields::set(action, "status", status);
        self.rules.prepare(action);
    }

    fn prepare_update(
        &self,
        action: &mut Map<String, Value>,
        old: &Map<String, Value>,
        ctx: &WriteContext,
    ) {
        set_times(action, old, ctx);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        if let Some(old) = old {
            return [self.lifecycle.check(action, old), status::check(action)].concat();
        }
        let mut errors = rules::times(action, &["spec.expiresAt", "spec.scheduledTime"]);
        errors.extend(self.rules.validate(action, &self.installation));
        errors
    }

    fn required_access(&self, action: &Map<String, Value>) -> Vec<Attributes> {
        self.rules.required_access(action, &self.installation)
    }

    fn on_create(
        &self,
        action: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        if self.rules.created_by_k10_only() {
            rules::require_k10_account(&self.installation, self.names, action, &ctx.user)?;
        }
        self.rules.admit(action, objects, &self.installation)
    }

    fn details(
        &self,
        action: &Map<String, Value>,
        _objects: &mut Objects<'_>,
    ) -> Result<Map<String, Value>, ApiError> {
        Ok(status::with_details(action))
    }
}

/// Keeps the start time; sets the end time when the action finishes, unless the executor reported
/// one.
fn set_times(action: &mut Map<String, Value>, old: &Map<String, Value>, ctx: &WriteContext) {
    let start_time = fields::value(old, "status.startTime").cloned().unwrap_or(Value::Null);
    fields::set(action, "status.startTime", start_time);
    let state = State::parse(fields::text(action, "status.state"));
    if fields::value(action, "status.endTime").is_none() {
        let end_time = match fields::value(old, "status.endTime") {
            Some(end_time) => end_time.clone(),
            None if state.is_some_and(State::is_finished) => ctx.now.clone().into(),
            None => Value::Null,
        };
        fields::set(action, "status.endTime", end_time);
    }
    if state == Some(State::Complete) {
        fields::set(action, "status.progress", 100);
    }
}

/// An action that the server itself creates, in the first state of the full lifecycle.
pub(crate) fn pending(
    installation: &Installation,
    names: ResourceNames,
    name: &str,
    now: &str,
) -> Map<String, Value> {
    let mut action = installation.object(names, "", name);
    let initial_state = Lifecycle::Full.initial_state().as_str();
    let status = json!({"state": initial_state, "startTime": now, "endTime": null, "progress": 0});
    fields::set(&mut action, "spec", json!({}));
    fields::set(&mut action, "status", status);
    action
}

/// Checks that the restore point of an action exists.
fn require_restore_point(
    installation: &Installation,
    names: ResourceNames,
    action: &Map<String, Value>,
    objects: &Objects<'_>,
) -> Result<(), ApiError> {
    let subject = subject::parse(action);
    let restore_points = installation.id(kinds::RESTORE_POINT);
    if objects.get(restore_points, subject.namespace, subject.name).is_some() {
        return Ok(());
    }
    Err(rules::not_found(installation, names, action, "spec.subject.name", subject.name))
}
