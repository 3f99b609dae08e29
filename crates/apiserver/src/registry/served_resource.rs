//! A served resource with values that are computed once: store keys, schema and names.

use apimachinery::schema::{Path, Schema};
use apimachinery::{ApiError, FieldError};
use serde_json::{Map, Value};

use crate::{Resource, ResourceId, Scope, Subresource, Verb};

/// The fields that all kinds have. They are validated separately from the schema.
pub(super) const HEAD: [&str; 3] = ["apiVersion", "kind", "metadata"];
/// Key prefix of the core group in the store.
const CORE_FOLDER: &str = "core";

pub(crate) struct ServedResource {
    pub(crate) resource: Resource,
    pub(crate) id: ResourceId,
    /// `group/version`, or only the version in the core group.
    pub(crate) api_version: String,
    /// Schema of the whole object. It accepts any value in the fields that all kinds have.
    pub(crate) schema: Schema,
    /// Key prefix of the resource in the store, with a trailing slash.
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
            // An empty schema accepts every value.
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

    /// The key of an object in the store.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> String {
        if self.is_namespaced() {
            format!("{}{namespace}/{name}", self.folder)
        } else {
            format!("{}{name}", self.folder)
        }
    }

    /// The key prefix of the objects of a namespace; of all objects if `namespace` is empty.
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
        self.resource.subresources.iter().copied().find(|subresource| subresource.name() == name)
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

    /// Returns 422 Invalid with these field errors; `Ok` if there are none.
    pub(crate) fn reject_invalid(&self, name: &str, errors: &[FieldError]) -> Result<(), ApiError> {
        if errors.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(self.id.group, self.resource.kind, name, errors))
    }

    /// Removes unknown fields and returns their paths. It skips `apiVersion`, `kind` and
    /// `metadata`.
    pub(crate) fn prune(&self, object: &mut Map<String, Value>) -> Vec<String> {
        let mut unknown = Vec::new();
        self.schema.prune_map(object, Path::Root, &mut unknown);
        unknown
    }

    /// Validates the object against the schema.
    pub(crate) fn validate(&self, object: &Map<String, Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.schema.validate_map(object, Path::Root, &mut errors);
        errors
    }
}
