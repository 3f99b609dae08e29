resource "datadog_security_monitoring_rule" "kasten_passkey_first_reader" {
  name               = "Kasten Passkey Read by an Identity for the First Time"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} read passkeys{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} from {{@network.ip.list}} and had not done so within 30 days.

## About

An identity that has not done so before read passkeys.

This export finds less than the rule it is made of: what was seen before is not known: the first value of all is learned without a signal.

## Goal

Find who begins to be interested in the keys of the backups.

## Strategy

K10's own accounts read them all the time and are left out. Other readers are so few that each new one is worth a line.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. What the passkey names: `kubectl get passkey '{{@ObjectRef.Name}}' -o yaml`. Key material is not in it.

## Blind spots

- Behind kube-apiserver's aggregator only the identity that was acted as arrives. An identity that may impersonate one of K10's accounts is taken for K10; the cluster's own audit log has the same audit ID and the person.
- Who read them before the rule was there is unknown: each reader is new once.

## False positives

- A new member of the platform team looks around.
END
  tags = ["tactic:TA0006-credential-access", "technique:T1552.007-container-api"]

  query {
    query                        = "@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(get OR list OR watch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) -(@Verb:(list OR watch) @User.username:(\"system:kube-controller-manager\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\" OR \"system:serviceaccount:kube-system:resourcequota-controller\")) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
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
