//! Group `actions`: what K10 does, one object for each deed.
//!
//! An action is made, carried out by an executor that reports through `/status`, and kept as a
//! record. [`Action`] is what all of them share; the file of a kind holds its spec and its
//! [`Rules`]. Nothing here carries anything out.

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

use apiserver::{ApiError, Attributes, Column, FieldError, Objects, Occasion, Resource, Strategy};
use serde_json::{Map, Value, json};

use crate::domain::{self, Names};
use crate::{Installation, columns, fields, rules};
use state::{Course, State};

/// What is a kind's own among what all actions share. The default of each is: nothing.
pub(crate) trait Rules: Send + Sync {
    /// Whether only K10's own service accounts may make one.
    fn made_by_k10_only(&self) -> bool {
        false
    }

    /// Fills in what follows from the rest.
    fn prepare(&self, _action: &mut Map<String, Value>) {}

    /// What is wrong with the spec beyond the schema.
    fn validate(
        &self,
        _action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        Vec::new()
    }

    /// What else the caller must be allowed to do.
    fn required_access(
        &self,
        _action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<Attributes> {
        Vec::new()
    }

    /// Refuses what other objects forbid.
    fn admit(
        &self,
        _action: &Map<String, Value>,
        _objects: &Objects<'_>,
        _installation: &Installation,
    ) -> Result<(), ApiError> {
        Ok(())
    }
}

/// The life of an action: begins in the first state of its course, moves along its arrows, and
/// gets its times from the server.
struct Action {
    installation: Installation,
    names: Names,
    course: Course,
    rules: &'static dyn Rules,
}

/// A served kind of action.
fn resource(
    installation: &Installation,
    names: Names,
    course: Course,
    rules: &'static dyn Rules,
    columns: &'static [Column],
    schema: Value,
) -> Resource {
    crate::resource(
        installation.kind(names),
        columns::FIXED,
        columns,
        columns::STATUS_AND_DETAILS,
        schema,
        Arc::new(Action { installation: *installation, names, course, rules }),
    )
}

impl Strategy for Action {
    fn prepare_create(&self, action: &mut Map<String, Value>, at: &Occasion) {
        let first = self.course.first().as_str();
        let status = json!({"state": first, "startTime": at.now, "endTime": null, "progress": 0});
        fields::set(action, "status", status);
        self.rules.prepare(action);
    }

    fn prepare_update(
        &self,
        action: &mut Map<String, Value>,
        old: &Map<String, Value>,
        at: &Occasion,
    ) {
        keep_times(action, old, at);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        old: Option<&Map<String, Value>>,
        _at: &Occasion,
    ) -> Vec<FieldError> {
        if let Some(old) = old {
            return [self.course.check(action, old), status::check(action)].concat();
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
        at: &Occasion,
    ) -> Result<(), ApiError> {
        if self.rules.made_by_k10_only() {
            rules::made_by_k10(&self.installation, self.names, action, &at.user)?;
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

/// A start is never moved; the end is set by the server when the action finishes and none was
/// reported.
fn keep_times(action: &mut Map<String, Value>, old: &Map<String, Value>, at: &Occasion) {
    let started = fields::value(old, "status.startTime").cloned().unwrap_or(Value::Null);
    fields::set(action, "status.startTime", started);
    let state = State::parse(fields::text(action, "status.state"));
    if fields::value(action, "status.endTime").is_none() {
        let ended = match fields::value(old, "status.endTime") {
            Some(ended) => ended.clone(),
            None if state.is_some_and(State::is_finished) => at.now.clone().into(),
            None => Value::Null,
        };
        fields::set(action, "status.endTime", ended);
    }
    if state == Some(State::Complete) {
        fields::set(action, "status.progress", 100);
    }
}

/// The status of an action that the server itself makes.
pub(crate) fn pending(
    installation: &Installation,
    names: Names,
    name: &str,
    now: &str,
) -> Map<String, Value> {
    let mut action = installation.object(names, "", name);
    let first = Course::Full.first().as_str();
    let status = json!({"state": first, "startTime": now, "endTime": null, "progress": 0});
    fields::set(&mut action, "spec", json!({}));
    fields::set(&mut action, "status", status);
    action
}

/// The restore point an action works on must be there.
fn restore_point_is_there(
    installation: &Installation,
    names: Names,
    action: &Map<String, Value>,
    objects: &Objects<'_>,
) -> Result<(), ApiError> {
    let subject = subject::of(action);
    let restore_points = installation.id(domain::RESTORE_POINT);
    if objects.get(restore_points, subject.namespace, subject.name).is_some() {
        return Ok(());
    }
    Err(rules::dangling(installation, names, action, "spec.subject.name", subject.name))
}
