resource "datadog_security_monitoring_rule" "backup_credentials_changed" {
  name               = "Credentials of a Backup Tool Changed or Deleted by a Person"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} changed or deleted Secrets in {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. If one of them encrypts backups, such as `velero-repo-credentials` of Velero or `k10-cluster-passphrase` of K10, they cannot be restored without a copy of it.
The objects: .

## About

A person changed or deleted a Secret in the namespace of a backup tool. Backups fail, go to another place, or can no longer be decrypted.

This export finds more than the rule it is made of: the comparison is case-sensitive: objectRef.name.

## Goal

Detect keys and credentials that are destroyed or replaced.

## Strategy

Every successful change by an identity that is no ServiceAccount. Records of Helm releases do not count.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Which Secrets remain: `kubectl -n '{{@ObjectRef.Namespace}}' get secrets`
3. Restore the Secret from its copy before the operator restarts: a running operator may still have it in memory.
4. Whether backups still work: start one, and restore it into a test namespace.
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- What changed: Secrets are recorded without bodies everywhere, and should be.
- A deletion of a collection has no name, so it counts even if it selects records of Helm only.
- Keys in an external key store.
- A backup tool in a namespace other than the usual ones, K10 outside `kasten-io` too. A copy of the rule with that namespace finds it.

## False positives

- A rotation of credentials, by a person or by a program that synchronizes Secrets.
END
  tags = ["tactic:TA0040-impact", "tactic:TA0005-defense-evasion", "technique:T1490-inhibit-system-recovery", "technique:T1486-data-encrypted-for-impact", "technique:T1562.001-disable-or-modify-tools"]

  query {
    name                         = "changed_backup_secrets"
    query                        = "-@ObjectRef.APIGroup:?* @ObjectRef.Resource:secrets @ObjectRef.Namespace:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:(update OR patch OR delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@ObjectRef.Name:sh.helm.release.* -(@User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "high"
    condition     = "changed_backup_secrets >= 5"
    notifications = []
  }

  case {
    name          = "some"
    status        = "medium"
    condition     = "changed_backup_secrets > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
