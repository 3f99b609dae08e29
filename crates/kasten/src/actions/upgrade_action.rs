//! `UpgradeAction`: upgrades a repository, or the repositories of a policy, to the current format.

use apimachinery::FieldError;
use apiserver::{Attributes, Resource};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::spec::Reference;
use super::state::Lifecycle;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{ActionStrategy, resource as action};
use crate::{Installation, columns, kinds, rules, schema};

/// What to upgrade.
#[derive(Clone, Debug, JsonSchema)]
pub struct UpgradeActionSpec {
    /// The storage repository or the policy.
    pub subject: Subject,
    /// The location profile.
    pub profile: Option<Reference>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::UPGRADE_ACTION,
        Lifecycle::Short,
        &Upgrade,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<UpgradeActionSpec, ActionStatus>(
            "UpgradeAction upgrades a repository to the current format.",
        ),
    )
}

struct Upgrade;

impl ActionStrategy for Upgrade {
    fn prepare(&self, action: &mut Map<String, Value>) {
        subject::fill_namespace(action);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = rules::in_k10_namespace(installation, action);
        errors.extend(subject::check(action, &[kinds::STORAGE_REPOSITORY.kind, "Policy"]));
        errors
    }

    fn required_access(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<Attributes> {
        if subject::parse(action).kind == "Policy" {
            subject::policy_get_access(action)
        } else {
            subject::get_access(installation, action, kinds::STORAGE_REPOSITORY)
        }
    }
}
