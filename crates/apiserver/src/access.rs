//! May this user do this? The question and the one who answers it.
//!
//! The answers come from files beside this one: SubjectAccessReview in a cluster, RBAC manifests
//! standalone.

use std::sync::Arc;

use async_trait::async_trait;
use event::UserInfo;

/// What somebody wants to do. The fields of `authorization.k8s.io/v1` `SubjectAccessReviewSpec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// Who asks.
    pub user: Arc<UserInfo>,
    /// Kubernetes verb, or HTTP method in lower case for a path.
    pub verb: String,
    /// API group; empty for the core group and for paths.
    pub group: String,
    /// API version without the group.
    pub version: String,
    /// Plural name; empty for a path.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// Empty for cluster scope and all namespaces.
    pub namespace: String,
    /// Empty for lists and creates.
    pub name: String,
    /// The URL path; decides when `resource` is empty.
    pub path: String,
    /// Requirements of a label selector, as the client sent it; empty when there is none.
    pub label_selector: String,
    /// Requirements of a field selector, as the client sent it; empty when there is none.
    pub field_selector: String,
}

impl Attributes {
    /// Whether this is about a resource and not about a path.
    pub fn is_resource_request(&self) -> bool {
        !self.resource.is_empty()
    }
}

/// The answer of one authorizer; in a union the first one with an opinion decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes, and why.
    Allow(String),
    /// No, whatever others say, and why.
    Deny(String),
    /// Somebody else may know; nobody knowing means no. With the reason, if any.
    NoOpinion(String),
}

/// The question could not be answered: the request is refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot decide on access: {0}")]
pub struct AuthorizerError(pub String);

/// Somebody who knows what users may do.
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// Decides. An error means that nothing is known; callers fail closed.
    async fn authorize(&self, attributes: &Attributes) -> Result<Decision, AuthorizerError>;
}
