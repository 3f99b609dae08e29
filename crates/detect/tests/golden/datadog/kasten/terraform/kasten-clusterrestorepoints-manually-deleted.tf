resource "datadog_security_monitoring_rule" "kasten_clusterrestorepoints_manually_deleted" {
  name               = "Kasten ClusterRestorePoints Manually Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}}{{^is_exact_match "@ImpersonatedUser.username" ""}} as {{@ImpersonatedUser.username}}{{/is_exact_match}} deleted {{events_matched}} cluster restore points{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} by hand since {{first_seen}}, from {{@network.ip.list}}, last from {{@network.ip.list}}.

The data behind them is being destroyed and cannot be restored.

## About

A person, or a ServiceAccount other than K10's, deleted a cluster restore point. K10 then deletes its data regardless of retention.

## Goal

Detect the first manual deletion of a backup.

## Strategy

K10's retention deletes these under accounts of K10's namespace. Every other successful deletion is manual. K10 itself creates the resulting RetireAction, which raises no signal.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
3. Stop running deletions: list them with `kubectl get retireactions`, and for each running one
   `kubectl create -n kasten-io -f - <<< '{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}'`
4. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.
- The rule `kasten-bulk-deletion` covers `deletecollection`, because one event can delete any number of objects.
- The rule `kasten-backup-expiry-shortened` covers an expiry in the near future, which has the same effect.

## False positives

- An agreed deletion of one backup, for example one that must not be kept by law.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_crps"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:clusterrestorepoints @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "deleted_k10_crps > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
