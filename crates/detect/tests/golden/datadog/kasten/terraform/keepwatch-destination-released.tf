resource "datadog_security_monitoring_rule" "keepwatch_destination_released" {
  name               = "Keepwatch Destination Released"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@ObjectRef.Name}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} gets no more events: its setting was taken away, or the Profile that it needs.
The annotation `keepwatch.io/cursor` of the event says why, from which record on, and how many were not delivered.

## About

A destination was turned off or lost its target. It receives no more events, and the journal retains none for it.

## Goal

Detect that audit events are cut off before an attack, even if the change itself is in a log that Keepwatch does not read: the release of the chart, or an AuditConfig in a cluster.

## Strategy

The server records an event when the journal stops retaining records for a reader. The other destinations receive it.

## Triage and response

1. The reader and the reason: `evidence` of the signal, and `keepwatch cursors list`.
2. Find out who changed it: `helm history` of the release; `kubectl get auditconfigs,profiles -A -o yaml`, and kube-apiserver's own audit log.
3. If it was not authorized, turn the destination on again with `--audit-log-resume-from=cursor`: it receives what is still in the journal.

## Blind spots

- If it was the only destination, the signal is only in Keepwatch (`kubectl get signals`) and in notifiers.
- A server that is stopped permanently does not record the event. `keepwatch-heartbeat-silent` detects that.

## False positives

- An agreed removal or move of a destination.
END
  tags = ["tactic:TA0005-defense-evasion", "technique:T1562.008-disable-or-modify-cloud-logs"]

  query {
    name                         = "released_destinations"
    query                        = "@Verb:release @User.username:\"system:keepwatch\" @Annotations.keepwatch.io/cursor:?* @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@ObjectRef.Name", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "released_destinations > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
