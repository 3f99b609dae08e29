//! Removes the server's finalizer from `AuditConfigs` when the server is uninstalled, or no longer
//! uses a namespace.
//!
//! Delivers nothing. An `AuditConfig` that keeps the finalizer can never be deleted, and neither
//! can its namespace.

use kasten::config::audit_config::Validation;
use kasten::kinds::AUDIT_CONFIG;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::json;

use crate::object_cache::kind_of;
use crate::objects::{AuditConfigView, NamespacedName};
use crate::status_writer::{StatusWriter, with_timeout};

/// The status of an `AuditConfig` after the uninstallation.
const MESSAGE: &str = "Keepwatch was uninstalled: nothing is delivered";

/// Removes the finalizer from every `AuditConfig` in these namespaces (with an empty list: in all),
/// and writes the status. Returns the number of objects that had it. After an error it continues
/// with the other objects, and returns the last error at the end.
pub async fn release_configs(client: &kube::Client, namespaces: &[String]) -> kube::Result<usize> {
    let writer = StatusWriter::new(client.clone());
    let (mut released, mut failed) = (0, None);
    let all = [String::new()];
    for namespace in if namespaces.is_empty() { &all[..] } else { namespaces } {
        let configs = configs(client, namespace).await.unwrap_or_else(|error| {
            tracing::error!(namespace, %error, "cannot list its AuditConfigs");
            failed = Some(error);
            Vec::new()
        });
        for config in configs.iter().filter(|config| config.has_finalizer()) {
            match release(&writer, config, MESSAGE).await {
                Ok(()) => released += 1,
                Err(error) => {
                    tracing::error!(config = %config.key, %error, "cannot remove the finalizer");
                    failed = Some(error);
                }
            }
        }
    }
    failed.map_or(Ok(released), Err)
}

/// Why an `AuditConfig` could not be released.
pub(crate) enum ReleaseError {
    /// Permissions are missing.
    Refused(kube::Error),
    /// Another attempt may succeed.
    Failed(kube::Error),
}

/// Releases one `AuditConfig` and writes `reason` into its status. Returns false if there was
/// nothing to do: it does not exist, or has no finalizer. Only the permission to list is needed,
/// because servers have no other.
pub(crate) async fn release_one(
    writer: &StatusWriter,
    key: &NamespacedName,
    uid: &str,
    reason: &str,
) -> Result<bool, ReleaseError> {
    let released = async {
        let configs = with_timeout(configs(writer.client(), &key.namespace)).await?;
        let is_same = |config: &&AuditConfigView| config.key == *key && config.uid == uid;
        let Some(config) = configs.iter().find(is_same).filter(|config| config.has_finalizer())
        else {
            return Ok(false);
        };
        release(writer, config, reason).await.map(|()| true)
    };
    released.await.map_err(|error| match error {
        kube::Error::Api(ref status) if [401, 403].contains(&status.code) => {
            ReleaseError::Refused(error)
        }
        error => ReleaseError::Failed(error),
    })
}

async fn release(
    writer: &StatusWriter,
    config: &AuditConfigView,
    reason: &str,
) -> kube::Result<()> {
    let status = json!({"validation": Validation::Failed.as_str(), "error": [reason]});
    // A failure is only logged, because the finalizer is more important.
    if let Err(error) = writer.status(AUDIT_CONFIG, &config.key, status).await {
        tracing::warn!(config = %config.key, %error, "cannot write the status");
    }
    match writer.finalizer(config, false).await {
        Ok(_) => tracing::info!(config = %config.key, "removed the finalizer"),
        // The object was deleted in the meantime.
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The `AuditConfigs` of a namespace; the empty one means all.
async fn configs(client: &kube::Client, namespace: &str) -> kube::Result<Vec<AuditConfigView>> {
    let kind = kind_of(AUDIT_CONFIG);
    let api: Api<DynamicObject> = match namespace {
        "" => Api::all_with(client.clone(), &kind),
        namespace => Api::namespaced_with(client.clone(), namespace, &kind),
    };
    match api.list(&ListParams::default()).await {
        Ok(list) => Ok(list.items.iter().map(AuditConfigView::from_object).collect()),
        // Without the definition there are no objects.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
