//! `keepwatch proxy install` and `uninstall`: print or change the objects that route requests
//! through the proxy.
//!
//! The order matters: the account gets the permission to impersonate users before it receives
//! requests, and access to the API server is restricted only after the requests are routed through
//! the proxy.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use apiserver::kube::client::connect;
use kube::Client;
use proxy::registration::{
    NAME, ORIGINAL_SPEC, ProxyService, network_policy, open_policies, peer_of, permissions,
    redirected, restored,
};
use serde_json::{Value, json};

use super::cluster::{
    API_SERVICE, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, NETWORK_POLICY, Objects, SERVICE,
};
use crate::app;
use crate::args::proxy::{InstallArgs, RegistrationArgs};
use crate::terminal::eprint_line;

/// The objects that an installation changes.
struct Plan {
    permissions: [Value; 2],
    /// The APIServices before and after the change.
    api_services: Vec<(Value, Value)>,
    /// Policies with their namespaces.
    policies: Vec<(String, Value)>,
}

/// Runs `keepwatch proxy install`.
pub(super) fn install(args: &InstallArgs) -> Result<ExitCode> {
    app::runtime()?.block_on(async {
        let client = connect(args.registration.kubeconfig.as_deref()).await?;
        let plan = plan(&client, args).await?;
        if !args.registration.apply {
            let redirected = plan.api_services.into_iter().map(|(_, redirected)| redirected);
            let policies = plan.policies.into_iter().map(|(_, policy)| policy);
            let objects: Vec<Value> =
                plan.permissions.into_iter().chain(redirected).chain(policies).collect();
            return print(&objects);
        }
        carry_out(&client, plan).await
    })
}

/// Runs `keepwatch proxy uninstall`.
pub(super) fn uninstall(args: &RegistrationArgs) -> Result<ExitCode> {
    app::runtime()?.block_on(async {
        let client = connect(args.kubeconfig.as_deref()).await?;
        let api_services = Objects::new(&client, API_SERVICE, None);
        let (mut changes, mut namespaces) = (Vec::new(), BTreeSet::new());
        for name in &args.api_services {
            let api_service = api_services.get(name).await?;
            namespaces.insert(peer_of(&api_service)?.namespace);
            changes.push((restored(&api_service)?, api_service));
        }
        if !args.apply {
            let objects: Vec<Value> = changes.into_iter().map(|(restored, _)| restored).collect();
            return print(&objects);
        }
        for namespace in &namespaces {
            Objects::new(&client, NETWORK_POLICY, Some(namespace)).delete_installed(NAME).await?;
        }
        for (restored, before) in changes {
            api_services.replace(&before, restored).await?;
        }
        remove_permissions(&client, &api_services).await?;
        eprint_line("the APIServices refer to the API server itself again");
        Ok(ExitCode::SUCCESS)
    })
}

async fn plan(client: &Client, args: &InstallArgs) -> Result<Plan> {
    let proxy = proxy_service(args)?;
    let objects = Objects::new(client, API_SERVICE, None);
    let (mut api_services, mut peers) = (Vec::new(), Vec::new());
    for name in &args.registration.api_services {
        let api_service = objects.get(name).await?;
        let peer = peer_of(&api_service)?;
        if !peers.contains(&peer) {
            peers.push(peer);
        }
        api_services.push((api_service.clone(), redirected(&api_service, &proxy)?));
    }
    let mut policies = Vec::new();
    for peer in peers.into_iter().filter(|_| !args.no_network_policy) {
        let namespace = Some(peer.namespace.as_str());
        let service = Objects::new(client, SERVICE, namespace).get(&peer.name).await?;
        let Some(policy) = network_policy(&service, &proxy) else {
            eprint_line(&format!(
                "Service {}/{} selects no pods: who may connect to it cannot be restricted",
                peer.namespace, peer.name
            ));
            continue;
        };
        let existing = Objects::new(client, NETWORK_POLICY, namespace).list().await?;
        for name in open_policies(&service, &existing) {
            eprint_line(&format!(
                "NetworkPolicy {}/{name} lets every pod connect to {}: remove that rule, because \
                 policies add up and the proxy can be bypassed",
                peer.namespace, peer.name
            ));
        }
        policies.push((peer.namespace, policy));
    }
    Ok(Plan { permissions: permissions(&proxy), api_services, policies })
}

fn proxy_service(args: &InstallArgs) -> Result<ProxyService> {
    let ca = match &args.ca_file {
        Some(file) => {
            let read = std::fs::read_to_string(file);
            Some(read.with_context(|| format!("cannot read {}", file.display()))?)
        }
        None => None,
    };
    Ok(ProxyService {
        namespace: args.service.namespace.clone(),
        name: args.service.name.clone(),
        port: args.service_port,
        ca,
        account: args.service_account.clone(),
    })
}

async fn carry_out(client: &Client, plan: Plan) -> Result<ExitCode> {
    let [role, binding] = &plan.permissions;
    Objects::new(client, CLUSTER_ROLE, None).apply(role).await?;
    Objects::new(client, CLUSTER_ROLE_BINDING, None).apply(binding).await?;
    let api_services = Objects::new(client, API_SERVICE, None);
    for (before, redirected) in plan.api_services {
        api_services.replace(&before, redirected).await?;
    }
    for (namespace, policy) in plan.policies {
        Objects::new(client, NETWORK_POLICY, Some(&namespace)).apply(&policy).await?;
    }
    eprint_line("the APIServices name the proxy");
    Ok(ExitCode::SUCCESS)
}

/// Removes the permission to impersonate, unless another APIService still refers to the proxy.
async fn remove_permissions(client: &Client, api_services: &Objects) -> Result<()> {
    let is_redirected = |object: &Value| {
        let annotations = object.pointer("/metadata/annotations");
        annotations.is_some_and(|annotations| annotations.get(ORIGINAL_SPEC).is_some())
    };
    if api_services.list().await?.iter().any(is_redirected) {
        return Ok(());
    }
    Objects::new(client, CLUSTER_ROLE_BINDING, None).delete_installed(NAME).await?;
    Objects::new(client, CLUSTER_ROLE, None).delete_installed(NAME).await
}

/// Prints objects as a list that kubectl accepts.
fn print(items: &[Value]) -> Result<ExitCode> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&list)?)?;
    Ok(ExitCode::SUCCESS)
}
