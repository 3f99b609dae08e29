//! Parts that the specs of several actions share: filters, hooks, transforms, references.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Names an object in a namespace.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
}

/// Names an object.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct NameOnly {
    /// Its name.
    pub name: String,
}

/// Which resources of an application are meant.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Filters {
    /// Only these.
    pub include_resources: Option<Vec<Selection>>,
    /// Not these.
    pub exclude_resources: Option<Vec<Selection>>,
    /// These too, of what K10 would leave out.
    pub include_extra_resources: Option<Vec<Selection>>,
    /// Not these, of what K10 would add.
    pub exclude_extra_resources: Option<Vec<Selection>>,
}

/// Which cluster-scoped resources are meant.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFilters {
    /// Only these.
    pub include_cluster_resources: Option<Vec<Selection>>,
    /// Not these.
    pub exclude_cluster_resources: Option<Vec<Selection>>,
}

/// Some resources; what is left out matches everything.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hooks {
    /// Before.
    pub pre_hook: Option<Hook>,
    /// After, if it went well.
    pub on_success: Option<Hook>,
    /// After, if it did not.
    pub on_failure: Option<Hook>,
}

/// One blueprint action.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// The blueprint.
    pub blueprint: Option<String>,
    /// The action of the blueprint.
    pub action_name: Option<String>,
}

/// A change to resources on their way back.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transform {
    /// Which resources are changed.
    pub subject: Option<Selection>,
    /// For people.
    pub name: Option<String>,
    /// The changes, in order.
    pub json: Option<Vec<JsonOperation>>,
    /// Changes kept elsewhere.
    pub transform_set_ref: Option<Reference>,
}

/// One step of a change, close to RFC 6902.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct JsonOperation {
    /// What is done.
    pub op: Operation,
    /// Where it is taken from, for copy and move.
    pub from: Option<String>,
    /// Where it is done.
    pub path: Option<String>,
    /// What a value must match, or what of it is replaced.
    pub regex: Option<String>,
    /// The new value.
    pub value: Option<Value>,
}

/// What a step does.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Requires a value.
    Test,
    /// Puts a value.
    Add,
    /// Takes a value away.
    Remove,
    /// Puts a value that stands elsewhere.
    Copy,
    /// Takes a value away and puts it elsewhere.
    Move,
    /// Puts another value.
    Replace,
}
