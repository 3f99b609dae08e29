//! Removes what the server leaves in a cluster when it is uninstalled: its finalizer on `AuditConfigs`.
//!
//! Delivers nothing. An `AuditConfig` that keeps the finalizer can never be deleted, and neither can its
//! namespace.

use kasten::config::audit_config::Validation;
use kasten::kinds::AUDIT_CONFIG;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::json;

use crate::object_cache::kind_of;
use crate::objects::AuditConfigView;
use crate::status_writer::StatusWriter;

/// The status of an `AuditConfig` after that.
const MESSAGE: &str = "Keepwatch was uninstalled: nothing is delivered";

/// Removes the finalizer from every `AuditConfig` in these namespaces, or in all if there are none, and
/// writes the status. Returns how many had it.
pub async fn release_configs(client: &kube::Client, namespaces: &[String]) -> kube::Result<usize> {
    let writer = StatusWriter::new(client.clone());
    let mut released = 0;
    for config in configs(client, namespaces).await? {
        if !config.has_finalizer() {
            continue;
        }
        let status = json!({"validation": Validation::Failed.as_str(), "error": [MESSAGE]});
        // A failure is only logged: the finalizer matters.
        if let Err(error) = writer.status(AUDIT_CONFIG, &config.key, status).await {
            tracing::warn!(config = %config.key, %error, "cannot write the status");
        }
        match writer.finalizer(&config, false).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(error),
        }
        tracing::info!(config = %config.key, "removed the finalizer");
        released += 1;
    }
    Ok(released)
}

async fn configs(
    client: &kube::Client,
    namespaces: &[String],
) -> kube::Result<Vec<AuditConfigView>> {
    let kind = kind_of(AUDIT_CONFIG);
    let apis: Vec<Api<DynamicObject>> = match namespaces {
        [] => vec![Api::all_with(client.clone(), &kind)],
        some => some
            .iter()
            .map(|namespace| Api::namespaced_with(client.clone(), namespace, &kind))
            .collect(),
    };
    let mut configs = Vec::new();
    for api in apis {
        match api.list(&ListParams::default()).await {
            Ok(list) => configs.extend(list.items.iter().map(AuditConfigView::from_object)),
            // Without the definition there are no objects.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(configs)
}
