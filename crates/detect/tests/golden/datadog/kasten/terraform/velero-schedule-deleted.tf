resource "datadog_security_monitoring_rule" "velero_schedule_deleted" {
  name               = "Velero Schedule Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted schedules{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Existing backups keep their data and expire as planned. If the schedule sets `useOwnerReferencesInBackup`, Kubernetes deletes the Backup objects as well, without their data.
The objects: .

## About

A person deleted a schedule. No new backups are made.

## Goal

Detect backups that end silently.

## Strategy

Successful deletions by a person or a pipeline.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Which schedules remain: `kubectl -n velero get schedules`
3. Create it again from a backup: `velero schedule create --from-schedule`, or from its manifest.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- A schedule that is replaced by one with the same name and another content: the change of an object has other rules.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- An application is retired, and its schedule with it.
- A pipeline removes a schedule that was removed from its repository.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1489-service-stop"]

  query {
    name                         = "deleted_velero_schedules"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:schedules @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) -(@User.username:(\"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\") -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "high"
    condition     = "deleted_velero_schedules >= 5"
    notifications = []
  }

  case {
    name          = "some"
    status        = "medium"
    condition     = "deleted_velero_schedules > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
