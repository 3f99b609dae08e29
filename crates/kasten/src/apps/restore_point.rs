//! `RestorePoint`: refers, in an application's namespace, to a `RestorePointContent`.
//!
//! Creating one binds an unbound content, which the caller must be allowed to read. Deleting one
//! unbinds the content and keeps its data. It has no update.

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Attributes, Column, Objects, Resource, ResourceId, Strategy, WriteContext};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::{Binding, RestorePointDetails, VmInfo};
use crate::actions::spec::NameOnly;
use crate::kinds::{RESTORE_POINT, RESTORE_POINT_CONTENT};
use crate::names;
use crate::schema::{self, Time};
use crate::{Installation, columns, rules, verbs};

/// The spec of a restore point.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePointSpec {
    /// The content.
    pub restore_point_content_ref: NameOnly,
}

/// The observed state.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePointStatus {
    /// Whether it is bound to a content.
    pub state: Option<Binding>,
    /// Logical size of the data.
    pub logical_size_bytes: Option<i64>,
    /// Physical size of the data.
    pub physical_size_bytes: Option<i64>,
    /// Time at which the policy scheduled the backup; null if it was on demand.
    pub scheduled_time: Option<Time>,
    /// Time of the backup.
    pub action_time: Option<Time>,
    /// The consistency of a virtual machine's backup.
    pub vm_info: Option<VmInfo>,
    /// Details, shown by `/details`.
    pub restore_point_details: Option<RestorePointDetails>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    crate::resource(
        installation.kind(RESTORE_POINT),
        verbs::CREATE_DELETE,
        &[columns::AGE, columns::STATE_WIDE, CONTENT],
        columns::STATUS_AND_DETAILS,
        schema::object::<RestorePointSpec, RestorePointStatus>(
            "RestorePoint represents a backup of an application.",
        ),
        Arc::new(RestorePoint { installation: *installation }),
    )
}

const CONTENT: Column = Column {
    name: "Content",
    kind: "string",
    path: "spec.restorePointContentRef.name",
    priority: 1,
    description: "Name of the RestorePointContent that it is bound to.",
};
const CONTENT_NAME: &str = "spec.restorePointContentRef.name";
const LABELS: [&str; 5] = [
    names::APP_NAME,
    names::APP_NAMESPACE,
    names::APP_TYPE,
    names::POLICY_NAME,
    names::POLICY_NAMESPACE,
];
/// The fields that a restore point copies from its content.
const COPIED_FIELDS: [&str; 5] = [
    "status.logicalSizeBytes",
    "status.physicalSizeBytes",
    "status.scheduledTime",
    "status.actionTime",
    "status.vmInfo",
];

struct RestorePoint {
    installation: Installation,
}

impl Strategy for RestorePoint {
    fn prepare_create(&self, point: &mut Map<String, Value>, ctx: &WriteContext) {
        let state = Binding::Bound.as_str();
        let status = json!({"state": state, "scheduledTime": null, "actionTime": ctx.now});
        fields::set(point, "status", status);
    }

    fn prepare_update(
        &self,
        point: &mut Map<String, Value>,
        old: &Map<String, Value>,
        _ctx: &WriteContext,
    ) {
        fields::restore(point, old, &["status.state"]);
    }

    fn validate(
        &self,
        point: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        rules::required(point, &[CONTENT_NAME])
    }

    fn required_access(&self, point: &Map<String, Value>) -> Vec<Attributes> {
        let name = fields::text(point, CONTENT_NAME);
        vec![rules::get(&self.installation, RESTORE_POINT_CONTENT, "", name)]
    }

    fn on_create(
        &self,
        point: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let (installation, name) = (&self.installation, fields::text(point, CONTENT_NAME));
        let contents = installation.id(RESTORE_POINT_CONTENT);
        let Some(mut content) = objects.get(contents, "", name) else {
            return Err(rules::not_found(installation, RESTORE_POINT, point, CONTENT_NAME, name));
        };
        if fields::text(&content, "status.state") != Binding::Unbound.as_str() {
            return Err(already_bound(installation.id(RESTORE_POINT), point, &content));
        }
        for path in COPIED_FIELDS {
            if let Some(value) = fields::value(&content, path) {
                fields::set(point, path, value.clone());
            }
        }
        // The application label is that of the content: a client must not label the backup of one
        // application as that of another, because rules compare the label with the namespace.
        for key in LABELS {
            fields::set_label(point, key, fields::label(&content, key));
        }
        let reference = json!({
            "name": fields::name(point),
            "namespace": fields::namespace(point),
        });
        fields::set(&mut content, "status.state", Binding::Bound.as_str());
        fields::set(&mut content, "status.restorePointRef", reference);
        objects.update(contents, content)
    }

    fn on_delete(
        &self,
        point: &Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let contents = self.installation.id(RESTORE_POINT_CONTENT);
        let content_name = fields::text(point, CONTENT_NAME);
        let Some(mut content) = objects.get(contents, "", content_name) else {
            return Ok(());
        };
        if !is_bound_to(&content, point) {
            return Ok(());
        }
        fields::set(&mut content, "status.state", Binding::Unbound.as_str());
        fields::remove(&mut content, "status.restorePointRef");
        objects.update(contents, content)
    }

    fn details(
        &self,
        point: &Map<String, Value>,
        objects: &mut Objects<'_>,
    ) -> Result<Map<String, Value>, ApiError> {
        let contents = self.installation.id(RESTORE_POINT_CONTENT);
        let content = objects.get(contents, "", fields::text(point, CONTENT_NAME));
        let own_details = fields::value(point, "status.restorePointDetails");
        let reported = own_details.or_else(|| {
            content
                .as_ref()
                .and_then(|content| fields::value(content, "status.restorePointContentDetails"))
        });
        let mut detailed = point.clone();
        fields::set(&mut detailed, "status.restorePointDetails", super::details(point, reported));
        Ok(detailed)
    }
}

fn is_bound_to(content: &Map<String, Value>, point: &Map<String, Value>) -> bool {
    fields::text(content, "status.restorePointRef.name") == fields::name(point)
        && fields::text(content, "status.restorePointRef.namespace") == fields::namespace(point)
}

fn already_bound(
    id: ResourceId,
    point: &Map<String, Value>,
    content: &Map<String, Value>,
) -> ApiError {
    let detail = format!(
        "the restore point content {:?} is bound to {}/{}",
        fields::name(content),
        fields::text(content, "status.restorePointRef.namespace"),
        fields::text(content, "status.restorePointRef.name"),
    );
    ApiError::conflict(id.group, id.plural, fields::name(point), &detail)
}
