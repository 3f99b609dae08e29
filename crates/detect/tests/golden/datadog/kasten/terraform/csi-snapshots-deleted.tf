resource "datadog_security_monitoring_rule" "csi_snapshots_deleted" {
  name               = "CSI Volume Snapshots Deleted by a Person"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted volume snapshots{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} in {{@ObjectRef.Namespace}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. The policy of each content decides whether the data is gone: `Delete` removes it from the storage system, `Retain` keeps it.
The objects: .

## About

A person deleted volume snapshots. If the deletion policy of their contents is Delete, the storage system deletes the data.

## Goal

Detect a person who destroys the snapshots of volumes.

## Strategy

Successful deletions by an identity that is no ServiceAccount. Ten are unusual.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Which contents remain, and with which policy: `kubectl get volumesnapshotcontents -o custom-columns=NAME:.metadata.name,POLICY:.spec.deletionPolicy,HANDLE:.status.snapshotHandle`
3. Keep the data of the others: `kubectl get volumesnapshotcontents -o name | xargs -n1 -I{} kubectl patch {} --type merge -p '{"spec":{"deletionPolicy":"Retain"}}'`
4. Import a retained content again: a VolumeSnapshotContent with its handle, and a VolumeSnapshot that names it.
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- On EKS, GKE and AKS it fires; the event has no body.
- A deletion of a collection is one event, whatever the number of objects.
- Deletions by ServiceAccounts, for which `csi-snapshots-deleted-by-new-account` reports only the first one.
- Deletions in the storage system itself.

## False positives

- A developer removes a snapshot that is not needed any more.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1485-data-destruction"]

  query {
    name                         = "deleted_snapshots"
    query                        = "@ObjectRef.APIGroup:(groupsnapshot.storage.k8s.io OR snapshot.storage.k8s.io) @ObjectRef.Resource:(volumegroupsnapshots OR volumesnapshots) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "high"
    condition     = "deleted_snapshots >= 10"
    notifications = []
  }

  case {
    name          = "some"
    status        = "low"
    condition     = "deleted_snapshots > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
