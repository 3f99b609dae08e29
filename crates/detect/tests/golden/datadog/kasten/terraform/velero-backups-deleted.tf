resource "datadog_security_monitoring_rule" "velero_backups_deleted" {
  name               = "Velero Backup Objects Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted Backup objects{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. No data is lost by this: Velero's synchronization creates the objects again, as long as their storage location is available.
The objects: .

## About

A person deleted Backup objects. This removes no data: it stays in the bucket, and Velero creates the objects again from there.

## Goal

Detect somebody who tries to destroy backups, whatever the effect.

## Strategy

Successful deletions by a person, not those by Kubernetes together with a namespace or an owner.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Whether the objects return: `kubectl -n velero get backups.velero.io`, after the `backupSyncPeriod` of the location (one minute by default)
3. Whether the location is available: `kubectl -n velero get backupstoragelocations`
4. Check for DeleteBackupRequests, which do remove data: `kubectl -n velero get deletebackuprequests`
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- A deletion of a collection is one event, whatever the number of objects. It has the rule `velero-backups-deleted-collection`.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- `kubectl delete backup`, by a person who means `velero backup delete`.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_velero_backups"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:backups @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) -(@User.username:(\"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\") -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "medium"
    condition     = "deleted_velero_backups >= 10"
    notifications = []
  }

  case {
    name          = "some"
    status        = "low"
    condition     = "deleted_velero_backups > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
