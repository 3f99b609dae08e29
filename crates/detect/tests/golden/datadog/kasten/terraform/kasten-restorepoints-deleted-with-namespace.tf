resource "datadog_security_monitoring_rule" "kasten_restorepoints_deleted_with_namespace" {
  name               = "Kasten RestorePoints Deleted with Their Namespace"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
Namespace {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} was deleted with its restore points: {{events_matched}} requests since {{first_seen}}. Their contents remain until K10 retires them.

## About

A namespace was deleted together with its restore points. Their contents remain, and the application can be restored from them.

## Goal

Distinguish deletions with a namespace from deletions by a person.

## Strategy

Kubernetes' namespace controller deletes the content of a namespace under its own account and with its own user agent. All of kube-system would be too broad. A request that impersonates this account counts for the user who sends it.

## Triage and response

1. Find out who deleted it: `kubectl get auditevents --field-selector verb=delete,resource=namespaces,name='{{@ObjectRef.Namespace}}'`, or the cluster's own audit log.
2. List the contents to restore from: `kubectl get restorepointcontents -l k10.kasten.io/appNamespace='{{@ObjectRef.Namespace}}'`

## Blind spots

- The cluster's own audit log has the user who deleted the namespace.
- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate this account, and sends its user agent, looks like the namespace controller. Contents and cluster restore points have no namespace, so their deletion always raises a high signal.

## False positives

- Namespaces are created and deleted in every cluster.
END
  tags = ["tactic:TA0040-impact", "technique:T1485-data-destruction"]

  query {
    name                         = "deleted_k10_rps_with_namespace"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:restorepoints @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @ObjectRef.Namespace:?* @User.username:\"system:serviceaccount:kube-system:namespace-controller\" @UserAgent:*namespace\\-controller -@ImpersonatedUser.username:?* @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
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
