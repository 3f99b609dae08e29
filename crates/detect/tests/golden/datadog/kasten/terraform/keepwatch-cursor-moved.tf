resource "datadog_security_monitoring_rule" "keepwatch_cursor_moved" {
  name               = "Keepwatch Journal Cursor Skipped"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
A cursor{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} was moved forward with `keepwatch cursors skip`. Its reader will not get what lies between.
The annotation `keepwatch.io/cursor` of the event names the reader and the positions.

## About

`keepwatch cursors skip` was used: a destination will never get the events that were passed over.

## Goal

Find events that are kept from an archive or a SIEM.

## Strategy

The command records an event of its own, the only trace in the stream that something is missing on purpose.

## Triage and response

1. Which reader, from where to where: `evidence` of the signal.
2. Who was on the host: the command needs the data folder, and so a shell there.
3. Deliver it after all: `keepwatch cursors rewind READER --to FROM --data-dir DIR` while the server is down.

## Blind spots

- Who used the command: it runs on the host, without a user.
- A journal that is full cannot record it.

## False positives

- A destination is gone for good, and its events are given up by agreement.
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
