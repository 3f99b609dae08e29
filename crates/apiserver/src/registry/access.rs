//! Further checks of a write: access to the objects that it refers to, and an active namespace.

use std::sync::Arc;

use apimachinery::ApiError;
use event::StatusCause;

use super::ResourceRequest;
use crate::handler::status_errors;
use crate::namespaces::NamespaceState;
use crate::{Attributes, Decision};

impl ResourceRequest<'_> {
    /// Checks that the user is authorized for all of `required` too.
    pub(super) async fn authorize_all(&self, required: &[Attributes]) -> Result<(), ApiError> {
        for attributes in required {
            let mut attributes = attributes.clone();
            attributes.user = Arc::clone(&self.request.user);
            let decision = self.shared.authorizer.authorize(&attributes).await;
            let reason = match decision {
                Ok(Decision::Allow(_)) => continue,
                Ok(Decision::Deny(reason) | Decision::NoOpinion(reason)) => reason,
                Err(error) => return Err(ApiError::internal(&error.to_string())),
            };
            return Err(status_errors::denied(&attributes, &reason));
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
