resource "datadog_security_monitoring_rule" "kasten_clusterrestorepoints_manually_deleted" {
  name               = "Kasten ClusterRestorePoints Manually Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}}{{^is_exact_match "@ImpersonatedUser.username" ""}} as {{@ImpersonatedUser.username}}{{/is_exact_match}}
deleted {{events_matched}} cluster restore points{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} by hand, from
{{@network.ip.list}}, since {{first_seen}}.

The data behind them is being destroyed and cannot be brought back.

## About

A person, or a service account that is not K10's, deleted a restore point of the cluster's own resources. K10 then destroys its data, whatever retention says.

## Goal

Find the destruction of backups by hand, at the first one.

## Strategy

K10 deletes these under accounts of its own namespace, by retention. Every other successful deletion is a manual one. The RetireAction that K10 makes of it is K10's own and raises nothing.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop retention before anything else goes: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
3. Stop destruction that is under way: `kubectl get retireactions`, and for each that runs
   `kubectl create -n kasten-io -f - <<< '{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}'`
4. What is left: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`
5. If it was not agreed on, take the rights away: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Behind kube-apiserver's aggregator only the identity that was acted as arrives. An identity that may impersonate one of K10's accounts is taken for K10; the cluster's own audit log has the same audit ID and the person.
- `deletecollection` is a rule of its own (`kasten-bulk-deletion`), because one event means any number of objects.
- Expiry set to a moment that is near has the same effect, and a rule of its own.

## False positives

- A person removes one backup on purpose, for instance one that must not be kept by law. It is agreed on beforehand.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_crps"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:clusterrestorepoints @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) -@User.username:(\"system:serviceaccount:kube-system:namespace-controller\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\") @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
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
