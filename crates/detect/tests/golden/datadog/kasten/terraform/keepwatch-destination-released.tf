resource "datadog_security_monitoring_rule" "keepwatch_destination_released" {
  name               = "Keepwatch Destination Released"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@ObjectRef.Name}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} gets no more events: its setting was taken away, or the Profile that it needs.
The annotation `keepwatch.io/cursor` of the event says why, from which record on, and how many were not delivered.

## About

A destination of events was switched off, or lost the place it delivers to: it gets nothing more, and the journal holds nothing for it.

## Goal

Find who turns the recording away before doing something, also where the change itself is in a log that Keepwatch does not read: the release of the chart, or an AuditConfig in a cluster.

## Strategy

The server records an event of its own when nothing is held for a reader of its journal any more. The other destinations get it.

## Triage and response

1. Which reader and why: `evidence` of the signal, and `keepwatch cursors list`.
2. Who changed it: `helm history` of the release; `kubectl get auditconfigs,profiles -A -o yaml`, and kube-apiserver's own audit log.
3. If it was not agreed on, switch it on again with `--audit-log-resume-from=cursor`: what is still in the journal is delivered.

## Blind spots

- If it was the only destination, the signal is in Keepwatch only: `kubectl get signals`, and notifiers.
- A server that is stopped for good releases nothing. `keepwatch-heartbeat-silent` finds that.

## False positives

- A destination is given up or moved by agreement.
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
