resource "datadog_security_monitoring_rule" "kasten_refused_attempts_spread" {
  name               = "Refused Attempts on Kasten Backups by Many Identities"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
Attempts on backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} by many identities were refused since {{first_seen}}: {{events_matched}}, last by
{{@User.username}} from {{@network.ip.list}}.

## About

Many identities were refused within a day when they tried to change backups or to look at passkeys: one person tries one account after the other.

This export finds more than the rule it is made of: it raises also beside a stricter rule: kasten-refused-attempts.

## Goal

Find one person who tries many accounts.

## Strategy

Different users that were refused, over the whole cluster.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The accounts and addresses: `spec.actor` of the signal.

## Blind spots

- In a cluster kube-apiserver refuses by RBAC before a request arrives: its audit log must be a source of Keepwatch. What Keepwatch itself refuses is always seen.
- Requests without any identity (401) name no user.

## False positives

- Rights were taken away from a whole team.
END
  tags = ["tactic:TA0007-discovery", "tactic:TA0040-impact", "technique:T1069-permission-groups-discovery", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "refused_k10_requests"
    query                        = "((@ObjectRef.APIGroup:(actions.kio.kasten.io OR apps.kio.kasten.io OR repositories.kio.kasten.io OR vault.kio.kasten.io) @Verb:(create OR update OR patch OR delete OR deletecollection) @ResponseStatus.code:(401 OR 403)) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @Verb:(get OR list OR watch) @ResponseStatus.code:(401 OR 403))) -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
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
