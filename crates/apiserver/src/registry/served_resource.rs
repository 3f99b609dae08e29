//! A served kind with what is computed from it once: keys, schema, names.

use serde_json::{Map, Value};

use crate::schema::{Path, Schema};
use crate::{ApiError, FieldError, Resource, ResourceId, Scope, Subresource, Verb};

/// The fields of every kind, which are checked beside the schema.
pub(super) const HEAD: [&str; 3] = ["apiVersion", "kind", "metadata"];
/// The folder of kinds without a group in the store.
const CORE_FOLDER: &str = "core";

pub(crate) struct ServedResource {
    pub(crate) resource: Resource,
    pub(crate) id: ResourceId,
    /// `group/version`, or the version in the core group.
    pub(crate) api_version: String,
    /// Schema of the whole object, in which the fields of every kind may be anything.
    pub(crate) schema: Schema,
    /// Folder of the kind's objects in the store, with a slash at its end.
    folder: String,
}

impl ServedResource {
    pub(crate) fn new(resource: Resource) -> Self {
        let group = if resource.group.is_empty() { CORE_FOLDER } else { resource.group };
        let api_version = if resource.group.is_empty() {
            resource.version.to_owned()
        } else {
            format!("{}/{}", resource.group, resource.version)
        };
        let mut schema = resource.schema.tree();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            // A schema that says nothing admits everything.
            properties.extend(HEAD.map(|key| (key.to_owned(), Value::Object(Map::new()))));
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|key| !key.as_str().is_some_and(|key| HEAD.contains(&key)));
        }
        Self {
            id: ResourceId { group: resource.group, plural: resource.plural },
            api_version,
            schema: Schema::compile(&schema),
            folder: format!("{group}/{}/", resource.plural),
            resource,
        }
    }

    pub(crate) fn is_namespaced(&self) -> bool {
        self.resource.scope == Scope::Namespaced
    }

    /// Where an object lies in the store.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> String {
        if self.is_namespaced() {
            format!("{}{namespace}/{name}", self.folder)
        } else {
            format!("{}{name}", self.folder)
        }
    }

    /// Where the objects of a namespace lie, or all of them for an empty one.
    pub(crate) fn prefix(&self, namespace: &str) -> String {
        if self.is_namespaced() && !namespace.is_empty() {
            format!("{}{namespace}/", self.folder)
        } else {
            self.folder.clone()
        }
    }

    pub(crate) fn supports(&self, verb: Verb) -> bool {
        self.resource.verbs.contains(&verb)
    }

    /// The subresource with this name in URLs.
    pub(crate) fn subresource(&self, name: &str) -> Option<Subresource> {
        self.resource.subresources.iter().copied().find(|one| one.name() == name)
    }

    pub(crate) fn has(&self, subresource: Subresource) -> bool {
        self.resource.subresources.contains(&subresource)
    }

    pub(crate) fn not_found(&self, name: &str) -> ApiError {
        ApiError::not_found(self.id.group, self.id.plural, name)
    }

    pub(crate) fn conflict(&self, name: &str, detail: &str) -> ApiError {
        ApiError::conflict(self.id.group, self.id.plural, name, detail)
    }

    pub(crate) fn forbidden(&self, name: &str, detail: &str) -> ApiError {
        ApiError::forbidden(self.id.group, self.id.plural, name, detail)
    }

    pub(crate) fn method_not_allowed(&self, verb: &str) -> ApiError {
        ApiError::method_not_allowed(self.id.group, self.id.plural, verb)
    }

    /// Refuses an object with something wrong in it, and lets others pass.
    pub(crate) fn refuse(&self, name: &str, errors: &[FieldError]) -> Result<(), ApiError> {
        if errors.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(self.id.group, self.resource.kind, name, errors))
    }

    /// Removes and names what the kind does not know. `apiVersion`, `kind` and `metadata` are not
    /// looked at.
    pub(crate) fn prune(&self, object: &mut Map<String, Value>) -> Vec<String> {
        let mut unknown = Vec::new();
        self.schema.prune_map(object, Path::Root, &mut unknown);
        unknown
    }

    /// What the schema finds wrong.
    pub(crate) fn validate(&self, object: &Map<String, Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.schema.validate_map(object, Path::Root, &mut errors);
        errors
    }
}
