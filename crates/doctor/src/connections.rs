//! The Keepwatch servers in the cluster, and their sources of events.

use std::collections::BTreeSet;

use detect::coverage::ADMISSION_GROUPS;
use serde::Serialize;

use crate::facts::{Deployment, EventSource, Facts};
use crate::tools::is_of_k10;

/// The name of Keepwatch's webhook in its configuration.
const ADMISSION_WEBHOOK: &str = "admission.keepwatch.io";

/// A server of Keepwatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Installation {
    /// Its namespace.
    pub namespace: String,
    /// Name of the Helm release; empty if it has none.
    pub release: String,
    /// Its image.
    pub image: String,
    /// Name of its own cluster; empty if it has none.
    pub cluster_name: String,
}

/// The servers, and the sources that are connected to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) installations: Vec<Installation>,
    /// Descriptions of connected sources, one list for each kind.
    pub(crate) audit_webhook: Vec<String>,
    pub(crate) audit_log: Vec<String>,
    pub(crate) bucket: Vec<String>,
    pub(crate) admission_webhook: Vec<String>,
    /// APIServices of K10's groups that Keepwatch serves or proxies.
    pub(crate) aggregated: Vec<String>,
    /// Sources of other clusters.
    pub(crate) of_other_clusters: Vec<String>,
    /// API groups of backup tools whose objects the admission webhook should review, but does not.
    pub(crate) missing_groups: Vec<String>,
}

/// The connections that the facts show.
pub(crate) fn of(facts: &Facts) -> Connections {
    let servers = facts.deployments.items.iter().filter(|deployment| deployment.is_keepwatch);
    let installations: Vec<Installation> = servers.map(installation).collect();
    let names = installations.iter().map(|server| server.cluster_name.as_str());
    let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
    let mut connections =
        Connections { installations: installations.clone(), ..Connections::default() };
    for source in &facts.event_sources.items {
        let is_own = names.is_empty() || names.contains(source.cluster.as_str());
        let list = match source.kind.as_str() {
            _ if !is_own => &mut connections.of_other_clusters,
            "AuditWebhook" => &mut connections.audit_webhook,
            "AuditLog" => &mut connections.audit_log,
            "Bucket" => &mut connections.bucket,
            "AdmissionWebhook" => &mut connections.admission_webhook,
            _ => continue,
        };
        list.push(described(source));
    }
    if facts.event_sources.items.is_empty() {
        by_flags(facts, &names, &mut connections);
    }
    connections.missing_groups = missing_groups(facts);
    // The table would be wrong with a webhook that does not review the objects of each tool.
    if connections.missing_groups.is_empty() {
        connections.admission_webhook.extend(configurations(facts));
    }
    let services = facts
        .api_services
        .items
        .iter()
        .filter(|service| is_of_k10(service) && (service.is_keepwatch || service.is_proxied));
    connections.aggregated = services.map(|service| service.name.clone()).collect();
    connections
}

/// The sources that the flags of the server name, if it shows none itself: its API may not be
/// registered.
fn by_flags(facts: &Facts, names: &BTreeSet<&str>, connections: &mut Connections) {
    let servers = facts.deployments.items.iter().filter(|deployment| deployment.is_keepwatch);
    for flag in servers.flat_map(|deployment| &deployment.flags) {
        let Some((name, clusters)) = flag.split_once('=') else { continue };
        let is_own = names.is_empty() || clusters.split(',').any(|name| names.contains(name));
        let list = match name {
            "--cluster-name" => continue,
            _ if !is_own => &mut connections.of_other_clusters,
            "--audit-webhook-clusters" => &mut connections.audit_webhook,
            "--audit-log-source" => &mut connections.audit_log,
            "--bucket-source" => &mut connections.bucket,
            // The webhook configuration shows whether kube-apiserver sends reviews.
            _ => continue,
        };
        list.push(format!("flag {flag}"));
    }
}

/// The groups that the cluster has, and that each configuration of the admission webhook leaves out.
fn missing_groups(facts: &Facts) -> Vec<String> {
    let webhooks = facts.webhooks.items.iter().filter(|webhook| webhook.name == ADMISSION_WEBHOOK);
    let groups: Vec<&str> =
        webhooks.flat_map(|webhook| &webhook.groups).map(String::as_str).collect();
    if groups.is_empty() || groups.contains(&"*") {
        return Vec::new();
    }
    let has = |group: &&str| facts.groups.items.iter().any(|name| name == group);
    let expected = ADMISSION_GROUPS.into_iter().filter(has);
    expected.filter(|group| !groups.contains(group)).map(str::to_owned).collect()
}

/// The configurations of the admission webhook, with what weakens them.
fn configurations(facts: &Facts) -> Vec<String> {
    let webhooks = facts.webhooks.items.iter().filter(|webhook| webhook.name == ADMISSION_WEBHOOK);
    let described = webhooks.map(|webhook| {
        let mut text = format!(
            "ValidatingWebhookConfiguration {} (failurePolicy {})",
            webhook.configuration, webhook.failure_policy
        );
        if webhook.has_selector {
            text.push_str(", with a selector: a label hides objects");
        }
        text
    });
    described.collect()
}

fn installation(deployment: &Deployment) -> Installation {
    let name = deployment.flags.iter().find_map(|flag| flag.strip_prefix("--cluster-name="));
    Installation {
        namespace: deployment.namespace.clone(),
        release: deployment.release.clone(),
        image: deployment.images.first().cloned().unwrap_or_default(),
        cluster_name: name.unwrap_or_default().to_owned(),
    }
}

fn described(source: &EventSource) -> String {
    let state = match (source.error.as_str(), source.last_event.as_str()) {
        ("", "") => "no event yet".to_owned(),
        ("", time) => format!("newest event {time}"),
        (error, _) => format!("error: {error}"),
    };
    format!("EventSource {} ({state})", source.name)
}
