resource "datadog_security_monitoring_rule" "backup_crd_deleted" {
  name               = "CustomResourceDefinition of a Backup Tool Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted CustomResourceDefinitions{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. All objects of these kinds are deleted with them. Whether data is lost depends on the tool: objects with a finalizer, as those of Longhorn and VolumeSnapshotContents, remove it if their operator still runs; Velero's data stays in the bucket.
The objects: .

## About

A CustomResourceDefinition of a backup tool was deleted. Kubernetes deletes all its objects with it: every backup, schedule or location of that kind.

This export finds less than the rule it is made of: the comparison is case-sensitive: objectRef.name.

## Goal

Detect the deletion of all backups of a tool with one request.

## Strategy

One is enough, by any identity. Upgrades change definitions and do not delete them.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop the operator, so that it processes no deletion
3. Which definitions remain: `kubectl get crd`. One that is terminating still has objects with finalizers.
4. Install the definitions again and restore the objects from the backup of the cluster or from the bucket.
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Visible on all sources; admission sees the deletion of the definition, and the deletions of its objects by the API server.
- A definition whose stored versions or schema are changed so that its objects become unreadable.

## False positives

- An agreed removal of the tool.
END
  tags = ["tactic:TA0040-impact", "technique:T1485-data-destruction", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_backup_crds"
    query                        = "@ObjectRef.APIGroup:apiextensions.k8s.io @ObjectRef.Resource:customresourcedefinitions @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@ObjectRef.Name:*.addons.kubestash.com OR @ObjectRef.Name:*.config.kio.kasten.io OR @ObjectRef.Name:*.core.kubestash.com OR @ObjectRef.Name:*.dataprotection.kubeblocks.io OR @ObjectRef.Name:*etcdsnapshotfiles.k3s.cattle.io OR @ObjectRef.Name:*.groupsnapshot.storage.k8s.io OR @ObjectRef.Name:*.k8up.io OR @ObjectRef.Name:*.longhorn.io OR @ObjectRef.Name:*.postgresql.cnpg.io OR @ObjectRef.Name:*.snapshot.storage.k8s.io OR @ObjectRef.Name:*.stash.appscode.com OR @ObjectRef.Name:*.storage.kubestash.com OR @ObjectRef.Name:*.stork.libopenstorage.org OR @ObjectRef.Name:*.triliovault.trilio.io OR @ObjectRef.Name:*.velero.io OR @ObjectRef.Name:*.volsync.backube OR @Verb:deletecollection) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "critical"
    condition     = "deleted_backup_crds > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
