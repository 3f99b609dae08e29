resource "datadog_security_monitoring_rule" "csi_snapshots_deleted_by_new_account" {
  name               = "CSI Volume Snapshots Deleted by a ServiceAccount for the First Time"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted volume snapshots{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} in {{@ObjectRef.Namespace}} from {{@network.ip.list}} and had not done so within 30 days. The policy of each content decides whether the data is gone.
The objects: .

## About

A ServiceAccount that is no known operator deleted volume snapshots, and had not done so within 30 days.

This export finds less than the rule it is made of: earlier values are unknown: the very first value raises no signal.

## Goal

Detect a stolen ServiceAccount that destroys snapshots.

## Strategy

Operators delete snapshots constantly, so only the first deletion of an account is reported.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. What runs under this account: `kubectl get pods -A -o wide`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- On EKS, GKE and AKS it fires; the event has no body.
- The ServiceAccounts of the namespaces in which snapshot controllers, CSI drivers and backup tools usually run are exempt, also when their tokens are stolen. The rule `backup-account-token-requested` covers new tokens of backup tools.
- A snapshot controller, a CSI driver or a backup tool in another namespace than the usual ones counts as another identity. A filter exempts it.

## False positives

- A backup tool in a namespace of its own: it is reported once, and again after 30 days without a deletion.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1485-data-destruction"]

  query {
    query                        = "@ObjectRef.APIGroup:(groupsnapshot.storage.k8s.io OR snapshot.storage.k8s.io) @ObjectRef.Resource:(volumegroupsnapshots OR volumesnapshots) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?* -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:kube\\-system\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-cluster\\-csi\\-drivers\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-cluster\\-storage\\-operator\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "new_value"
    group_by_fields              = ["cluster-name"]
    metrics                      = ["@User.username"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    notifications = []
  }

  options {
    detection_method    = "new_value"
    keep_alive          = 21600
    max_signal_duration = 86400

    new_value_options {
      forget_after       = 30
      learning_duration  = 0
      learning_method    = "duration"
      learning_threshold = 0
    }
  }
}
