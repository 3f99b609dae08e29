resource "datadog_security_monitoring_rule" "kasten_restorepoints_deleted_with_namespace" {
  name               = "Kasten RestorePoints Deleted with Their Namespace"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
Namespace {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} was removed, and its restore points with it: {{events_matched}}
deletions since {{first_seen}}. Their contents are there until K10 retires them.

## About

A namespace was deleted together with its restore points. Their contents remain, and the application can be restored from them.

## Goal

Distinguish deletions with a namespace from deletions by a person.

## Strategy

Kubernetes' own controllers delete the content of a namespace under specific accounts of kube-system. Only these match, because all of kube-system would be too broad.

## Triage and response

1. Find out who deleted it: `kubectl get auditevents --field-selector verb=delete,resource=namespaces,name='{{@ObjectRef.Namespace}}'`, or the cluster's own audit log.
2. List the contents to restore from: `kubectl get restorepointcontents -l k10.kasten.io/appNamespace='{{@ObjectRef.Namespace}}'`

## Blind spots

- The cluster's own audit log has the user who deleted the namespace.

## False positives

- Namespaces are created and deleted in every cluster.
END
  tags = ["tactic:TA0040-impact", "technique:T1485-data-destruction"]

  query {
    name                         = "deleted_k10_rps_with_namespace"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:restorepoints @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @User.username:(\"system:serviceaccount:kube-system:namespace-controller\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\") @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@ObjectRef.Namespace", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    condition     = "deleted_k10_rps_with_namespace > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
