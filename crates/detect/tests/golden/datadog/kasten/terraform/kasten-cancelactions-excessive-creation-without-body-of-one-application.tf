resource "datadog_security_monitoring_rule" "kasten_cancelactions_excessive_creation_without_body_of_one_application" {
  name               = "Kasten Actions of One Application Cancelled Again and Again without Recorded Bodies"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} CancelActions in namespace {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were created by {{@User.username}} since {{first_seen}}, from {{@network.ip.list}}. Their events do not show which actions were cancelled.

## About

CancelActions in one namespace were created repeatedly within a week. Their events have no body, or a body that was cut because it is long.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-cancelactions-excessive-creation, kasten-cancelactions-excessive-creation-of-one-application, kasten-cancelactions-excessive-creation-without-body.

This export finds less than the rule it is made of: the window is shorter: 1d instead of 7d.

## Goal

Detect an application whose backups are prevented one by one, without recorded bodies.

## Strategy

Counts requests in one namespace over a week, by any identity. The threshold is one a night: it is higher than that for different actions, because repeated attempts count here.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 7d`
2. Find the newest backup: `kubectl get restorepoints -n '{{@ObjectRef.Namespace}}' --sort-by=.metadata.creationTimestamp`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Exports and policy runs are cancelled in K10's namespace and are counted together there.
- Cancellations whose events have a body count separately. An identity that mixes both can reach almost twice the threshold.
- If two sources record the same requests and the one without bodies is first, they count here only, and not by the names of the actions.

## False positives

- A backup that hangs and that people cancel with several attempts.
- Repeated attempts to cancel one action: without the body, they look like different actions. This includes a second source without bodies, beside one with bodies.
END
  tags = ["tactic:TA0040-impact", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "created_k10_cancelactions_without_body"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:cancelactions @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@RequestObject.spec.subject.name:* -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*) @ObjectRef.Namespace:?*"
    aggregation                  = "count"
    group_by_fields              = ["@ObjectRef.Namespace", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "created_k10_cancelactions_without_body >= 7"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
