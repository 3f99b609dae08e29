resource "datadog_security_monitoring_rule" "velero_backup_data_deleted" {
  name               = "Velero Backup Data Deleted on Request"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} created {{events_matched}} DeleteBackupRequests{{^is_exact_match "cluster-name" ""}} in {{cluster-name}}{{/is_exact_match}} since {{first_seen}}, from {{@network.ip.list}}.
Velero carries them out within minutes: it deletes the data in the bucket, the volume snapshots, the restores of the backup and the Backup object. A location that is read-only, or a bucket with a lock, keeps the data.
The backup of the last request: {{@RequestObject.spec.backupName}}.

## About

A person created a DeleteBackupRequest. Velero then deletes the data of the backup in the bucket, its volume snapshots and its object.

## Goal

Detect the destruction of backup data.

## Strategy

Every successful creation of a DeleteBackupRequest outside Velero's namespaces. Velero's own account creates them for backups that have expired. Deleting a Backup object removes no data and has the rule `velero-backups-deleted`.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop Velero before it deletes more: `kubectl -n velero scale deployment velero --replicas=0`
3. The requests and their progress: `kubectl -n velero get deletebackuprequests -o yaml`
4. Remove those that have not started: `kubectl -n velero delete deletebackuprequests --all`
5. Find out what the bucket still has: its versions and delete markers, and the snapshots of the cloud.
6. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- On EKS, GKE and AKS it fires, but the event has no body: the name of the backup is missing.
- Requests with the stolen token of Velero's own account look like Velero. The rule `backup-account-token-requested` covers new tokens.
- Deletions in the bucket itself, or of the snapshots in the cloud. The provider's own log has them.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- A person deletes a backup with `velero backup delete`, which creates this object.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1485-data-destruction"]

  query {
    name                         = "velero_delete_requests"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:deletebackuprequests @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "critical"
    condition     = "velero_delete_requests >= 5"
    notifications = []
  }

  case {
    name          = "some"
    status        = "high"
    condition     = "velero_delete_requests > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
