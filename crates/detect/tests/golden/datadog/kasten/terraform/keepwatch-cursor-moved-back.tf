resource "datadog_security_monitoring_rule" "keepwatch_cursor_moved_back" {
  name               = "Keepwatch Journal Cursor Rewound"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
A cursor{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} was moved back with `keepwatch cursors rewind`. Its reader gets what lies between again.

## About

`keepwatch cursors rewind` was used: a destination gets events a second time.

## Goal

Explain events that come twice.

## Strategy

The command records an event of its own.

## Triage and response

1. Which reader, from where to where: `evidence` of the signal.

## Blind spots

- Who used the command: it runs on the host, without a user.

## False positives

- A destination lost what it had and is filled again.
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
