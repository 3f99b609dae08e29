resource "datadog_security_monitoring_rule" "kasten_refused_attempts_slow" {
  name               = "Refused Attempts on Kasten Backups over a Day"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} was refused {{events_matched}} times since {{first_seen}} when it tried to change backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} or to read passkeys, from {{@network.ip.list}}.

## About

One identity was denied many times within a day when it tried to change backups or to read passkeys, but rarely in each hour.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-refused-attempts.

## Goal

Detect slow probing.

## Strategy

Counts the same events over a day. Raises no signal while the hourly rule has one for the same identity.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Check whether a request succeeded in between: `kubectl get signals`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- In a cluster, kube-apiserver denies most requests by RBAC before they reach Keepwatch, so its audit log must be a source of Keepwatch. Requests that Keepwatch itself denies are always seen.
- Fewer than ten in a day.

## False positives

- A scheduled job that lost its permissions and fails every hour.
END
  tags = ["tactic:TA0007-discovery", "tactic:TA0040-impact", "technique:T1069-permission-groups-discovery", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "refused_k10_requests"
    query                        = "((@ObjectRef.APIGroup:(actions.kio.kasten.io OR apps.kio.kasten.io OR repositories.kio.kasten.io OR vault.kio.kasten.io) @Verb:(create OR update OR patch OR delete OR deletecollection) @ResponseStatus.code:(401 OR 403)) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @Verb:(get OR list OR watch) @ResponseStatus.code:(401 OR 403))) -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "refused_k10_requests >= 10"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
