//! Definition of a served resource: names, verbs, schema, columns, and its strategy.
//!
//! The registry implements the common behavior of resources (metadata, selectors, patches,
//! conflicts, tables). A resource provides data in [`Resource`] and its own logic in [`Strategy`].

use std::sync::Arc;

use apimachinery::{ApiError, FieldError};
use event::Level;
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use crate::{Attributes, Objects, ReadOnlyStorage};

/// A served resource.
#[derive(Clone)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind, for example `RestorePoint`.
    pub kind: &'static str,
    /// Plural name, for example `restorepoints`.
    pub plural: &'static str,
    /// Singular name, for example `restorepoint`.
    pub singular: &'static str,
    /// Short names that kubectl accepts.
    pub short_names: &'static [&'static str],
    /// Categories, for example `all`.
    pub categories: &'static [&'static str],
    /// Whether the resource is namespaced.
    pub scope: Scope,
    /// Supported verbs. Any other verb gets 405.
    pub verbs: &'static [Verb],
    /// Columns that `kubectl get` prints after NAME. The age column must be listed explicitly.
    pub columns: &'static [Column],
    /// Structural OpenAPI v3 schema of the whole object, with descriptions. The registry adds
    /// `metadata`.
    pub schema: SchemaText,
    /// Subresources, including `status`.
    pub subresources: &'static [Subresource],
    /// Field selectors supported in addition to `metadata.name` and `metadata.namespace`, for
    /// example `status.state`.
    pub selectable_fields: &'static [&'static str],
    /// Whether audit events contain only the fields of bodies that identify the object and those of
    /// [`Strategy::recorded_fields`], regardless of the policy.
    pub omit_bodies: bool,
    /// Minimum audit level of writes, including writes of subresources, regardless of the policy.
    /// [`Level::None`] sets no minimum.
    pub audit_level_min: Level,
    /// Source of the objects if they are not in the store.
    pub read_only: Option<Arc<dyn ReadOnlyStorage>>,
    /// Logic specific to this resource.
    pub strategy: Arc<dyn Strategy>,
}

/// A schema kept as JSON text. The tree is needed only at startup and in documents; the trees of
/// all resources together would be the largest part of an idle server's memory.
#[derive(Clone, Debug)]
pub struct SchemaText(Arc<str>);

impl SchemaText {
    /// Parses the schema into a tree.
    pub fn tree(&self) -> Value {
        // Cannot fail: the text was written from a tree.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<Value> for SchemaText {
    fn from(schema: Value) -> Self {
        Self(schema.to_string().into())
    }
}

/// Scope of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Objects belong to a namespace.
    Namespaced,
    /// Objects are cluster-scoped.
    Cluster,
}

/// Kubernetes verb of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Create one object.
    Create,
    /// Delete one object.
    Delete,
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Modify one object with a patch.
    Patch,
    /// Replace one object.
    Update,
    /// Stream changes of a collection.
    Watch,
}

impl Verb {
    /// Name of the verb in RBAC rules and discovery.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// A subresource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// `status`: get, update, patch. Writes change only `status` and the labels in metadata.
    Status,
    /// `details`: get only, computed by [`Strategy::details`].
    Details,
    /// One field that is written separately and authorized separately: get, update, patch. Writes
    /// change nothing else.
    Field {
        /// Last segment of the URL, such as `triage`.
        name: &'static str,
        /// Path of the field, such as `status.triage`.
        path: &'static str,
    },
    /// An operation on the object, performed by [`Strategy::operate`] on create. The response is a
    /// `Status`.
    Operation {
        /// Last segment of the URL, such as `test`.
        name: &'static str,
    },
}

impl Subresource {
    /// Last segment of the URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Details => "details",
            Self::Field { name, .. } | Self::Operation { name } => name,
        }
    }

    /// Supported verbs.
    pub const fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Status | Self::Field { .. } => &[Verb::Get, Verb::Patch, Verb::Update],
            Self::Details => &[Verb::Get],
            Self::Operation { .. } => &[Verb::Create],
        }
    }
}

/// A printed column, as `metav1.TableColumnDefinition`.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Header; kubectl prints it in upper case.
    pub name: &'static str,
    /// OpenAPI type: `string`, `integer`, `date`, `boolean`.
    pub kind: &'static str,
    /// Path of the value, for example `status.state` or `metadata.creationTimestamp`. A `date` is
    /// printed as an age.
    pub path: &'static str,
    /// Columns with a priority above 0 are printed only with `-o wide`.
    pub priority: i32,
    /// Description for users.
    pub description: &'static str,
}

/// Context of a write, for a strategy.
#[derive(Clone, Debug)]
pub struct WriteContext {
    /// User who makes the request.
    pub user: Arc<event::UserInfo>,
    /// Current time as RFC 3339 with whole seconds, the format of Kubernetes.
    pub now: String,
    /// Subresource; empty if the write is to the object itself.
    pub subresource: String,
    /// At least 10 random characters of the alphabet that Kubernetes uses for generated names. For
    /// names of objects that a strategy creates.
    pub suffix: String,
}

/// Future of a response to a create that evaluates a review instead of storing an object.
pub type Review = BoxFuture<'static, Result<Map<String, Value>, ApiError>>;

/// Logic specific to a resource. The default methods add no behavior.
///
/// Objects are JSON maps that have already passed the schema: types are correct, unknown fields are
/// removed, metadata is complete.
pub trait Strategy: Send + Sync {
    /// Sets server-side fields: initial status, labels, defaults. Runs before validation.
    fn prepare_create(&self, _object: &mut Map<String, Value>, _ctx: &WriteContext) {}

    /// Restores fields that an update must not change silently. Runs before validation.
    fn prepare_update(
        &self,
        _object: &mut Map<String, Value>,
        _old: &Map<String, Value>,
        _ctx: &WriteContext,
    ) {
    }

    /// Returns validation errors beyond the schema. `old` is the stored object on updates.
    fn validate(
        &self,
        _object: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        Vec::new()
    }

    /// Returns further permissions that the caller needs for this write, for example to read a
    /// referenced object. The registry fills in `user`. Called on create and update, but not for
    /// subresources.
    fn required_access(&self, _object: &Map<String, Value>) -> Vec<Attributes> {
        Vec::new()
    }

    /// Whether an update may omit `resourceVersion` and then overwrites any stored version.
    fn updates_unconditionally(&self) -> bool {
        false
    }

    /// Evaluates a create of a review, which stores no object, and returns the object with its
    /// status. `None` if a create stores an object. The object has passed validation; it needs no
    /// name.
    fn review(&self, _object: &Map<String, Value>, _ctx: &WriteContext) -> Option<Review> {
        None
    }

    /// Fields of the bodies that are recorded although [`Resource::omit_bodies`] is set, in
    /// addition to those that identify the object: paths such as `spec.secret.name`, or
    /// `spec.names.*` for all fields of one level.
    fn recorded_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether created objects are stored. If `false`, a create is validated and recorded and gets
    /// a response, but is not stored.
    fn stored(&self) -> bool {
        true
    }

    /// Runs in the transaction of a create, before the object is written. May reject the create,
    /// modify the object, and write other objects.
    fn on_create(
        &self,
        _object: &mut Map<String, Value>,
        _objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    /// Runs in the transaction of an update (also of a subresource), before the object is written.
    fn on_update(
        &self,
        _object: &mut Map<String, Value>,
        _old: &Map<String, Value>,
        _objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    /// Whether an object of this name may be deleted. Runs before all other checks, also for names
    /// that do not exist.
    fn admit_delete(&self, _name: &str, _ctx: &WriteContext) -> Result<(), ApiError> {
        Ok(())
    }

    /// Runs in the transaction that removes the object finally, after its last finalizer.
    fn on_delete(
        &self,
        _object: &Map<String, Value>,
        _objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    /// Performs the operation of a [`Subresource::Operation`] on the stored object and returns its
    /// result as a message. The registry writes nothing.
    fn operate(
        &self,
        _object: Map<String, Value>,
        ctx: WriteContext,
    ) -> BoxFuture<'static, Result<String, ApiError>> {
        let message = format!("the operation {} is not implemented", ctx.subresource);
        Box::pin(async move { Err(ApiError::internal(&message)) })
    }

    /// Returns the object with its details, for [`Subresource::Details`].
    fn details(
        &self,
        object: &Map<String, Value>,
        _objects: &mut Objects<'_>,
    ) -> Result<Map<String, Value>, ApiError> {
        Ok(object.clone())
    }
}

/// A strategy with the default implementation of every method.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultStrategy;

impl Strategy for DefaultStrategy {}
