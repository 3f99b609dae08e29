resource "datadog_security_monitoring_rule" "kasten_restorepoints_excessive_deletion_spread" {
  name               = "Deletion of Kasten RestorePoints Spread over Identities"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} restore points in {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were deleted by {{@User.username}} since {{first_seen}}, from {{@network.ip.list}}.

## About

Several identities deleted many different restore points within a day, none of them many.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-restorepoints-excessive-deletion.

## Goal

Detect deletions that are spread over accounts to stay below each threshold.

## Strategy

Counts over the whole cluster, for all identities together. Raises no signal while the rule for one identity has one.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The accounts: `spec.actor.users` of the signal. Find out who created these accounts:
   `keepwatch investigate user NAME --since 7d` for each
3. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
4. List what is left: `kubectl get restorepoints -n '{{@ObjectRef.Namespace}}'` and
   `kubectl get restorepointcontents -l k10.kasten.io/appNamespace='{{@ObjectRef.Namespace}}'`
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.

## False positives

- A migration by a whole team.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_rps"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:restorepoints @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@ObjectRef.Namespace:?* @User.username:\"system:serviceaccount:kube-system:namespace-controller\" @UserAgent:*namespace\\-controller -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "cardinality"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = ["@RequestURI"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "high"
    condition     = "deleted_k10_rps >= 30"
    notifications = []
  }

  case {
    name          = "several"
    status        = "medium"
    condition     = "deleted_k10_rps >= 12"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
