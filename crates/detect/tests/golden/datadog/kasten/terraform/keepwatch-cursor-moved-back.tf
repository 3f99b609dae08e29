resource "datadog_security_monitoring_rule" "keepwatch_cursor_moved_back" {
  name               = "Keepwatch Journal Cursor Rewound"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
Cursors{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were moved back {{events_matched}} times with `keepwatch cursors rewind` since {{first_seen}}. Their readers receive the events in between again.

## About

`keepwatch cursors rewind` was used. A destination receives events a second time.

## Goal

Explain duplicate events.

## Strategy

The command records an event.

## Triage and response

1. The reader and the positions: `evidence` of the signal.

## Blind spots

- Who used the command: it runs on the host, without a Kubernetes user.

## False positives

- A destination lost its data and receives it again.
END
  tags = ["tactic:TA0005-defense-evasion", "technique:T1562.008-disable-or-modify-cloud-logs"]

  query {
    name                         = "rewound_cursors"
    query                        = "@Verb:rewind @User.username:\"system:keepwatch\" @Annotations.keepwatch.io/cursor:?* @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    condition     = "rewound_cursors > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
