//! What was read of a cluster, reduced to what findings need.
//!
//! It can be written as JSON and read again: tests are recorded facts. It contains no secret: no
//! path of a webhook, no environment of a container, and of flags only those that name files and
//! clusters.

use serde::{Deserialize, Serialize};

/// What was read of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Facts {
    /// Version of kube-apiserver, such as `v1.33.4-eks-1-33`.
    pub version: String,
    /// Name of the cluster in the kubeconfig.
    pub context_cluster: String,
    /// API groups that kube-apiserver offers.
    pub groups: Reading<String>,
    /// The nodes.
    pub nodes: Reading<Node>,
    /// Names of the `CustomResourceDefinitions`, such as `backups.velero.io`.
    pub definitions: Reading<String>,
    /// The APIServices with a Service.
    pub api_services: Reading<ApiService>,
    /// Names of the namespaces.
    pub namespaces: Reading<String>,
    /// The Deployments.
    pub deployments: Reading<Deployment>,
    /// The pods of kube-apiserver in `kube-system`.
    pub api_servers: Reading<ApiServer>,
    /// The validating webhooks.
    pub webhooks: Reading<Webhook>,
    /// The `EventSources` that a Keepwatch shows.
    pub event_sources: Reading<EventSource>,
    /// The configuration of OpenShift; at most one.
    pub openshift: Reading<OpenShift>,
}

/// What was read of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Reading<T: Default> {
    /// The items.
    pub items: Vec<T>,
    /// Why items may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
}

impl<T: Default> Reading<T> {
    /// All items of a kind.
    pub fn all(items: Vec<T>) -> Self {
        Self { items, obstacle: None }
    }

    /// No items, and why.
    pub fn without(obstacle: Obstacle) -> Self {
        Self { items: Vec::new(), obstacle: Some(obstacle) }
    }

    /// Whether an item that is not listed does not exist.
    pub fn is_complete(&self) -> bool {
        matches!(self.obstacle, None | Some(Obstacle::NotServed))
    }
}

/// Why items of a kind may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Obstacle {
    /// The user may not read them (401, 403).
    NotAllowed,
    /// The cluster does not have the kind (404).
    NotServed,
    /// kube-apiserver did not answer in time.
    TimedOut,
    /// There are more than are read.
    TooMany,
    /// Another error.
    Failed,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Node {
    /// The labels that tell the platform, without values.
    pub labels: Vec<String>,
    /// Name of the cluster in a label of eksctl.
    pub cluster_name: String,
    /// Scheme of the provider ID, such as `aws`.
    pub provider: String,
    /// `k3s` or `rke2` if the node has the annotation of one.
    pub distribution: String,
    /// Whether the arguments in that annotation are those of a server.
    pub is_server: bool,
    /// Flags of kube-apiserver about audit in the arguments of k3s or RKE2.
    pub audit_flags: Vec<String>,
}

/// An `APIService` with a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ApiService {
    /// Its name, such as `v1alpha1.apps.kio.kasten.io`.
    pub name: String,
    /// Its API group.
    pub group: String,
    /// Namespace of the Service.
    pub service_namespace: String,
    /// Name of the Service.
    pub service_name: String,
    /// Port of the Service; 0 is 443.
    pub service_port: u16,
    /// Whether it has the CA of the Service's certificate. Without it, kube-apiserver does not verify
    /// the certificate.
    pub has_ca: bool,
    /// Whether the chart of Keepwatch created it.
    pub is_keepwatch: bool,
    /// Whether `keepwatch proxy install` changed it.
    pub is_proxied: bool,
}

/// A Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Deployment {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Images of its containers.
    pub images: Vec<String>,
    /// Whether it is Keepwatch's server.
    pub is_keepwatch: bool,
    /// Name of the Helm release, of Keepwatch only.
    pub release: String,
    /// Some flags, of Keepwatch only.
    pub flags: Vec<String>,
}

/// A pod of kube-apiserver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ApiServer {
    /// Its name.
    pub name: String,
    /// Whether kubeadm created it.
    pub is_kubeadm: bool,
    /// Its flags about audit.
    pub audit_flags: Vec<String>,
    /// Path of its audit log on the node; empty without a log or without a volume of the node.
    pub log_path: String,
}

/// A validating webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Webhook {
    /// Name of its configuration.
    pub configuration: String,
    /// Its name.
    pub name: String,
    /// API groups of its rules.
    pub groups: Vec<String>,
    /// `Ignore` or `Fail`.
    pub failure_policy: String,
    /// Whether a label of an object or a namespace decides whether it is called.
    pub has_selector: bool,
}

/// An `EventSource`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EventSource {
    /// Its name.
    pub name: String,
    /// Its kind: `AuditWebhook`, `AuditLog`, `Bucket` or `AdmissionWebhook`.
    pub kind: String,
    /// The cluster in which its events were generated.
    pub cluster: String,
    /// Time of its newest event; empty without one.
    pub last_event: String,
    /// Why events are not recorded now; empty if they are.
    pub error: String,
}

/// The configuration of OpenShift.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OpenShift {
    /// `spec.audit.profile` of the `APIServer` `cluster`; empty is `Default`.
    pub audit_profile: String,
    /// `status.controlPlaneTopology` of the Infrastructure `cluster`; empty if not readable.
    /// `External` is a control plane outside the cluster.
    pub topology: String,
}
