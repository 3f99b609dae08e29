resource "datadog_security_monitoring_rule" "kasten_refused_attempts_spread" {
  name               = "Refused Attempts on Kasten Backups by Many Identities"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} attempts of {{@User.username}} on backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were refused since {{first_seen}}, from {{@network.ip.list}}.

## About

Many identities were denied within a day when they tried to change backups or to read passkeys. One person may be trying one account after another.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-refused-attempts.

## Goal

Detect one person who tries many accounts.

## Strategy

Counts different denied users over the whole cluster.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The accounts and addresses: `spec.actor` of the signal.

## Blind spots

- In a cluster, kube-apiserver denies most requests by RBAC before they reach Keepwatch, so its audit log must be a source of Keepwatch. Requests that Keepwatch itself denies are always seen.
- Unauthenticated requests (401) have no user.

## False positives

- A whole team lost its permissions.
END
  tags = ["tactic:TA0007-discovery", "tactic:TA0040-impact", "technique:T1069-permission-groups-discovery", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "refused_k10_requests"
    query                        = "((@ObjectRef.APIGroup:(actions.kio.kasten.io OR apps.kio.kasten.io OR repositories.kio.kasten.io OR vault.kio.kasten.io) @Verb:(create OR update OR patch OR delete OR deletecollection) @ResponseStatus.code:(401 OR 403)) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @Verb:(get OR list OR watch) @ResponseStatus.code:(401 OR 403))) -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "cardinality"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = ["@User.username"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "refused_k10_requests >= 5"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
