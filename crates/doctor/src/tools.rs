//! Which backup tools a cluster has: by their definitions, API groups, APIServices and Deployments.
//!
//! The table has a row for each pack of built-in rules but the one about any tool.
//!
//! Deliberately absent: tools without rules.

use std::collections::BTreeSet;

use detect::builtin;
use serde::Serialize;

use crate::facts::{ApiService, Facts};

/// The pack of rules about any tool.
pub(crate) const ANY_TOOL: &str = "generic";
/// The pack of rules about K10.
pub(crate) const KASTEN: &str = "kasten";

/// How a tool is recognized.
pub(crate) struct Tool {
    /// Its pack of rules.
    pub(crate) pack: &'static str,
    /// Its API groups.
    groups: &'static [&'static str],
    /// Definitions that only it has, if others share its groups.
    definitions: &'static [&'static str],
    /// The namespaces in which it usually runs.
    namespaces: &'static [&'static str],
    /// The last part of the images of its operator.
    images: &'static [&'static str],
}

/// The tools for which there are rules.
pub(crate) const TOOLS: [Tool; 14] = [
    Tool {
        pack: "cloudnative-pg",
        groups: &["postgresql.cnpg.io", "barmancloud.cnpg.io"],
        definitions: &[],
        namespaces: &["cnpg-system"],
        images: &["cloudnative-pg"],
    },
    Tool {
        pack: "csi-snapshots",
        groups: &["snapshot.storage.k8s.io", "groupsnapshot.storage.k8s.io"],
        definitions: &[],
        namespaces: &[],
        images: &["snapshot-controller"],
    },
    Tool {
        pack: "etcd-snapshots",
        groups: &[],
        definitions: &["etcdsnapshotfiles.k3s.cattle.io", "etcdsnapshots.rke.cattle.io"],
        namespaces: &["cattle-system"],
        images: &[],
    },
    Tool {
        pack: "k8up",
        groups: &["k8up.io"],
        definitions: &[],
        namespaces: &["k8up", "k8up-operator", "k8up-system"],
        images: &["k8up"],
    },
    // The chart of Keepwatch also installs definitions of config.kio.kasten.io.
    Tool {
        pack: KASTEN,
        groups: &[],
        definitions: &["policies.config.kio.kasten.io"],
        namespaces: &["kasten-io"],
        images: &["catalog"],
    },
    Tool {
        pack: "kubeblocks",
        groups: &["dataprotection.kubeblocks.io"],
        definitions: &[],
        namespaces: &["kb-system"],
        images: &["kubeblocks-dataprotection"],
    },
    Tool {
        pack: "kubestash",
        groups: &["core.kubestash.com", "storage.kubestash.com", "addons.kubestash.com"],
        definitions: &[],
        namespaces: &["kubestash"],
        images: &["kubestash"],
    },
    Tool {
        pack: "longhorn",
        groups: &["longhorn.io"],
        definitions: &[],
        namespaces: &["longhorn-system"],
        images: &["longhorn-manager"],
    },
    Tool {
        pack: "openshift",
        groups: &[],
        definitions: &["backups.config.openshift.io", "etcdbackups.operator.openshift.io"],
        namespaces: &["openshift-etcd"],
        images: &[],
    },
    Tool {
        pack: "stash",
        groups: &["stash.appscode.com", "repositories.stash.appscode.com"],
        definitions: &[],
        namespaces: &["stash"],
        images: &["stash"],
    },
    Tool {
        pack: "stork",
        groups: &["stork.libopenstorage.org"],
        definitions: &[],
        namespaces: &["portworx"],
        images: &["stork"],
    },
    Tool {
        pack: "trilio",
        groups: &["triliovault.trilio.io"],
        definitions: &[],
        namespaces: &["trilio-system"],
        images: &[],
    },
    Tool {
        pack: "velero",
        groups: &["velero.io"],
        definitions: &[],
        namespaces: &["velero", "openshift-adp"],
        images: &["velero"],
    },
    Tool {
        pack: "volsync",
        groups: &["volsync.backube"],
        definitions: &[],
        namespaces: &["volsync-system"],
        images: &["volsync"],
    },
];

/// A backup tool in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolFinding {
    /// Its pack of rules.
    pub pack: &'static str,
    /// Its name.
    pub title: &'static str,
    /// The versions of its Deployments.
    pub versions: BTreeSet<String>,
    /// The namespaces in which it runs.
    pub namespaces: BTreeSet<String>,
    /// Why it is known to be there.
    pub evidence: Vec<String>,
}

/// The tools that the cluster has.
pub(crate) fn find(facts: &Facts) -> Vec<ToolFinding> {
    TOOLS.iter().filter_map(|tool| finding(tool, facts)).collect()
}

/// The title of a pack.
pub(crate) fn title(pack: &str) -> &'static str {
    let pack = builtin::packs().iter().find(|known| known.name == pack);
    pack.map_or("", |pack| pack.title)
}

/// Whether the `APIService` is one of K10's aggregated groups. With `useNamespacedAPI`, they end in
/// `kio.` and K10's namespace.
pub(crate) fn is_of_k10(service: &ApiService) -> bool {
    ["actions.kio.", "apps.kio.", "repositories.kio.", "vault.kio."]
        .iter()
        .any(|prefix| service.group.starts_with(prefix))
}

fn finding(tool: &Tool, facts: &Facts) -> Option<ToolFinding> {
    let mut evidence = definitions(tool, facts);
    let is_of_tool = |service: &&ApiService| {
        let is_k10 = tool.pack == KASTEN && is_of_k10(service);
        is_k10 || tool.groups.contains(&service.group.as_str())
    };
    evidence.extend(facts.api_services.items.iter().filter(is_of_tool).map(|service| {
        let served = if service.is_keepwatch { ", served by Keepwatch" } else { "" };
        format!("APIService {}{served}", service.name)
    }));
    if evidence.is_empty() {
        return None;
    }
    let mut namespaces: BTreeSet<String> = facts
        .namespaces
        .items
        .iter()
        .filter(|name| tool.namespaces.contains(&name.as_str()))
        .cloned()
        .collect();
    let mut versions = BTreeSet::new();
    for deployment in &facts.deployments.items {
        let mut images = deployment.images.iter().filter_map(|image| name_and_version(image));
        let Some((_, version)) = images.find(|(name, _)| tool.images.contains(name)) else {
            continue;
        };
        evidence.push(format!("Deployment {}/{}", deployment.namespace, deployment.name));
        namespaces.insert(deployment.namespace.clone());
        versions.extend((!version.is_empty()).then(|| version.to_owned()));
    }
    Some(ToolFinding { pack: tool.pack, title: title(tool.pack), versions, namespaces, evidence })
}

/// What definitions and API groups say.
fn definitions(tool: &Tool, facts: &Facts) -> Vec<String> {
    let mut evidence = Vec::new();
    for group in tool.groups {
        let is_of_group =
            |name: &&String| name.strip_suffix(*group).is_some_and(|plural| plural.ends_with('.'));
        let count = facts.definitions.items.iter().filter(is_of_group).count();
        let is_offered = facts.groups.items.iter().any(|name| name == group);
        let is_aggregated = facts.api_services.items.iter().any(|service| service.group == *group);
        match count {
            0 if is_offered && !is_aggregated => evidence.push(format!("API group {group}")),
            0 => {}
            1 => evidence.push(format!("1 CustomResourceDefinition of {group}")),
            count => evidence.push(format!("{count} CustomResourceDefinitions of {group}")),
        }
    }
    for definition in tool.definitions {
        if facts.definitions.items.iter().any(|name| name == definition) {
            evidence.push(format!("CustomResourceDefinition {definition}"));
        }
    }
    evidence
}

/// The last part of an image's name, and its tag; the tag is empty with a digest only.
fn name_and_version(image: &str) -> Option<(&str, &str)> {
    let (image, _) = image.split_once('@').unwrap_or((image, ""));
    let last = image.rsplit('/').next()?;
    Some(last.split_once(':').unwrap_or((last, "")))
}
