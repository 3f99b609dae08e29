resource "datadog_security_monitoring_rule" "kasten_restorepointcontents_excessive_deletion" {
  name               = "Excessive Deletion of Kasten RestorePointContents"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} restore point contents{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were deleted by hand since {{first_seen}}, last by
{{@User.username}} from {{@network.ip.list}}. K10 destroys the data behind each of them.

## About

Many different restore point contents were deleted by hand within a day, by one identity or by several.

## Goal

Find the destruction of backups in number, fast or slow, by one account or spread over many.

## Strategy

Different names count, over a day and the whole cluster: there is no ordinary reason for several of these, by one person or by many.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop retention before anything else goes: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
3. Stop destruction that is under way: `kubectl get retireactions`, and for each that runs
   `kubectl create -n kasten-io -f - <<< '{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}'`
4. What is left: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`
5. Copies that K10 cannot reach any more, for example object versions under a lock, are the way back: look at the bucket before anything expires there.
6. If it was not agreed on, take the rights away: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Behind kube-apiserver's aggregator only the identity that was acted as arrives. An identity that may impersonate one of K10's accounts is taken for K10; the cluster's own audit log has the same audit ID and the person.
- Fewer than 5 within a day. Each of them raises a high signal of `kasten-restorepointcontents-manually-deleted`.

## False positives

- None known. Backups are removed in number by retention.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_rpcs"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:restorepointcontents @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) -@User.username:(\"system:serviceaccount:kube-system:namespace-controller\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\") @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "cardinality"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = ["@ObjectRef.Name"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "critical"
    condition     = "deleted_k10_rpcs >= 5"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
