//! What is known of the audit events that kube-apiserver generates.
//!
//! The content of a policy file is not visible through the API: only whether there is one.

use serde::Serialize;

use crate::facts::Facts;
use crate::platform::{Cluster, Platform};

/// What is known of kube-apiserver's audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Auditing {
    /// What its policy records, in words.
    pub policy: String,
    /// Whether it records bodies of custom resources; `None` if not known.
    pub has_bodies: Option<bool>,
    /// Paths of its log on the nodes.
    pub log_paths: Vec<String>,
    /// Whether it sends events to a webhook; `None` if not known.
    pub has_webhook: Option<bool>,
}

/// What the facts say.
pub(crate) fn of(facts: &Facts, cluster: &Cluster) -> Auditing {
    match (cluster.platform, cluster.is_managed) {
        (Platform::Eks | Platform::Gke | Platform::Aks, _) => fixed(cluster.platform),
        (Platform::OpenShift, _) => openshift(facts),
        _ => by_flags(facts),
    }
}

/// The policy of a provider.
fn fixed(platform: Platform) -> Auditing {
    let title = platform.title();
    Auditing {
        policy: format!("fixed by {title}: custom resources are recorded without bodies"),
        has_bodies: Some(false),
        has_webhook: Some(false),
        log_paths: Vec::new(),
    }
}

fn openshift(facts: &Facts) -> Auditing {
    let profile = facts.openshift.items.first().map(|config| config.audit_profile.as_str());
    let (policy, has_bodies) = match profile.unwrap_or_default() {
        "" => ("profile not known".to_owned(), None),
        "None" => ("profile None: nothing is recorded".to_owned(), Some(false)),
        "Default" => ("profile Default: no bodies".to_owned(), Some(false)),
        profile => (format!("profile {profile}: bodies of writes"), Some(true)),
    };
    Auditing {
        policy,
        has_bodies,
        log_paths: vec!["/var/log/kube-apiserver/audit.log".to_owned()],
        has_webhook: None,
    }
}

/// What the flags of each kube-apiserver say.
fn by_flags(facts: &Facts) -> Auditing {
    // k3s runs kube-apiserver in its own process, and RKE2 as a pod. Both show their arguments in
    // an annotation of the node.
    let servers: Vec<&Vec<String>> = if facts.api_servers.items.is_empty() {
        let nodes = facts.nodes.items.iter().filter(|node| node.is_server);
        nodes.map(|node| &node.audit_flags).collect()
    } else {
        facts.api_servers.items.iter().map(|pod| &pod.audit_flags).collect()
    };
    if servers.is_empty() {
        return Auditing { policy: "not known".to_owned(), ..Auditing::default() };
    }
    let with = |name: &str| {
        let has = |flags: &&&Vec<String>| flags.iter().any(|flag| flag.starts_with(name));
        servers.iter().filter(has).count()
    };
    let all = servers.len();
    let policy = match with("--audit-policy-file=") {
        0 => "no --audit-policy-file: kube-apiserver records nothing".to_owned(),
        count if count == all => "a policy file, whose content the API does not show".to_owned(),
        count => format!("a policy file on {count} of {all} kube-apiservers only"),
    };
    Auditing {
        has_bodies: (with("--audit-policy-file=") == 0).then_some(false),
        policy,
        log_paths: log_paths(facts, &servers),
        has_webhook: Some(with("--audit-webhook-config-file=") > 0),
    }
}

/// Each path once: of pods on the node, of k3s and RKE2 as in the flag.
fn log_paths(facts: &Facts, servers: &[&Vec<String>]) -> Vec<String> {
    let pods = &facts.api_servers.items;
    let mut paths: Vec<String> = if pods.is_empty() {
        let flags = servers.iter().flat_map(|flags| flags.iter());
        flags.filter_map(|flag| flag.strip_prefix("--audit-log-path=")).map(str::to_owned).collect()
    } else {
        pods.iter().map(|pod| pod.log_path.clone()).collect()
    };
    paths.retain(|path| is_log_path(path));
    paths.sort();
    paths.dedup();
    paths
}

/// Whether the chart accepts the path: a file in a folder that is not the root, without colons.
fn is_log_path(path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else { return false };
    path.starts_with('/') && folder.len() > 1 && !file.is_empty() && !path.contains(':')
}
