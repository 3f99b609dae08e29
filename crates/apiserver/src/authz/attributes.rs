//! The authorizer interface: attributes of a request in, decision out.
//!
//! The implementations are in sibling modules: SubjectAccessReview in a cluster, RBAC manifests
//! standalone.

use std::sync::Arc;

use async_trait::async_trait;
use event::UserInfo;

/// Attributes of a request to authorize. The fields are those of `authorization.k8s.io/v1`
/// `SubjectAccessReviewSpec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// The user who makes the request.
    pub user: Arc<UserInfo>,
    /// Kubernetes verb; for a non-resource request the HTTP method in lower case.
    pub verb: String,
    /// API group; empty for the core group and for non-resource requests.
    pub group: String,
    /// API version without the group.
    pub version: String,
    /// Plural name of the resource; empty for non-resource requests.
    pub resource: String,
    /// Subresource, for example `status`; empty for the object itself.
    pub subresource: String,
    /// Namespace; empty for cluster-scoped resources and for all namespaces.
    pub namespace: String,
    /// Object name; empty for list and create.
    pub name: String,
    /// URL path. Only non-resource requests are authorized by path.
    pub path: String,
    /// Label selector as the client sent it; empty if there is none.
    pub label_selector: String,
    /// Field selector as the client sent it; empty if there is none.
    pub field_selector: String,
}

impl Attributes {
    /// Whether these attributes describe a resource request.
    pub fn is_resource_request(&self) -> bool {
        !self.resource.is_empty()
    }

    /// The same attributes for the audit policy.
    pub(crate) fn as_audited(&self) -> audit::Attributes<'_> {
        audit::Attributes {
            user: Some(audit::User { name: &self.user.username, groups: &self.user.groups }),
            verb: &self.verb,
            is_resource_request: self.is_resource_request(),
            namespace: &self.namespace,
            api_group: &self.group,
            api_version: &self.version,
            resource: &self.resource,
            subresource: &self.subresource,
            name: &self.name,
            path: &self.path,
        }
    }
}

/// Decision of one authorizer. In a union, the first decision other than `NoOpinion` wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request is allowed. With the reason.
    Allow(String),
    /// The request is denied, and later authorizers are not called. With the reason.
    Deny(String),
    /// This authorizer does not decide. The request is denied if all authorizers have no opinion.
    /// With the reason, which may be empty.
    NoOpinion(String),
}

/// The authorizer could not decide. The request is rejected.
#[derive(Debug, thiserror::Error)]
#[error("cannot decide on access: {0}")]
pub struct AuthorizerError(pub String);

/// Decides whether a user may make a request.
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// Authorizes a request. On an error, callers must reject the request.
    async fn authorize(&self, attributes: &Attributes) -> Result<Decision, AuthorizerError>;
}
