resource "datadog_security_monitoring_rule" "kasten_cancelactions_excessive_creation_without_body" {
  name               = "Excessive Creation of Kasten CancelActions without Recorded Bodies"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} created {{events_matched}} CancelActions{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} in {{@ObjectRef.Namespace}} since {{first_seen}}, from {{@network.ip.list}}. Their events do not show which actions were cancelled.

## About

One identity created many CancelActions within a day whose events have no body, or a body that was cut because it is long.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-cancelactions-excessive-creation.

## Goal

Detect cancellations that an audit policy without bodies or a long body would hide.

## Strategy

Counts requests, because the names of the actions are unknown. Raises no signal while the rule for events with bodies has one for the same identity.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Find out why the events have no body, or a cut one: `level` and `requestObject` of the evidence, and the audit policy of their source.
3. List the cancelled actions: `kubectl get backupactions,exportactions -A | grep Cancelled`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.
- Cancellations whose events have a body count separately. An identity that mixes both can reach almost twice the threshold.
- If two sources record the same requests and the one without bodies is first, they count here only, and not by the names of the actions.

## False positives

- Backups are stopped for a maintenance window, by one person and all at once.
- Repeated attempts to cancel one action: without the body, they look like different actions. This includes a second source without bodies, beside one with bodies.
END
  tags = ["tactic:TA0040-impact", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "created_k10_cancelactions_without_body"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:cancelactions @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@RequestObject.spec.subject.name:* -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "high"
    condition     = "created_k10_cancelactions_without_body >= 15"
    notifications = []
  }

  case {
    name          = "several"
    status        = "medium"
    condition     = "created_k10_cancelactions_without_body >= 5"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
