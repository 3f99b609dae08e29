resource "datadog_security_monitoring_rule" "kasten_passkey_first_reader" {
  name               = "Kasten Passkey Read by an Identity for the First Time"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} read passkeys{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} from {{@network.ip.list}} and had not done so within 30 days.

## About

An identity read passkeys for the first time.

This export finds less than the rule it is made of: earlier values are unknown: the very first value raises no signal.

## Goal

Detect new interest in the keys of the backups.

## Strategy

K10's own accounts read passkeys constantly and are ignored. Other readers are so rare that each new one is reported.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Inspect the passkey: `kubectl get passkey '{{@ObjectRef.Name}}' -o yaml`. It does not contain key material.

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.
- Readers before the rule existed are unknown, so each reader counts as new once.

## False positives

- A new member of the platform team explores the cluster.
END
  tags = ["tactic:TA0006-credential-access", "technique:T1552.007-container-api"]

  query {
    query                        = "@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(get OR list OR watch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@Verb:(list OR watch) @User.username:(\"system:kube-controller-manager\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\") (@UserAgent:*controller\\-manager* OR @UserAgent:*garbage\\-collector* OR @UserAgent:*metadata\\-informers*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "new_value"
    group_by_fields              = ["cluster-name"]
    metrics                      = ["@User.username"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    notifications = []
  }

  options {
    detection_method    = "new_value"
    keep_alive          = 21600
    max_signal_duration = 86400

    new_value_options {
      forget_after       = 30
      learning_duration  = 0
      learning_method    = "duration"
      learning_threshold = 0
    }
  }
}
