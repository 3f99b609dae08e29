resource "datadog_security_monitoring_rule" "kasten_restorepoints_deleted_with_namespace_many" {
  name               = "Restore Points of Many Namespaces Deleted with Them"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} restore points in many namespaces{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} went with their namespaces since
{{first_seen}}.

## About

Many namespaces with backups were deleted within a day.

## Goal

Detect the deletion of many applications together with their restore points.

## Strategy

Counts different namespaces within a day. A few are normal.

## Triage and response

1. Find out who deletes them: `kubectl get auditevents --field-selector verb=delete,resource=namespaces`, or the cluster's own audit log.
2. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
3. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`

## Blind spots

- Fewer than ten in a day. Each namespace raises a low signal.

## False positives

- An agreed removal of all applications of a cluster.
END
  tags = ["tactic:TA0040-impact", "technique:T1485-data-destruction", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_rps_with_namespace"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:restorepoints @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @User.username:(\"system:serviceaccount:kube-system:namespace-controller\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\") @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "cardinality"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = ["@ObjectRef.Namespace"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "deleted_k10_rps_with_namespace >= 10"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
