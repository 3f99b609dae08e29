resource "datadog_security_monitoring_rule" "kasten_passkeys_excessive_use_slow" {
  name               = "Slow Update, Delete or Get of Kasten Passkeys"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} used passkeys{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} {{events_matched}} times since {{first_seen}}, few times on each day, from {{@network.ip.list}}: read , changed
, deleted .

## About

One identity read, changed or deleted passkeys many times within a week, but few times on each day.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-passkeys-excessive-use.

This export finds less than the rule it is made of: the window is shorter: 1d instead of 7d.

## Goal

Detect use of passkeys that stays below the daily threshold.

## Strategy

The same count over a week. Raises no signal while the daily rule has one for the same identity.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 7d`
2. List the passkeys and whether they are valid: `kubectl get passkeys`
3. Check for reads of their Secrets: `kubectl get auditevents --field-selector resource=secrets,namespace=kasten-io`
4. Make sure that the passphrase is known outside the cluster, then rotate: create a new passkey, then delete the old one.
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Fewer than twelve in a week. The first read within 30 days raises the low signal of `kasten-passkey-first-reader`.
- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.

## False positives

- A monitoring tool that reads passkeys. Suppress this rule for its account.
END
  tags = ["tactic:TA0006-credential-access", "tactic:TA0040-impact", "technique:T1552.007-container-api", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "updated_k10_passkeys"
    query                        = "((@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(get OR list OR watch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@Verb:(list OR watch) @User.username:(\"system:kube-controller-manager\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\") (@UserAgent:*controller\\-manager* OR @UserAgent:*garbage\\-collector* OR @UserAgent:*metadata\\-informers*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "updated_k10_passkeys >= 12"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
