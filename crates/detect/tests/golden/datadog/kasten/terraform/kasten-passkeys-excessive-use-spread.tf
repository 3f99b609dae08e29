resource "datadog_security_monitoring_rule" "kasten_passkeys_excessive_use_spread" {
  name               = "Use of Kasten Passkeys Spread over Identities"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
Passkeys{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were touched {{events_matched}} times since {{first_seen}} by several identities, last by
{{@User.username}} from {{@network.ip.list}}.

## About

Passkeys were read, changed or deleted many times within a day by several identities, none of which did much.

This export finds more than the rule it is made of: it raises also beside a stricter rule: kasten-passkeys-excessive-use.

## Goal

Find use of passkeys that is spread over accounts.

## Strategy

The count of the whole cluster. It says nothing while the rule for one identity has a signal.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The accounts: `spec.actor.users` of the signal.
3. If it was not agreed on, take the rights away: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Behind kube-apiserver's aggregator only the identity that was acted as arrives. An identity that may impersonate one of K10's accounts is taken for K10; the cluster's own audit log has the same audit ID and the person.

## False positives

- A workshop about K10.
END
  tags = ["tactic:TA0006-credential-access", "tactic:TA0040-impact", "technique:T1552.007-container-api", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "updated_k10_passkeys"
    query                        = "((@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(get OR list OR watch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) -(@Verb:(list OR watch) @User.username:(\"system:kube-controller-manager\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\" OR \"system:serviceaccount:kube-system:resourcequota-controller\")) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)))"
    aggregation                  = "count"
    group_by_fields              = ["cluster-name"]
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
