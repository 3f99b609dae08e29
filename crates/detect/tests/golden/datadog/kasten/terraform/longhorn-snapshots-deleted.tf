resource "datadog_security_monitoring_rule" "longhorn_snapshots_deleted" {
  name               = "Longhorn Snapshots Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted snapshots{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Longhorn merges them into their successors, so they cannot be restored; backups stay.
The objects: .

## About

A person deleted snapshots of Longhorn volumes. Their data on the nodes is gone; backups in the backup target stay.

## Goal

Detect the destruction of snapshots on the nodes.

## Strategy

Ten by one identity are unusual.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. What remains: `kubectl -n longhorn-system get snapshots.longhorn.io,backups`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- On EKS, GKE and AKS it fires; the event has no body.
- Requests in Longhorn's UI and HTTP API reach Kubernetes under Longhorn's own account, which is exempt: they are not visible as those of a person.

## False positives

- A person frees the space of a snapshot.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1485-data-destruction"]

  query {
    name                         = "deleted_longhorn_snapshots"
    query                        = "@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:snapshots @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:longhorn\\-system\\:* -@ImpersonatedUser.username:?*) -(@User.username:(\"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\") -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "medium"
    condition     = "deleted_longhorn_snapshots >= 10"
    notifications = []
  }

  case {
    name          = "some"
    status        = "low"
    condition     = "deleted_longhorn_snapshots > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
