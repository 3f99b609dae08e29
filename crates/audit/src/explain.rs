//! Evaluates a policy for described requests, one JSON object per line, without a server.
//!
//! The caller reads and prints the lines.

use serde::{Deserialize, Serialize};

use crate::{Attributes, Policy, User};

/// The description of a request. Without `user`, authentication failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of `Attributes`, described there")]
pub struct Request {
    pub user: Option<String>,
    pub groups: Vec<String>,
    pub verb: String,
    pub resource_request: bool,
    pub namespace: String,
    pub api_group: String,
    pub api_version: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    pub path: String,
}

/// The decision of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Name of the audit level.
    pub level: String,
    /// Index of the first matching rule, from 0; `None` if no rule matches.
    pub rule: Option<usize>,
    /// Names of the omitted stages, in the order in which a request reaches them.
    pub omit_stages: Vec<String>,
    /// Whether `metadata.managedFields` is removed from bodies.
    pub omit_managed_fields: bool,
}

/// Why a line is not a request.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The line is valid JSON but not an object.
    #[error("not a request: a JSON object such as {EXAMPLE} is expected, not {actual}")]
    NotAnObject {
        /// The type of the JSON value, with its article.
        actual: &'static str,
    },
    /// The line is not valid JSON, or a field is unknown or has the wrong type.
    #[error("not a request: a JSON object such as {EXAMPLE} is expected")]
    Unreadable(#[source] serde_json::Error),
}

/// An example of a request, for error messages.
const EXAMPLE: &str =
    r#"{"user":"alice","verb":"get","resourceRequest":true,"resource":"restorepoints"}"#;

impl Request {
    /// The attributes that the policy evaluates.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes {
            user: self.user.as_ref().map(|name| User { name, groups: &self.groups }),
            verb: &self.verb,
            is_resource_request: self.resource_request,
            namespace: &self.namespace,
            api_group: &self.api_group,
            api_version: &self.api_version,
            resource: &self.resource,
            subresource: &self.subresource,
            name: &self.name,
            path: &self.path,
        }
    }
}

/// Evaluates the policy for one described request.
pub fn request(policy: &Policy, request: &Request) -> Explanation {
    let decision = policy.decide(&request.attributes());
    Explanation {
        level: decision.level.to_string(),
        rule: decision.rule,
        omit_stages: decision.omit_stages.iter().map(|stage| stage.to_string()).collect(),
        omit_managed_fields: decision.omit_managed_fields,
    }
}

/// Evaluates the policy for one line of JSON and returns one line of JSON, without a newline.
pub fn line(policy: &Policy, line: &str) -> Result<String, ExplainError> {
    // serde would accept a list as an object whose fields are in order.
    if let Some(actual) = other_than_object(line) {
        return Err(ExplainError::NotAnObject { actual });
    }
    let described: Request = serde_json::from_str(line).map_err(ExplainError::Unreadable)?;
    serde_json::to_string(&request(policy, &described)).map_err(ExplainError::Unreadable)
}

/// The type of a line that is valid JSON but not an object.
fn other_than_object(line: &str) -> Option<&'static str> {
    Some(match serde_json::from_str(line).ok()? {
        serde_json::Value::Object(_) => return None,
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::String(_) => "a string",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::Bool(_) => "a boolean",
        serde_json::Value::Null => "null",
    })
}
