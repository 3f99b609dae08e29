//! `BackupAction`: creates a restore point of one application.
//!
//! It is created in the application's namespace. The labels with the application's name are filled
//! in.

use apimachinery::{FieldError, fields};
use apiserver::Resource;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::spec::{Filters, Hooks};
use super::state::Lifecycle;
use super::status::{ActionStatus, CreatedReference};
use super::subject::{self, Subject};
use super::{ActionStrategy, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds, names};

/// What to back up, and how.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupActionSpec {
    /// The application, or a virtual machine in it.
    pub subject: Subject,
    /// Expiry time of the restore point.
    pub expires_at: Option<Time>,
    /// Time at which the policy scheduled it.
    pub scheduled_time: Option<Time>,
    /// Which resources are backed up.
    pub filters: Option<Filters>,
    /// Whether the backup continues when something cannot be backed up.
    pub ignore_exceptions: Option<bool>,
    /// Blueprint actions around the backup.
    pub hooks: Option<Hooks>,
}

/// The status of a backup.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupActionStatus {
    /// The status that all actions share.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// The restore point that was created.
    pub restore_point: Option<CreatedReference>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::BACKUP_ACTION,
        Lifecycle::Full,
        &Backup,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<BackupActionSpec, BackupActionStatus>(
            "BackupAction creates a restore point of one application.",
        ),
    )
}

const VIRTUAL_MACHINE: &str = "VirtualMachine";

struct Backup;

impl ActionStrategy for Backup {
    fn prepare(&self, action: &mut Map<String, Value>) {
        subject::fill_namespace(action);
        let subject = subject::parse(action);
        let app_type = if subject.kind == VIRTUAL_MACHINE { "virtualMachine" } else { "namespace" };
        let (name, namespace) = (subject.name.to_owned(), subject.namespace.to_owned());
        fields::fill_label(action, names::APP_NAME, &name);
        fields::fill_label(action, names::APP_NAMESPACE, &namespace);
        fields::fill_label(action, names::APP_TYPE, app_type);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = crate::rules::required(action, &["spec.subject.name"]);
        errors.extend(subject::in_own_namespace(action));
        let subject = subject::parse(action);
        let api_version = fields::text(action, "spec.subject.apiVersion");
        if subject.kind == VIRTUAL_MACHINE && api_version != "kubevirt.io/v1" {
            let value = json!(api_version);
            errors.push(FieldError::not_supported(
                "spec.subject.apiVersion",
                &value,
                &["kubevirt.io/v1"],
            ));
        }
        errors
    }
}
