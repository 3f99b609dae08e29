//! Further checks of a write: access to the objects that it refers to, and an active namespace.

use std::sync::Arc;

use event::StatusCause;

use super::ResourceRequest;
use crate::namespaces::NamespaceState;
use crate::{ApiError, Attributes, Decision};

impl ResourceRequest<'_> {
    /// Checks that the user is authorized for all of `wanted` too.
    pub(super) async fn require(&self, wanted: &[Attributes]) -> Result<(), ApiError> {
        for attributes in wanted {
            let mut attributes = attributes.clone();
            attributes.user = Arc::clone(&self.request.user);
            let decision = self.shared.authorizer.authorize(&attributes).await;
            let reason = match decision {
                Ok(Decision::Allow(_)) => continue,
                Ok(Decision::Deny(reason) | Decision::NoOpinion(reason)) => reason,
                Err(error) => return Err(ApiError::internal(&error.to_string())),
            };
            return Err(refusal(&attributes, &reason));
        }
        Ok(())
    }

    /// Checks that the namespace of a create exists and is not terminating.
    pub(super) async fn require_namespace(&self, name: &str) -> Result<(), ApiError> {
        let namespace = self.namespace();
        if !self.kind.is_namespaced() {
            return Ok(());
        }
        match self.shared.namespaces.state(namespace).await? {
            NamespaceState::Active => Ok(()),
            NamespaceState::Missing => Err(ApiError::not_found("", "namespaces", namespace)),
            NamespaceState::Terminating => {
                let why = format!("namespace {namespace} is being terminated");
                let detail = format!(
                    "unable to create new content in namespace {namespace} because it is being terminated"
                );
                let mut error = self.kind.forbidden(name, &detail);
                if let Some(details) = &mut error.status.details {
                    details.causes.push(StatusCause {
                        reason: "NamespaceTerminating".to_owned(),
                        message: why,
                        field: "metadata.namespace".to_owned(),
                    });
                }
                Err(error)
            }
        }
    }
}

fn refusal(attributes: &Attributes, reason: &str) -> ApiError {
    let Attributes { user, verb, group, resource, namespace, name, .. } = attributes;
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    let mut detail = format!(
        "User {:?} cannot {verb} resource {resource:?} in API group {group:?} {place}",
        user.username
    );
    if !reason.is_empty() {
        detail.push_str(": ");
        detail.push_str(reason);
    }
    ApiError::forbidden(group, resource, name, &detail)
}
