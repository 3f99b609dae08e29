resource "datadog_security_monitoring_rule" "keepwatch_cursor_moved" {
  name               = "Keepwatch Journal Cursor Skipped"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
Cursors{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were moved forward {{events_matched}} times with `keepwatch cursors skip` since {{first_seen}}. Their readers do not receive the events in between.
The annotation `keepwatch.io/cursor` of each event names the reader and the positions.

## About

`keepwatch cursors skip` was used. A destination will not receive the skipped events.

## Goal

Detect events that are withheld from an archive or a SIEM.

## Strategy

The command records an event, which is the only sign in the stream that events were skipped on purpose.

## Triage and response

1. The reader and the positions: `evidence` of the signal.
2. Find out who had shell access to the host: the command needs the data folder.
3. Deliver the events again: `keepwatch cursors rewind READER --to FROM --data-dir DIR` while the server is stopped.

## Blind spots

- Who used the command: it runs on the host, without a Kubernetes user.
- A full journal cannot record the event.

## False positives

- A destination no longer exists, and its events are discarded by agreement.
END
  tags = ["tactic:TA0005-defense-evasion", "technique:T1562.008-disable-or-modify-cloud-logs"]

  query {
    name                         = "skipped_cursors"
    query                        = "@Verb:skip @User.username:\"system:keepwatch\" @Annotations.keepwatch.io/cursor:?* @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "skipped_cursors > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
