resource "datadog_security_monitoring_rule" "kasten_retireaction_created_by_person_attempt" {
  name               = "Kasten RetireAction Attempted by a Person"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} tried to create RetireActions{{^is_exact_match "cluster-name" ""}} in {{cluster-name}}{{/is_exact_match}} {{events_matched}} times since {{first_seen}}, from {{@network.ip.list}}, and was refused.

## About

An identity other than K10 tried to create a RetireAction, which destroys a backup, and was denied.

## Goal

Detect attempts to destroy backups.

## Strategy

Only K10 has a reason to create a RetireAction, so one attempt is enough.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Check whether another attempt succeeded: `kubectl get signals`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requests with an invalid body are rejected for that reason and do not count.

## False positives

- A person who explores K10's API.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "refused_k10_retireactions"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:retireactions @Verb:create @ResponseStatus.code:(401 OR 403) -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "refused_k10_retireactions > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
