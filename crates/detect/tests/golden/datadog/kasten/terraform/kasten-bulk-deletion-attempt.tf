resource "datadog_security_monitoring_rule" "kasten_bulk_deletion_attempt" {
  name               = "Deletion of a Whole Collection of Kasten Backups Attempted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} tried to delete whole collections of K10's objects{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}.
The collections: .

## About

A person tried to delete a collection of K10's objects with one request. The request failed.

## Goal

Detect an attempt to destroy backups although it failed.

## Strategy

Keepwatch does not support this verb for K10's kinds (405), so every request fails and is recorded.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Check for single deletions instead: `kubectl get signals`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- K10's documented policy does not record this verb. The policy `extended` does.

## False positives

- A program that uses this verb for other kinds as well.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "refused_k10_collections"
    query                        = "@ObjectRef.APIGroup:(actions.kio.kasten.io OR apps.kio.kasten.io OR repositories.kio.kasten.io OR vault.kio.kasten.io) @Verb:deletecollection -(@ResponseStatus.code:>=200 @ResponseStatus.code:<300) -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@ObjectRef.Namespace:?* @User.username:\"system:serviceaccount:kube-system:namespace-controller\" @UserAgent:*namespace\\-controller -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "refused_k10_collections > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
