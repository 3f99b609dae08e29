//! `BackupAction`: makes a restore point of one application, now.
//!
//! Lives in the application's namespace. Labels that name the application are filled in.

use apiserver::{FieldError, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::spec::{Filters, Hooks};
use super::state::Course;
use super::status::{ActionStatus, Made};
use super::subject::{self, Subject};
use super::{Rules, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, domain, fields};

/// What to back up, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupActionSpec {
    /// The application, or a virtual machine in it.
    pub subject: Subject,
    /// When the restore point may be retired.
    pub expires_at: Option<Time>,
    /// When it was due.
    pub scheduled_time: Option<Time>,
    /// Which resources are backed up.
    pub filters: Option<Filters>,
    /// Goes on where something cannot be backed up.
    pub ignore_exceptions: Option<bool>,
    /// Blueprint actions around the backup.
    pub hooks: Option<Hooks>,
}

/// What came of the backup.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupActionStatus {
    /// As of every action.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// The restore point that was made.
    pub restore_point: Option<Made>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::BACKUP_ACTION,
        Course::Full,
        &Backup,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<BackupActionSpec, BackupActionStatus>(
            "BackupAction makes a restore point of one application.",
        ),
    )
}

const VIRTUAL_MACHINE: &str = "VirtualMachine";

struct Backup;

impl Rules for Backup {
    fn prepare(&self, action: &mut Map<String, Value>) {
        subject::fill_namespace(action);
        let subject = subject::of(action);
        let app_type = if subject.kind == VIRTUAL_MACHINE { "virtualMachine" } else { "namespace" };
        let (name, namespace) = (subject.name.to_owned(), subject.namespace.to_owned());
        fields::fill_label(action, domain::APP_NAME, &name);
        fields::fill_label(action, domain::APP_NAMESPACE, &namespace);
        fields::fill_label(action, domain::APP_TYPE, app_type);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = crate::rules::required(action, &["spec.subject.name"]);
        errors.extend(subject::in_own_namespace(action));
        let subject = subject::of(action);
        let api_version = fields::text(action, "spec.subject.apiVersion");
        if subject.kind == VIRTUAL_MACHINE && api_version != "kubevirt.io/v1" {
            let given = json!(api_version);
            errors.push(FieldError::not_supported(
                "spec.subject.apiVersion",
                &given,
                &["kubevirt.io/v1"],
            ));
        }
        errors
    }
}
