resource "datadog_security_monitoring_rule" "kasten_restorepoints_excessive_deletion_slow" {
  name               = "Slow Deletion of Kasten RestorePoints"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted {{events_matched}} restore points in {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} since {{first_seen}}, few on each day, from {{@network.ip.list}}.

## About

One identity deleted many different restore points within a week, but few on each day.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-restorepoints-excessive-deletion.

This export finds less than the rule it is made of: the window is shorter: 1d instead of 7d.

## Goal

Detect deletions that stay below the daily threshold.

## Strategy

The same count over a week. Raises no signal while the daily rule has one for the same identity.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
3. List what is left: `kubectl get restorepoints -n '{{@ObjectRef.Namespace}}'` and
   `kubectl get restorepointcontents -l k10.kasten.io/appNamespace='{{@ObjectRef.Namespace}}'`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Fewer than twelve in a week. Each of them raises the low signal of `kasten-restorepoints-manually-deleted`.

## False positives

- A person whose job is cleanup. Suppress this rule for that identity.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_rps"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:restorepoints @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@ObjectRef.Namespace:?* @User.username:\"system:serviceaccount:kube-system:namespace-controller\" @UserAgent:*namespace\\-controller -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:* @User.username:?*"
    aggregation                  = "cardinality"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = ["@RequestURI"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
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
