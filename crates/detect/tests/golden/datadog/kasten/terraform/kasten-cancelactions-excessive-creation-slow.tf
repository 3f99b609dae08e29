resource "datadog_security_monitoring_rule" "kasten_cancelactions_excessive_creation_slow" {
  name               = "Slow Creation of Kasten CancelActions"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} actions{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} in {{@ObjectRef.Namespace}} were cancelled by {{@User.username}} since {{first_seen}}, from {{@network.ip.list}}.

## About

Many different actions were cancelled within a week, by one or several identities, few on each day.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-cancelactions-excessive-creation, kasten-cancelactions-excessive-creation-spread.

This export finds less than the rule it is made of: the window is shorter: 1d instead of 7d.

## Goal

Detect cancellations that stay below the daily thresholds.

## Strategy

Counts over the whole cluster and a week. Raises no signal while one of the stricter rules has one.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. List the cancelled actions: `kubectl get backupactions,exportactions -A | grep Cancelled`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. Events without them, and requests that another source reported without them before, count separately, in `kasten-cancelactions-excessive-creation-without-body-slow`.
- Actions of the same name in two namespaces count as one.
- Fewer than twenty in a week.

## False positives

- A storage outage of several days in which people cancel hanging actions.
END
  tags = ["tactic:TA0040-impact", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "created_k10_cancelactions"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:cancelactions @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "cardinality"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = ["@RequestObject.spec.subject.name"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "created_k10_cancelactions >= 20"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
