//! What could not be read, and what is therefore not known.

use crate::facts::{Facts, Obstacle};
use crate::platform::Cluster;

/// A sentence for each kind that could not be read completely.
pub(crate) fn sentences(facts: &Facts, cluster: &Cluster) -> Vec<String> {
    let platform = match cluster.is_managed {
        Some(_) => "the platform follows from other facts",
        None => "not known whether the cluster is managed",
    };
    let readings = [
        (facts.groups.obstacle, "API groups", "not known which backup tools there are"),
        (facts.nodes.obstacle, "nodes", platform),
        (
            facts.definitions.obstacle,
            "customresourcedefinitions",
            "tools are found by their API groups, and etcd snapshots of k3s, RKE2, Rancher and \
             OpenShift are not",
        ),
        (
            facts.api_services.obstacle,
            "apiservices",
            "not known which aggregated APIs there are, and which Keepwatch serves",
        ),
        (facts.namespaces.obstacle, "namespaces", "only those of Deployments are shown"),
        (
            facts.deployments.obstacle,
            "deployments",
            "not known which versions the tools have, and whether Keepwatch is installed",
        ),
        (
            facts.api_servers.obstacle,
            "pods in kube-system",
            "not known which flags kube-apiserver has",
        ),
        (
            facts.webhooks.obstacle,
            "validatingwebhookconfigurations",
            "not known whether an admission webhook points to Keepwatch",
        ),
        (
            facts.event_sources.obstacle,
            "eventsources.siem.keepwatch.io",
            "not known which sources deliver events; the ClusterRole keepwatch-view allows it",
        ),
        (
            facts.openshift.obstacle,
            "apiservers and infrastructures of config.openshift.io",
            "not known which audit profile is set",
        ),
    ];
    let sentence = |(obstacle, kind, consequence): (Option<Obstacle>, &str, &str)| {
        let what = match obstacle? {
            Obstacle::NotServed => return None,
            Obstacle::NotAllowed => "not allowed",
            Obstacle::TimedOut => "no answer in time",
            Obstacle::TooMany => "too many to read all",
            Obstacle::Failed => "cannot be read",
        };
        Some(format!("{what}: {kind}; {consequence}"))
    };
    readings.into_iter().filter_map(sentence).collect()
}
