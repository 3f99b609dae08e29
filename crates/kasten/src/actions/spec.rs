//! Parts that the specs of several actions share: filters, hooks, transforms, references.

use schemars::JsonSchema;
use serde_json::Value;

/// Refers to an object in a namespace.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
}

/// Refers to an object by its name.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct NameOnly {
    /// Its name.
    pub name: String,
}

/// Filters on the resources of an application.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Filters {
    /// Includes only these.
    pub include_resources: Option<Vec<Selection>>,
    /// Excludes these.
    pub exclude_resources: Option<Vec<Selection>>,
    /// Includes these, which K10 would exclude by default.
    pub include_extra_resources: Option<Vec<Selection>>,
    /// Excludes these, which K10 would include by default.
    pub exclude_extra_resources: Option<Vec<Selection>>,
}

/// Filters on cluster-scoped resources.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFilters {
    /// Includes only these.
    pub include_cluster_resources: Option<Vec<Selection>>,
    /// Excludes these.
    pub exclude_cluster_resources: Option<Vec<Selection>>,
}

/// Selects resources; a missing field matches everything.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// Name of the object.
    pub name: Option<String>,
    /// API group.
    pub group: Option<String>,
    /// API version.
    pub version: Option<String>,
    /// Plural of the kind.
    pub resource: Option<String>,
    /// Labels the object must have.
    pub match_labels: Option<std::collections::BTreeMap<String, String>>,
    /// Requirements on the labels of the object.
    pub match_expressions: Option<Vec<Value>>,
}

/// Blueprint actions around an action.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hooks {
    /// Before the action.
    pub pre_hook: Option<Hook>,
    /// After the action succeeded.
    pub on_success: Option<Hook>,
    /// After the action failed.
    pub on_failure: Option<Hook>,
}

/// One blueprint action.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// The blueprint.
    pub blueprint: Option<String>,
    /// The action of the blueprint.
    pub action_name: Option<String>,
}

/// A transform of resources.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transform {
    /// The resources that are changed.
    pub subject: Option<Selection>,
    /// Name of the transform, for users.
    pub name: Option<String>,
    /// The changes, in order.
    pub json: Option<Vec<JsonOperation>>,
    /// A `TransformSet` with the changes.
    pub transform_set_ref: Option<Reference>,
}

/// One operation of a transform, close to RFC 6902.
#[derive(Clone, Debug, JsonSchema)]
pub struct JsonOperation {
    /// The operation.
    pub op: Operation,
    /// Source path, for copy and move.
    pub from: Option<String>,
    /// Target path.
    pub path: Option<String>,
    /// A regular expression: what a value must match, or the part that is replaced.
    pub regex: Option<String>,
    /// The new value.
    pub value: Option<Value>,
}

/// An operation on a value.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Tests a value.
    Test,
    /// Adds a value.
    Add,
    /// Removes a value.
    Remove,
    /// Copies a value from another path.
    Copy,
    /// Moves a value from another path.
    Move,
    /// Replaces a value.
    Replace,
}
