resource "datadog_security_monitoring_rule" "kasten_passkeys_excessive_use" {
  name               = "Excessive Update, Delete or Get of Kasten Passkeys"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} touched passkeys{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} {{events_matched}} times since {{first_seen}}, from
{{@network.ip.list}}: read , changed
, deleted .

## About

One identity read, changed or deleted passkeys, which name the keys that all backups are encrypted with, many times within a day.

## Goal

Find an identity that is after the keys of the backups: to read them, or to make backups unreadable.

## Strategy

K10's own accounts read passkeys all the time and do not count. People do rarely, and then once.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Which passkeys there are, and whether they are valid: `kubectl get passkeys`
3. Whether the Secrets behind them were read: `kubectl get auditevents --field-selector resource=secrets,namespace=kasten-io`
4. Make sure that the passphrase is kept outside the cluster, then rotate: a new passkey first, then the old one away.
5. If it was not agreed on, take the rights away: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Behind kube-apiserver's aggregator only the identity that was acted as arrives. An identity that may impersonate one of K10's accounts is taken for K10; the cluster's own audit log has the same audit ID and the person.
- Reads of the Secrets behind passkeys are in the cluster's own audit log.

## False positives

- Keys are rotated by hand, with a look at them after each step.
- A monitoring tool that reads them; suppress this rule for its account.
END
  tags = ["tactic:TA0006-credential-access", "tactic:TA0040-impact", "technique:T1552.007-container-api", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "updated_k10_passkeys"
    query                        = "((@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(get OR list OR watch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) -(@Verb:(list OR watch) @User.username:(\"system:kube-controller-manager\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\" OR \"system:serviceaccount:kube-system:resourcequota-controller\")) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "updated_k10_passkeys >= 5"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
