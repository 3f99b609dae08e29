resource "datadog_security_monitoring_rule" "velero_backups_deleted_collection" {
  name               = "Velero Backup Objects Deleted as a Whole Collection"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted collections of Backup objects{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. No data is lost by this: Velero creates the objects again from the bucket.

## About

A person deleted all Backup objects of a namespace, or a selection of them, with one request. This removes no data in the bucket.

## Goal

Detect an attempt to destroy all backups with one request.

## Strategy

One event covers all objects, so one is enough.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Whether the objects return: `kubectl -n velero get backups.velero.io`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- The event does not contain the number of objects, unless the log has response bodies.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- None known. kubectl deletes objects one by one.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_velero_collections"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:backups @Verb:deletecollection @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) -(@User.username:(\"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\") -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "deleted_velero_collections > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
