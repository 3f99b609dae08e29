resource "datadog_security_monitoring_rule" "kasten_refused_attempts" {
  name               = "Refused Attempts on Kasten Backups in a Row"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} was refused {{events_matched}} times since {{first_seen}} when it tried to change backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} or to look at passkeys, from {{@network.ip.list}}.

## About

One identity was refused again and again when it tried to change backups or to look at passkeys.

## Goal

Find who looks for a way in, before one is found.

## Strategy

Refusals (401, 403) of what damages, and of looks at passkeys. Success does not count here: it has rules of its own.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Whether something was let through in between: `kubectl get signals`
3. If it was not agreed on, take the rights away: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- In a cluster kube-apiserver refuses by RBAC before a request arrives: its audit log must be a source of Keepwatch. What Keepwatch itself refuses is always seen.
- A clever attacker asks what is allowed instead (`kubectl auth can-i`), which is in the cluster's own audit log.

## False positives

- A pipeline whose rights were taken away and that tries on.
END
  tags = ["tactic:TA0007-discovery", "tactic:TA0040-impact", "technique:T1069-permission-groups-discovery", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "refused_k10_requests"
    query                        = "((@ObjectRef.APIGroup:(actions.kio.kasten.io OR apps.kio.kasten.io OR repositories.kio.kasten.io OR vault.kio.kasten.io) @Verb:(create OR update OR patch OR delete OR deletecollection) @ResponseStatus.code:(401 OR 403)) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @Verb:(get OR list OR watch) @ResponseStatus.code:(401 OR 403))) -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "persistent"
    status        = "high"
    condition     = "refused_k10_requests >= 50"
    notifications = []
  }

  case {
    name          = "several"
    status        = "medium"
    condition     = "refused_k10_requests >= 5"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 3600
    keep_alive          = 3600
    max_signal_duration = 86400
  }
}
