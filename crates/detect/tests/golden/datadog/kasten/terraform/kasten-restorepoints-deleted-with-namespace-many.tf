resource "datadog_security_monitoring_rule" "kasten_restorepoints_deleted_with_namespace_many" {
  name               = "Restore Points of Many Namespaces Deleted with Them"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
Restore points of  namespaces{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were deleted with their namespaces since {{first_seen}}: {{events_matched}} requests. Their contents remain until K10 retires them.

## About

Thirty or more namespaces with restore points were deleted within a day.

## Goal

Detect the deletion of many applications together with their restore points.

## Strategy

Counts different namespaces within a day. Preview environments and tests remove up to a few dozen in a day.

## Triage and response

1. Find out who deletes them: `kubectl get auditevents --field-selector verb=delete,resource=namespaces`, or the cluster's own audit log.
2. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
3. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`

## Blind spots

- Fewer than thirty in a day. Each namespace raises a low signal.

## False positives

- An agreed removal of all applications of a cluster.
- Preview environments in large numbers that are backed up. Suppress this rule, or exclude their namespaces from the policies.
END
  tags = ["tactic:TA0040-impact", "technique:T1485-data-destruction", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_rps_with_namespace"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:restorepoints @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @ObjectRef.Namespace:?* @User.username:\"system:serviceaccount:kube-system:namespace-controller\" @UserAgent:*namespace\\-controller -@ImpersonatedUser.username:?* @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "cardinality"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = ["@ObjectRef.Namespace"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "deleted_k10_rps_with_namespace >= 30"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
