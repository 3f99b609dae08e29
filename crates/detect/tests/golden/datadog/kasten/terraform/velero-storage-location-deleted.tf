resource "datadog_security_monitoring_rule" "velero_storage_location_deleted" {
  name               = "Velero Storage Location Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted storage locations, snapshot locations or repositories{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. No data is lost by this. `velero backup-location delete` also deletes the Backup objects of the location; they return when a location with the same bucket is created again.
The objects: .

## About

A person deleted a storage location, a snapshot location or a backup repository. Velero no longer finds the backups there.

## Goal

Detect backups that are cut off from their storage.

## Strategy

Successful deletions by a person or a pipeline.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. What remains: `kubectl -n velero get backupstoragelocations,volumesnapshotlocations,backuprepositories`
3. Create the location again: `velero backup-location create`; Velero finds the backups in the bucket.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- The bucket itself is not visible to the cluster.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- An agreed move of a bucket.
- A backup repository that Velero must initialize again: it does that for the next backup.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_velero_locations"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:(backuprepositories OR backupstoragelocations OR volumesnapshotlocations) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) -(@User.username:(\"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\") -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "high"
    condition     = "deleted_velero_locations >= 3"
    notifications = []
  }

  case {
    name          = "some"
    status        = "medium"
    condition     = "deleted_velero_locations > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
