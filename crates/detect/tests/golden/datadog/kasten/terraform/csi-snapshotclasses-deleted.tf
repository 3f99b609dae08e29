resource "datadog_security_monitoring_rule" "csi_snapshotclasses_deleted" {
  name               = "CSI Volume Snapshot Class Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted volume snapshot classes{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Existing snapshots keep their data; new ones fail.
The objects: .

## About

A volume snapshot class was deleted. Backup tools that use it make no new snapshots.

## Goal

Detect snapshots that end because their class is gone.

## Strategy

Classes are few and long-lived, so each deletion counts.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Which classes remain: `kubectl get volumesnapshotclasses`
3. Snapshots that fail: `kubectl get volumesnapshots -A -o json | jq -r '.items[] | select(.status.error) | .metadata.name'`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- On EKS, GKE and AKS it fires; the event has no body.
- The ServiceAccounts of the namespaces in which snapshot controllers, CSI drivers and backup tools usually run are exempt, also when their tokens are stolen. The rule `backup-account-token-requested` covers new tokens of backup tools.
- A snapshot controller, a CSI driver or a backup tool in another namespace than the usual ones counts as another identity. A filter exempts it.

## False positives

- A storage system is retired.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1489-service-stop"]

  query {
    name                         = "deleted_snapshot_classes"
    query                        = "@ObjectRef.APIGroup:(groupsnapshot.storage.k8s.io OR snapshot.storage.k8s.io) @ObjectRef.Resource:(volumegroupsnapshotclasses OR volumesnapshotclasses) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:kube\\-system\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-cluster\\-csi\\-drivers\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-cluster\\-storage\\-operator\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "deleted_snapshot_classes > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
