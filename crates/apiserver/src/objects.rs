//! The objects of all kinds, as a strategy sees them inside a transaction.
//!
//! What a strategy changes here commits together with the write that caused it. Each such change
//! is an act of the server and gets an audit event of its own, caused by the request's.

use serde_json::{Map, Value};

use crate::ApiError;

/// Names a kind: plural and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResourceId {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural, such as `restorepoints`.
    pub plural: &'static str,
}

/// The objects of all kinds inside one transaction.
pub struct Objects<'tx> {
    objects: &'tx mut dyn ObjectAccess,
}

/// What [`Objects`] is a front for; implemented by the registry over a store transaction, and by
/// tests over a map.
pub trait ObjectAccess {
    /// One object, or nothing. `namespace` is empty for cluster-scoped kinds.
    fn get(&self, kind: ResourceId, namespace: &str, name: &str) -> Option<Map<String, Value>>;
    /// All objects of a kind, in all namespaces or in one.
    fn list(&self, kind: ResourceId, namespace: Option<&str>) -> Vec<Map<String, Value>>;
    /// Makes an object; metadata is completed. Fails when the name is taken.
    fn create(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError>;
    /// Replaces an object that is there.
    fn update(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError>;
    /// Removes an object for good, whatever its finalizers. Its own strategy is not asked.
    fn delete(&mut self, kind: ResourceId, namespace: &str, name: &str) -> Result<(), ApiError>;
}

impl<'tx> Objects<'tx> {
    /// A front for `objects`.
    pub fn new(objects: &'tx mut dyn ObjectAccess) -> Self {
        Self { objects }
    }

    /// One object, or nothing. `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, kind: ResourceId, namespace: &str, name: &str) -> Option<Map<String, Value>> {
        self.objects.get(kind, namespace, name)
    }

    /// All objects of a kind, in all namespaces or in one.
    pub fn list(&self, kind: ResourceId, namespace: Option<&str>) -> Vec<Map<String, Value>> {
        self.objects.list(kind, namespace)
    }

    /// Makes an object; metadata is completed. Fails when the name is taken.
    pub fn create(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError> {
        self.objects.create(kind, object)
    }

    /// Replaces an object that is there.
    pub fn update(&mut self, kind: ResourceId, object: Map<String, Value>) -> Result<(), ApiError> {
        self.objects.update(kind, object)
    }

    /// Removes an object for good, whatever its finalizers. Its own strategy is not asked.
    pub fn delete(
        &mut self,
        kind: ResourceId,
        namespace: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        self.objects.delete(kind, namespace, name)
    }
}
