resource "datadog_security_monitoring_rule" "kasten_cancelactions_excessive_creation_slow" {
  name               = "Slow Creation of Kasten CancelActions"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} actions{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were cancelled since {{first_seen}}, last by {{@User.username}} from
{{@network.ip.list}}.

## About

Many different actions were cancelled within a week, by one identity or by several, few on each day.

This export finds more than the rule it is made of: it raises also beside a stricter rule: kasten-cancelactions-excessive-creation, kasten-cancelactions-excessive-creation-spread.

This export finds less than the rule it is made of: the window is shorter: 1d instead of 7d.

## Goal

Find cancelling that stays below the daily thresholds.

## Strategy

The count of the whole cluster over a week. It says nothing while one of the stricter rules has a signal.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. What was not finished: `kubectl get backupactions,exportactions -A | grep Cancelled`
3. If it was not agreed on, take the rights away: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Needs request bodies: the audit policy must record K10's groups at level RequestResponse, as both policies that come with Keepwatch do.
- Fewer than twenty a week.

## False positives

- A storage that hangs for days, and people who stop what hangs.
END
  tags = ["tactic:TA0040-impact", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "created_k10_cancelactions"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:cancelactions @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
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
