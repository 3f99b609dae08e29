//! What is left in a cluster when the server is gone for good: its finalizer on `AuditConfigs`.
//!
//! Nothing is delivered here. An `AuditConfig` that keeps its finalizer can never be deleted, and
//! neither can its namespace.

use kasten::config::audit_config::Validation;
use kasten::domain::AUDIT_CONFIG;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::json;

use crate::mirror::kind_of;
use crate::pen::Pen;
use crate::seen::Config;

/// What the status says then.
const MESSAGE: &str = "Keepwatch was uninstalled: nothing is delivered";

/// Takes the finalizer off every `AuditConfig` in these namespaces, or in all for none, and says so in
/// its status; how many had it.
pub async fn release_configs(client: &kube::Client, namespaces: &[String]) -> kube::Result<usize> {
    let pen = Pen::new(client.clone());
    let mut released = 0;
    for config in configs(client, namespaces).await? {
        if !config.is_kept() {
            continue;
        }
        let status = json!({"validation": Validation::Failed.as_str(), "error": [MESSAGE]});
        // The finalizer is what matters.
        if let Err(error) = pen.status(AUDIT_CONFIG, &config.place, status).await {
            tracing::warn!(config = %config.place, %error, "the status could not be written");
        }
        match pen.finalizer(&config, false).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(error),
        }
        tracing::info!(config = %config.place, "the finalizer was taken off");
        released += 1;
    }
    Ok(released)
}

async fn configs(client: &kube::Client, namespaces: &[String]) -> kube::Result<Vec<Config>> {
    let kind = kind_of(AUDIT_CONFIG);
    let apis: Vec<Api<DynamicObject>> = match namespaces {
        [] => vec![Api::all_with(client.clone(), &kind)],
        some => some.iter().map(|one| Api::namespaced_with(client.clone(), one, &kind)).collect(),
    };
    let mut configs = Vec::new();
    for api in apis {
        match api.list(&ListParams::default()).await {
            Ok(list) => configs.extend(list.items.iter().map(Config::of)),
            // Without its definition there is none.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(configs)
}
