resource "datadog_security_monitoring_rule" "kasten_clusterrestorepoints_excessive_deletion" {
  name               = "Excessive Deletion of Kasten ClusterRestorePoints"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} cluster restore points{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were deleted by hand by {{@User.username}} since {{first_seen}}, from {{@network.ip.list}}. K10 destroys the data behind each of them.
The objects: .

## About

Many different cluster restore points were deleted manually within a day, by one or several identities.

## Goal

Detect the deletion of many backups within a day, by one account or several.

## Strategy

Counts different names over a day and the whole cluster. There is no normal reason for several of these deletions.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
3. Stop running deletions: list them with `kubectl get retireactions`, and for each running one
   `kubectl create -n kasten-io -f - <<< '{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}'`
4. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`
5. Copies that K10 cannot delete, such as object versions under Object Lock, can still be restored: check the bucket before they expire.
6. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.
- Fewer than 3 within a day. Each of them raises a high signal of `kasten-clusterrestorepoints-manually-deleted`.

## False positives

- None known. Retention removes large numbers of backups.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_crps"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:clusterrestorepoints @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "cardinality"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = ["@ObjectRef.Name"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "critical"
    condition     = "deleted_k10_crps >= 3"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
