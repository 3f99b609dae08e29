resource "datadog_security_monitoring_rule" "longhorn_backups_deleted" {
  name               = "Longhorn Backups Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Longhorn deletes their data in the backup target; a backup volume includes all backups of its volume.
The objects: .

## About

A person deleted backups, backup volumes, system backups or backing image backups of Longhorn. Longhorn deletes their data in the backup target.

## Goal

Detect the destruction of backups in the backup target.

## Strategy

Successful deletions outside Longhorn's namespace. Retention by recurring jobs runs under Longhorn's own account.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop Longhorn before it deletes more: `kubectl -n longhorn-system patch backuptargets default --type merge -p '{"spec":{"backupTargetURL":""}}'`. Write down its URL first.
3. What remains: `kubectl -n longhorn-system get backups,backupvolumes,systembackups`
4. The versions of the objects in the bucket, if it keeps versions.
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- On EKS, GKE and AKS it fires; the event has no body.
- Requests in Longhorn's UI and HTTP API reach Kubernetes under Longhorn's own account, which is exempt: they are not visible as those of a person.
- A deletion of a collection is one event, whatever the number of objects.
- Deletions in the bucket itself.

## False positives

- A person deletes old backups with kubectl instead of a recurring job.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1485-data-destruction"]

  query {
    name                         = "deleted_longhorn_backups"
    query                        = "@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:(backupbackingimages OR backups OR backupvolumes OR systembackups) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:longhorn\\-system\\:* -@ImpersonatedUser.username:?*) -(@User.username:(\"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\") -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "critical"
    condition     = "deleted_longhorn_backups >= 5"
    notifications = []
  }

  case {
    name          = "some"
    status        = "high"
    condition     = "deleted_longhorn_backups > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
