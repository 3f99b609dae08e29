resource "datadog_security_monitoring_rule" "kasten_passkeys_excessive_use_spread_slow" {
  name               = "Slow Use of Kasten Passkeys Spread over Identities"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
Passkeys{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were used {{events_matched}} times by {{@User.username}} since {{first_seen}}, from {{@network.ip.list}}.

## About

Several identities read, changed or deleted passkeys many times within a week, few times by each and few times on each day.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-passkeys-excessive-use, kasten-passkeys-excessive-use-spread, kasten-passkeys-excessive-use-slow.

This export finds less than the rule it is made of: the window is shorter: 1d instead of 7d.

## Goal

Detect access to passkeys that is spread over accounts and days.

## Strategy

Counts over the whole cluster and a week. Raises no signal while one of the stricter rules has one.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 7d`
2. The accounts: `spec.actor.users` of the signal.
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Fewer than thirty in a week.
- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.

## False positives

- A large platform team that inspects passkeys every day.
END
  tags = ["tactic:TA0006-credential-access", "tactic:TA0040-impact", "technique:T1552.007-container-api", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "updated_k10_passkeys"
    query                        = "((@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(get OR list OR watch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@Verb:(list OR watch) @User.username:(\"system:kube-controller-manager\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\") (@UserAgent:*controller\\-manager* OR @UserAgent:*garbage\\-collector* OR @UserAgent:*metadata\\-informers*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)))"
    aggregation                  = "count"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "updated_k10_passkeys >= 30"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
