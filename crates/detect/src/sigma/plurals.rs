//! Names of resources that rules may look for, to find a singular or a kind where the plural is meant:
//! such a rule would never fire.
//!
//! Deliberately absent: any other name. What is not here may be a custom resource.

/// Kinds of K10, of Keepwatch and of Kubernetes itself.
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

/// The plural of a known resource, if that is its singular or its kind.
pub(super) fn of_singular(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let stem = word.strip_suffix('y').unwrap_or(&word);
    let plurals = [format!("{word}s"), format!("{word}es"), format!("{stem}ies")];
    PLURALS.into_iter().find(|plural| plurals.iter().any(|it| it == plural))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singulars_and_kinds_lead_to_the_plural_and_nothing_else_does() {
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
