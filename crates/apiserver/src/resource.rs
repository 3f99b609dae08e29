//! What a kind is made of: names, verbs, schema, columns, and the few decisions that are its own.
//!
//! Everything a kind has in common with others (metadata, selectors, patches, conflicts, tables)
//! is done by the registry; a kind states data here and answers questions in its [`Strategy`].

use std::sync::Arc;

use event::Level;
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use crate::{ApiError, Attributes, FieldError, Objects, ReadOnlyStorage};

/// One served kind.
#[derive(Clone)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind, such as `RestorePoint`.
    pub kind: &'static str,
    /// Plural, such as `restorepoints`.
    pub plural: &'static str,
    /// Singular, such as `restorepoint`.
    pub singular: &'static str,
    /// What kubectl users may type instead.
    pub short_names: &'static [&'static str],
    /// Categories such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// What may be done. Anything else gets 405.
    pub verbs: &'static [Verb],
    /// What `kubectl get` prints after NAME; the age column is to be listed where it is wanted.
    pub columns: &'static [Column],
    /// Structural OpenAPI v3 schema of the whole object, with descriptions; `metadata` is added
    /// by the registry.
    pub schema: SchemaText,
    /// Subresources beside the object, `status` among them.
    pub subresources: &'static [Subresource],
    /// Paths that a field selector may name beside `metadata.name` and `metadata.namespace`, such
    /// as `status.state`.
    pub selectable_fields: &'static [&'static str],
    /// Bodies are cut to references in events, whatever the policy says.
    pub omit_bodies: bool,
    /// What is recorded of writes at least, those of subresources among them, whatever the policy
    /// says. [`Level::None`] leaves it to the policy.
    pub audit_level_min: Level,
    /// Where the objects come from, if they are not in the store.
    pub read_only: Option<Arc<dyn ReadOnlyStorage>>,
    /// The decisions that are this kind's own.
    pub strategy: Arc<dyn Strategy>,
}

/// A schema as the JSON text it is written as: it is needed at the start and in documents, and the
/// trees of all kinds together would be the largest thing a server that rests keeps in memory.
#[derive(Clone, Debug)]
pub struct SchemaText(Arc<str>);

impl SchemaText {
    /// The schema as a tree.
    pub fn tree(&self) -> Value {
        // It was one before.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<Value> for SchemaText {
    fn from(schema: Value) -> Self {
        Self(schema.to_string().into())
    }
}

/// Where objects live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In namespaces.
    Namespaced,
    /// In the cluster as a whole.
    Cluster,
}

/// What may be done with a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Make one.
    Create,
    /// Remove one.
    Delete,
    /// Read one.
    Get,
    /// Read many.
    List,
    /// Change parts of one.
    Patch,
    /// Replace one.
    Update,
    /// Follow changes.
    Watch,
}

impl Verb {
    /// The name in rules and in discovery.
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

/// A path below an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// `status`: get, update, patch; everything but `status` and metadata's labels is left alone.
    Status,
    /// `details`: get only, computed by [`Strategy::details`].
    Details,
    /// One field that is written apart from the rest, by people with a right of its own: get,
    /// update, patch. Everything else in the body is left alone.
    Field {
        /// Last segment of the URL, such as `triage`.
        name: &'static str,
        /// Path of the field, such as `status.triage`.
        path: &'static str,
    },
    /// Something is done about the object by [`Strategy::operate`], on a create; the answer is a
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

    /// What may be done with it.
    pub const fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Status | Self::Field { .. } => &[Verb::Get, Verb::Patch, Verb::Update],
            Self::Details => &[Verb::Get],
            Self::Operation { .. } => &[Verb::Create],
        }
    }
}

/// One printed column, as `metav1.TableColumnDefinition`.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Header; kubectl prints it in upper case.
    pub name: &'static str,
    /// OpenAPI type: `string`, `integer`, `date`, `boolean`.
    pub kind: &'static str,
    /// Path of the value, such as `status.state` or `metadata.creationTimestamp`. A `date` is
    /// printed as an age.
    pub path: &'static str,
    /// Columns above 0 are shown with `-o wide` only.
    pub priority: i32,
    /// For people.
    pub description: &'static str,
}

/// The circumstances of a write that a strategy may want to know.
#[derive(Clone, Debug)]
pub struct WriteContext {
    /// Who writes.
    pub user: Arc<event::UserInfo>,
    /// Now, as RFC 3339 with seconds, as Kubernetes writes times.
    pub now: String,
    /// Empty when the object itself is written.
    pub subresource: String,
    /// Random characters of the alphabet Kubernetes uses for generated names, for names of
    /// objects that a kind makes by itself. At least 10.
    pub suffix: String,
}

/// An answer on its way, to a create that asks something.
pub type Review = BoxFuture<'static, Result<Map<String, Value>, ApiError>>;

/// The decisions that are a kind's own. The default of each is: nothing special.
///
/// Objects are JSON maps that have already passed the schema: types are right, unknown fields are
/// gone, metadata is complete.
pub trait Strategy: Send + Sync {
    /// Sets what the server sets: initial status, labels, defaults. Runs before validation.
    fn prepare_create(&self, _object: &mut Map<String, Value>, _at: &WriteContext) {}

    /// Puts back what an update may not change silently. Runs before validation.
    fn prepare_update(
        &self,
        _object: &mut Map<String, Value>,
        _old: &Map<String, Value>,
        _at: &WriteContext,
    ) {
    }

    /// What is wrong with the object beyond the schema. `old` is the stored one on updates.
    fn validate(
        &self,
        _object: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _at: &WriteContext,
    ) -> Vec<FieldError> {
        Vec::new()
    }

    /// What else the caller must be allowed to do before this write goes on, such as reading the
    /// object that is named. `user` is filled in by the registry. Asked on creates and updates, but
    /// not on those of subresources.
    fn required_access(&self, _object: &Map<String, Value>) -> Vec<Attributes> {
        Vec::new()
    }

    /// Whether an update may leave out `resourceVersion`, and then replaces what is there whatever it is.
    fn updates_unconditionally(&self) -> bool {
        false
    }

    /// The answer to a create that asks something and makes nothing: the object with its status. `None`
    /// where a create makes an object. The object has passed validation; it needs no name.
    fn review(&self, _object: &Map<String, Value>, _at: &WriteContext) -> Option<Review> {
        None
    }

    /// Fields that are recorded of bodies although [`Resource::omit_bodies`] is set, beside what names
    /// the object: paths such as `spec.secret.name`, or `spec.names.*` for all of one level.
    fn recorded_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a create is kept. `false`: it is checked, recorded, answered, and forgotten.
    fn stored(&self) -> bool {
        true
    }

    /// Runs in the transaction of a create, before the object is written; may refuse, change the
    /// object, and change others.
    fn on_create(
        &self,
        _object: &mut Map<String, Value>,
        _objects: &mut Objects<'_>,
        _at: &WriteContext,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    /// Runs in the transaction of an update (also of a subresource), before the object is written.
    fn on_update(
        &self,
        _object: &mut Map<String, Value>,
        _old: &Map<String, Value>,
        _objects: &mut Objects<'_>,
        _at: &WriteContext,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    /// Whether an object of this name may be asked to go. Asked before anything else, also for names
    /// that are not there.
    fn admit_delete(&self, _name: &str, _at: &WriteContext) -> Result<(), ApiError> {
        Ok(())
    }

    /// Runs in the transaction in which the object goes away for good.
    fn on_delete(
        &self,
        _object: &Map<String, Value>,
        _objects: &mut Objects<'_>,
        _at: &WriteContext,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    /// Does what [`Subresource::Operation`] stands for, about the stored object, and says what came
    /// of it. Nothing is changed by the registry.
    fn operate(
        &self,
        _object: Map<String, Value>,
        at: WriteContext,
    ) -> BoxFuture<'static, Result<String, ApiError>> {
        let message = format!("nothing is known about {}", at.subresource);
        Box::pin(async move { Err(ApiError::internal(&message)) })
    }

    /// The object with its details, for [`Subresource::Details`].
    fn details(
        &self,
        object: &Map<String, Value>,
        _objects: &mut Objects<'_>,
    ) -> Result<Map<String, Value>, ApiError> {
        Ok(object.clone())
    }
}

/// A kind without decisions of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultStrategy;

impl Strategy for DefaultStrategy {}
