//! What a policy says about requests that are described in a file, one JSON object a line.
//!
//! The answer needs no server; reading and printing lines is the caller's business.

use serde::{Deserialize, Serialize};

use crate::{Attributes, Policy, User};

/// A request, described. Without `user`, authentication failed.
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

/// What the policy decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Name of the level.
    pub level: String,
    /// Index of the rule that decided.
    pub rule: Option<usize>,
    /// In the order of a request's life.
    pub omit_stages: Vec<String>,
    /// Whether `metadata.managedFields` is left out of bodies.
    pub omit_managed_fields: bool,
}

/// Why a line is not a request.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// It is some other JSON, such as a list.
    #[error("not a request: a JSON object such as {EXAMPLE} is wanted, not {found}")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// It is no JSON, or a field is wrong.
    #[error("not a request: a JSON object such as {EXAMPLE} is wanted")]
    Unreadable(#[source] serde_json::Error),
}

/// What a request looks like, for whoever wrote something else.
const EXAMPLE: &str =
    r#"{"user":"alice","verb":"get","resourceRequest":true,"resource":"restorepoints"}"#;

impl Request {
    /// What a policy is told about the request.
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

/// The answer to one described request.
pub fn request(policy: &Policy, request: &Request) -> Explanation {
    let decision = policy.decide(&request.attributes());
    Explanation {
        level: decision.level.to_string(),
        rule: decision.rule,
        omit_stages: decision.omit_stages.iter().map(|stage| stage.to_string()).collect(),
        omit_managed_fields: decision.omit_managed_fields,
    }
}

/// The answer to one line, without newline.
pub fn line(policy: &Policy, line: &str) -> Result<String, ExplainError> {
    // serde would take a list for an object whose fields come in order.
    if let Some(found) = other_than_object(line) {
        return Err(ExplainError::NotAnObject { found });
    }
    let described: Request = serde_json::from_str(line).map_err(ExplainError::Unreadable)?;
    serde_json::to_string(&request(policy, &described)).map_err(ExplainError::Unreadable)
}

/// What a line is, if it is JSON but no object.
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
