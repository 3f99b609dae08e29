//! Access to the objects of all resources inside a transaction, for strategies.
//!
//! Changes that a strategy makes here commit together with the write that caused them. Each change
//! is an action of the server and gets its own audit event, which refers to the event of the request.

use apimachinery::ApiError;
use serde_json::{Map, Value};

/// Identifies a resource by group and plural name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResourceId {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural name, for example `restorepoints`.
    pub plural: &'static str,
}

/// Objects of all resources inside one transaction.
pub struct Objects<'tx> {
    objects: &'tx mut dyn ObjectAccess,
}

/// Backend of [`Objects`]. The registry implements it over a store transaction; tests implement it
/// over a map.
pub trait ObjectAccess {
    /// Returns an object, or `None` if it does not exist. `namespace` is empty for cluster-scoped
    /// resources.
    fn get(&self, kind: ResourceId, namespace: &str, name: &str) -> Option<Map<String, Value>>;
    /// Returns all objects of a resource, in all namespaces or in one.
    fn list(&self, kind: ResourceId, namespace: Option<&str>) -> Vec<Map<String, Value>>;
    /// Creates an object and completes its metadata. Fails if the name exists.
    fn create(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError>;
    /// Replaces an existing object.
    fn update(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError>;
    /// Deletes an object immediately, ignoring its finalizers. Does not run the strategy of the
    /// resource.
    fn delete(&mut self, kind: ResourceId, namespace: &str, name: &str) -> Result<(), ApiError>;
}

impl<'tx> Objects<'tx> {
    /// Wraps a backend.
    pub fn new(objects: &'tx mut dyn ObjectAccess) -> Self {
        Self { objects }
    }

    /// Returns an object, or `None` if it does not exist. `namespace` is empty for cluster-scoped
    /// resources.
    pub fn get(&self, kind: ResourceId, namespace: &str, name: &str) -> Option<Map<String, Value>> {
        self.objects.get(kind, namespace, name)
    }

    /// Returns all objects of a resource, in all namespaces or in one.
    pub fn list(&self, kind: ResourceId, namespace: Option<&str>) -> Vec<Map<String, Value>> {
        self.objects.list(kind, namespace)
    }

    /// Creates an object and completes its metadata. Fails if the name exists.
    pub fn create(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError> {
        self.objects.create(kind, object)
    }

    /// Replaces an existing object.
    pub fn update(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError> {
        self.objects.update(kind, object)
    }

    /// Deletes an object immediately, ignoring its finalizers. Does not run the strategy of the
    /// resource.
    pub fn delete(
        &mut self,
        kind: ResourceId,
        namespace: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        self.objects.delete(kind, namespace, name)
    }
}
