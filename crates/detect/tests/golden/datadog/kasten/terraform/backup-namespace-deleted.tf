resource "datadog_security_monitoring_rule" "backup_namespace_deleted" {
  name               = "Namespace of a Backup Tool Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted namespaces{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}: . All objects in them are deleted. Velero's data stays in the bucket; Longhorn's volumes are deleted unless its deletion is not confirmed; K10's catalog is lost, its exported data stays. Without the Secrets, encrypted backups cannot be read.

## About

The namespace of a backup tool, or of Keepwatch, was deleted: its program, its schedules, its locations, and the Secrets that decrypt the backups.

This export finds less than the rule it is made of: the comparison is case-sensitive: objectRef.name.

## Goal

Detect the removal of a backup tool with everything it knows.

## Strategy

One is enough, by any identity. A namespace that is deleted cannot be kept.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Save what still exists: `kubectl -n '{{@ObjectRef.Name}}' get secrets -o yaml`
3. Install the tool again with the former key, and connect the bucket.
4. Protect the bucket: remove the permission to delete from its credentials.
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Visible on all sources.
- A backup tool in a namespace other than the usual ones, K10 outside `kasten-io` too. A copy of the rule with that namespace finds it.

## False positives

- An agreed removal of the tool.
END
  tags = ["tactic:TA0040-impact", "technique:T1485-data-destruction", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_backup_namespaces"
    query                        = "-@ObjectRef.APIGroup:?* @ObjectRef.Resource:namespaces -@ObjectRef.Subresource:?* @ObjectRef.Name:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "critical"
    condition     = "deleted_backup_namespaces > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
