//! Which sources of events are possible in a cluster, which are connected, and which are best.
//!
//! On a control plane that is the user's own, kube-apiserver's audit log is best: it has reads,
//! refused requests, outcomes and bodies, and it waits while Keepwatch is away. Elsewhere it is the
//! provider's log, with the admission webhook for the bodies.

use detect::coverage;
use serde::Serialize;

use crate::auditing::Auditing;
use crate::connections::Connections;
use crate::facts::{ApiService, Facts};
use crate::platform::{Cluster, Platform};
use crate::tools::is_of_k10;

/// Kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    /// kube-apiserver sends its audit events.
    AuditWebhook,
    /// The files of kube-apiserver's audit log are forwarded from the nodes.
    AuditLog,
    /// Objects of a bucket, to which the provider writes its log.
    Bucket,
    /// kube-apiserver asks before it changes an object.
    AdmissionWebhook,
    /// Requests to an extension API server pass the proxy.
    Proxy,
}

impl SourceKind {
    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::AuditWebhook => "audit webhook",
            Self::AuditLog => "audit log, forwarded",
            Self::Bucket => "provider's log in a bucket",
            Self::AdmissionWebhook => "admission webhook",
            Self::Proxy => "auditing proxy",
        }
    }

    /// What it is in the table of coverage.
    fn coverage(self, platform: Platform) -> Option<coverage::Source> {
        match self {
            Self::AuditWebhook | Self::AuditLog => Some(coverage::Source::KubeApiserver),
            Self::AdmissionWebhook => Some(coverage::Source::Admission),
            Self::Proxy => Some(coverage::Source::Aggregated),
            Self::Bucket => match platform {
                Platform::Eks => Some(coverage::Source::Eks),
                Platform::Gke => Some(coverage::Source::Gke),
                Platform::Aks => Some(coverage::Source::Aks),
                _ => None,
            },
        }
    }
}

/// A source of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceFinding {
    /// Its kind.
    pub kind: SourceKind,
    /// Whether it is possible here; `None` if not known.
    pub is_possible: Option<bool>,
    /// What connects it now.
    pub connections: Vec<String>,
    /// Whether the values set it up.
    pub is_recommended: bool,
    /// Why.
    pub reason: String,
}

/// All kinds of sources.
pub(crate) fn findings(
    facts: &Facts,
    cluster: &Cluster,
    auditing: &Auditing,
    connections: &Connections,
) -> Vec<SourceFinding> {
    let has_log = has_log(cluster);
    let has_events = !connections.audit_webhook.is_empty() || !connections.audit_log.is_empty();
    let is_cloud = matches!(cluster.platform, Platform::Eks | Platform::Gke | Platform::Aks);
    let aggregated = backup_apis(facts);
    let peers: Vec<&str> = aggregated.iter().map(|service| service.name.as_str()).collect();
    vec![
        SourceFinding {
            kind: SourceKind::AuditWebhook,
            is_possible: has_flags(cluster),
            connections: connections.audit_webhook.clone(),
            is_recommended: false,
            reason: webhook_reason(cluster, auditing),
        },
        SourceFinding {
            kind: SourceKind::AuditLog,
            is_possible: has_log,
            connections: connections.audit_log.clone(),
            is_recommended: has_log == Some(true) && !has_events,
            reason: log_reason(cluster, auditing),
        },
        SourceFinding {
            kind: SourceKind::Bucket,
            is_possible: if is_cloud { Some(true) } else { cluster.is_managed.map(|_| false) },
            connections: connections.bucket.clone(),
            is_recommended: is_cloud && connections.bucket.is_empty(),
            reason: bucket_reason(cluster.platform).to_owned(),
        },
        SourceFinding {
            kind: SourceKind::AdmissionWebhook,
            is_possible: Some(true),
            connections: connections.admission_webhook.clone(),
            is_recommended: has_log != Some(true) && connections.admission_webhook.is_empty(),
            reason: admission_reason(connections),
        },
        SourceFinding {
            kind: SourceKind::Proxy,
            is_possible: facts.api_services.is_complete().then_some(!peers.is_empty()),
            connections: connections.aggregated.clone(),
            is_recommended: !peers.is_empty() && connections.aggregated.is_empty(),
            reason: if peers.is_empty() {
                "no backup tool here has an aggregated API that is not Keepwatch's".to_owned()
            } else {
                format!("in front of {}", peers.join(", "))
            },
        },
    ]
}

/// The aggregated APIs of backup tools that Keepwatch does not serve itself.
pub(crate) fn backup_apis(facts: &Facts) -> Vec<&ApiService> {
    let is_of_tool = |service: &&ApiService| {
        let is_tool = is_of_k10(service) || service.group == "repositories.stash.appscode.com";
        is_tool && !service.is_keepwatch
    };
    facts.api_services.items.iter().filter(is_of_tool).collect()
}

/// The sources in the table of coverage that are connected, and those with the recommended ones.
pub(crate) fn covered(
    sources: &[SourceFinding],
    platform: Platform,
) -> (Vec<coverage::Source>, Vec<coverage::Source>) {
    let of = |matches: &dyn Fn(&SourceFinding) -> bool| {
        let sources = sources.iter().filter(|source| matches(source));
        sources.filter_map(|source| source.kind.coverage(platform)).collect::<Vec<_>>()
    };
    let is_connected = |source: &SourceFinding| !source.connections.is_empty();
    (of(&is_connected), of(&|source: &SourceFinding| is_connected(source) || source.is_recommended))
}

/// Whether the user sets kube-apiserver's flags.
fn has_flags(cluster: &Cluster) -> Option<bool> {
    match cluster.platform {
        // Its operator owns the flags.
        Platform::OpenShift => Some(false),
        _ => cluster.is_managed.map(|is_managed| !is_managed),
    }
}

/// Whether kube-apiserver's log is on nodes of the cluster.
fn has_log(cluster: &Cluster) -> Option<bool> {
    cluster.is_managed.map(|is_managed| !is_managed)
}

fn webhook_reason(cluster: &Cluster, auditing: &Auditing) -> String {
    let reason = match (cluster.platform, cluster.is_managed, auditing.has_webhook) {
        (Platform::OpenShift, ..) => "the operator of OpenShift owns kube-apiserver's flags",
        (_, Some(true), _) => "the provider owns kube-apiserver's flags",
        (_, None, _) => "not known who owns kube-apiserver's flags",
        (_, _, Some(true)) => {
            "--audit-webhook-config-file is set; whether it names Keepwatch is in that file"
        }
        (_, _, Some(false)) => "--audit-webhook-config-file is not set",
        (_, _, None) => "kube-apiserver's flags are not visible",
    };
    reason.to_owned()
}

fn log_reason(cluster: &Cluster, auditing: &Auditing) -> String {
    match cluster.is_managed {
        Some(true) => "the nodes of the control plane are the provider's".to_owned(),
        None => "not known whether the control plane has nodes here".to_owned(),
        Some(false) if auditing.log_paths.is_empty() => {
            "kube-apiserver's --audit-log-path is not set or not visible".to_owned()
        }
        Some(false) => format!("the log is {}", auditing.log_paths.join(", ")),
    }
}

fn admission_reason(connections: &Connections) -> String {
    match connections.missing_groups.as_slice() {
        [] => "writes with bodies; no reads, refused requests, addresses or aggregated APIs"
            .to_owned(),
        groups => format!("its configuration leaves out {}", groups.join(", ")),
    }
}

fn bucket_reason(platform: Platform) -> &'static str {
    match platform {
        Platform::Eks => "by Firehose to S3: after 1 to 15 minutes, no bodies of custom resources",
        Platform::Gke => "by a log sink: after 2 to 3 hours, no bodies of custom resources",
        Platform::Aks => "by a diagnostic setting: after minutes, no bodies of custom resources",
        Platform::OpenShift => "only if a log forwarder already writes audit events to one",
        _ => "no provider writes the log of this platform",
    }
}
