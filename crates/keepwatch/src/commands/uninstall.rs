//! `keepwatch uninstall`: removes the server's finalizers from a cluster after the server was
//! removed.
//!
//! The chart's Job runs it after the release was deleted. While the server's Deployment exists it
//! does nothing, because the server would add the finalizers again.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use apiserver::kube::client::connect;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;

use crate::app;
use crate::args::UninstallArgs;
use crate::terminal::eprint_line;

/// Runs the command.
pub(crate) fn run(args: &UninstallArgs) -> Result<ExitCode> {
    crate::log::init(args.log_format, false);
    let message = app::runtime()?.block_on(clean_up(args))?;
    eprint_line(&message);
    Ok(ExitCode::SUCCESS)
}

async fn clean_up(args: &UninstallArgs) -> Result<String> {
    let client = connect(args.kubeconfig.as_deref()).await?;
    if let Some(deployment) = &args.unless_deployment {
        let (namespace, name) = (&deployment.namespace, &deployment.name);
        if exists(&client, namespace, name).await? {
            return Ok(format!(
                "nothing is done: Deployment {namespace}/{name} exists, so the server is installed"
            ));
        }
    }
    let is_all = args.audit_config_namespaces.iter().any(|namespace| namespace == "*");
    let namespaces = if is_all { &[][..] } else { &args.audit_config_namespaces };
    let released = controller::uninstall::release_configs(&client, namespaces).await;
    let released = released.context("AuditConfigs could not be released")?;
    Ok(format!("released {released} AuditConfigs: they can be deleted, and nothing is delivered"))
}

/// Whether the server's Deployment exists and is not being deleted.
async fn exists(client: &kube::Client, namespace: &str, name: &str) -> Result<bool> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let deployment = api.get_opt(name).await.context("the server's Deployment cannot be read")?;
    Ok(deployment.is_some_and(|deployment| deployment.metadata.deletion_timestamp.is_none()))
}
