//! Plural names of known resources, to detect a singular or a kind instead of a plural: a rule with
//! one would never match.
//!
//! Deliberately absent: any other name. An unknown name may be a custom resource.

/// Resources of K10, Keepwatch and Kubernetes.
const PLURALS: [&str; 69] = [
    "apiservices",
    "applications",
    "auditconfigs",
    "auditevents",
    "backupactions",
    "backupclusteractions",
    "batchrestoreactions",
    "cancelactions",
    "certificatesigningrequests",
    "clusterrestorepoints",
    "clusterrolebindings",
    "clusterroles",
    "configmaps",
    "cronjobs",
    "customresourcedefinitions",
    "daemonsets",
    "deployments",
    "detectionrules",
    "events",
    "exportactions",
    "importactions",
    "ingresses",
    "jobs",
    "kastendrrestores",
    "kastendrreviews",
    "leases",
    "migratefcdactions",
    "mutatingwebhookconfigurations",
    "namespaces",
    "networkpolicies",
    "nodes",
    "notifiers",
    "passkeys",
    "persistentvolumeclaims",
    "persistentvolumes",
    "poddisruptionbudgets",
    "pods",
    "policies",
    "policypresets",
    "profiles",
    "replicasets",
    "reportactions",
    "resourcequotas",
    "restoreactions",
    "restoreclusteractions",
    "restorepointcontents",
    "restorepoints",
    "retireactions",
    "rolebindings",
    "roles",
    "runactions",
    "secrets",
    "serviceaccounts",
    "services",
    "signals",
    "stageactions",
    "statefulsets",
    "storageclasses",
    "storagerepositories",
    "subjectaccessreviews",
    "suppressions",
    "tokenreviews",
    "upgradeactions",
    "validateactions",
    "validatingwebhookconfigurations",
    "volumeattachments",
    "volumesnapshotclasses",
    "volumesnapshotcontents",
    "volumesnapshots",
];

/// The plural of a known resource, if the word is its singular or its kind.
pub(super) fn of_singular(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let stem = word.strip_suffix('y').unwrap_or(&word);
    let plurals = [format!("{word}s"), format!("{word}es"), format!("{stem}ies")];
    PLURALS.into_iter().find(|plural| plurals.iter().any(|candidate| candidate == plural))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_singulars_and_kinds_have_a_plural() {
        for (word, plural) in [
            ("restorepoint", Some("restorepoints")),
            ("RestorePoint", Some("restorepoints")),
            ("StorageRepository", Some("storagerepositories")),
            ("ingress", Some("ingresses")),
            ("storageclass", Some("storageclasses")),
            ("policy", Some("policies")),
            ("restorepoints", None),
            ("widget", None),
            ("", None),
        ] {
            assert_eq!(of_singular(word), plural, "{word}");
        }
    }
}
