//! Which platform a cluster is, and whether its control plane is managed.
//!
//! A pod of kube-apiserver in the cluster shows that the control plane is the user's own, whatever
//! the version says: EKS Anywhere and GDC have the versions of EKS and GKE.

use serde::Serialize;

use crate::facts::{Facts, Node};

/// Platforms that differ in their sources of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Platform {
    /// Amazon EKS.
    Eks,
    /// Google Kubernetes Engine.
    Gke,
    /// Azure Kubernetes Service.
    Aks,
    /// OpenShift, and OKD.
    OpenShift,
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// kubeadm, and what builds on it.
    Kubeadm,
    /// Another one, or not known.
    Other,
}

impl Platform {
    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Eks => "EKS",
            Self::Gke => "GKE",
            Self::Aks => "AKS",
            Self::OpenShift => "OpenShift",
            Self::K3s => "k3s",
            Self::Rke2 => "RKE2",
            Self::Kubeadm => "kubeadm",
            Self::Other => "unknown platform",
        }
    }

    /// The page of its guide.
    pub(crate) fn guide(self) -> &'static str {
        match self {
            Self::Eks => "docs/guides/platform-eks.md",
            Self::Gke => "docs/guides/platform-gke.md",
            Self::Aks => "docs/guides/platform-aks.md",
            Self::OpenShift => "docs/guides/platform-openshift.md",
            Self::K3s | Self::Rke2 => "docs/guides/platform-k3s-rke2.md",
            Self::Kubeadm | Self::Other => "docs/guides/platform-kubeadm.md",
        }
    }
}

/// The platform of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) platform: Platform,
    /// Whether a provider runs the control plane; `None` if not known.
    pub(crate) is_managed: Option<bool>,
    /// Why.
    pub(crate) evidence: Vec<String>,
}

/// How a managed platform is recognized: by a part of its version, or by labels of its nodes.
const CLOUDS: [(Platform, &str, &[&str]); 3] = [
    (
        Platform::Eks,
        "-eks-",
        &[
            "eks.amazonaws.com/nodegroup",
            "eks.amazonaws.com/compute-type",
            "alpha.eksctl.io/cluster-name",
        ],
    ),
    (Platform::Gke, "-gke.", &["cloud.google.com/gke-nodepool"]),
    // The version of AKS is that of Kubernetes.
    (
        Platform::Aks,
        "",
        &[
            "kubernetes.azure.com/cluster",
            "kubernetes.azure.com/mode",
            "kubernetes.azure.com/nodepool-type",
        ],
    ),
];
const CONTROL_PLANE_LABELS: [&str; 2] =
    ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// The platform.
pub(crate) fn detect(facts: &Facts) -> Cluster {
    openshift(facts)
        .or_else(|| rancher(facts))
        .or_else(|| cloud(facts))
        .unwrap_or_else(|| own(facts))
}

fn openshift(facts: &Facts) -> Option<Cluster> {
    const GROUP: &str = "config.openshift.io";
    if !facts.groups.items.iter().any(|group| group == GROUP) {
        return None;
    }
    let mut evidence = vec![format!("API group {GROUP}")];
    let topology = facts.openshift.items.first().map(|config| config.topology.as_str());
    let is_managed = match topology.unwrap_or_default() {
        "" => None,
        topology => {
            evidence.push(format!("controlPlaneTopology {topology}"));
            Some(topology == "External")
        }
    };
    Some(Cluster { platform: Platform::OpenShift, is_managed, evidence })
}

fn rancher(facts: &Facts) -> Option<Cluster> {
    [(Platform::K3s, "k3s"), (Platform::Rke2, "rke2")].into_iter().find_map(|(platform, name)| {
        let mut evidence = Vec::new();
        if facts.version.contains(&format!("+{name}")) {
            evidence.push(format!("version {}", facts.version));
        }
        let nodes = count(facts, |node| node.distribution == name);
        if nodes > 0 {
            evidence.push(format!("annotation {name}.io/node-args on {}", of_nodes(nodes)));
        }
        let is_managed = Some(false);
        (!evidence.is_empty()).then_some(Cluster { platform, is_managed, evidence })
    })
}

/// A managed platform of a cloud.
fn cloud(facts: &Facts) -> Option<Cluster> {
    if !facts.api_servers.items.is_empty() {
        return None;
    }
    CLOUDS.into_iter().find_map(|(platform, suffix, labels)| {
        let mut evidence = Vec::new();
        if !suffix.is_empty() && facts.version.contains(suffix) {
            evidence.push(format!("version {}", facts.version));
        }
        for label in labels {
            let nodes = count(facts, |node| node.labels.iter().any(|name| name == label));
            if nodes > 0 {
                evidence.push(format!("label {label} on {}", of_nodes(nodes)));
            }
        }
        let is_managed = Some(true);
        (!evidence.is_empty()).then_some(Cluster { platform, is_managed, evidence })
    })
}

/// A cluster without signs of a distribution or a provider.
fn own(facts: &Facts) -> Cluster {
    let pods = facts.api_servers.items.len();
    if pods > 0 {
        let is_kubeadm = facts.api_servers.items.iter().any(|pod| pod.is_kubeadm);
        let platform = if is_kubeadm { Platform::Kubeadm } else { Platform::Other };
        let plural = if pods == 1 { "" } else { "s" };
        let mut evidence = vec![format!("{pods} pod{plural} of kube-apiserver in kube-system")];
        if is_kubeadm {
            evidence.push("annotation of kubeadm".to_owned());
        }
        return Cluster { platform, is_managed: Some(false), evidence };
    }
    let is_control_plane =
        |node: &Node| node.labels.iter().any(|name| CONTROL_PLANE_LABELS.contains(&name.as_str()));
    let nodes = count(facts, is_control_plane);
    let (is_managed, evidence) = if nodes > 0 {
        (Some(false), format!("{} of a control plane", of_nodes(nodes)))
    } else if facts.nodes.is_complete() && facts.api_servers.is_complete() {
        (None, "no node of a control plane and no pod of kube-apiserver is visible".to_owned())
    } else {
        (None, "nothing that may be read tells the platform".to_owned())
    };
    Cluster { platform: Platform::Other, is_managed, evidence: vec![evidence] }
}

fn count(facts: &Facts, matches: impl Fn(&Node) -> bool) -> usize {
    facts.nodes.items.iter().filter(|node| matches(node)).count()
}

fn of_nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}
