resource "datadog_security_monitoring_rule" "kasten_bulk_deletion" {
  name               = "Kasten Backups Deleted as a Whole Collection"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted whole collections of K10's objects{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}.
The collections: .

## About

A collection of K10's objects was deleted with one request. K10's documented audit policy does not record this verb.

## Goal

Detect the deletion of any number of backups with one request.

## Strategy

One event covers all objects that the request selected, so one is enough.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
3. Stop running deletions: list them with `kubectl get retireactions`, and for each running one
   `kubectl create -n kasten-io -f - <<< '{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}'`
4. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- The event does not contain the number of objects.
- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.

## False positives

- None known. kubectl deletes objects one by one.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_collections"
    query                        = "@ObjectRef.APIGroup:(actions.kio.kasten.io OR apps.kio.kasten.io OR repositories.kio.kasten.io OR vault.kio.kasten.io) @Verb:deletecollection @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@ObjectRef.APIGroup:(actions.kio.kasten.io OR apps.kio.kasten.io) @ObjectRef.Namespace:?* @User.username:\"system:serviceaccount:kube-system:namespace-controller\" @UserAgent:*namespace\\-controller -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "critical"
    condition     = "deleted_k10_collections > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
