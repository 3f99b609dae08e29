resource "datadog_security_monitoring_rule" "keepwatch_journal_gap" {
  name               = "Keepwatch Journal Has a Gap"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} records of the journal{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} could not be read since {{first_seen}}. The annotations
`keepwatch.io/seq` and `keepwatch.io/gap` of each event say which, and why.

## About

A record of the journal could not be read: an event is lost, through damage on disk or because the file was edited.

## Goal

Find events that were taken out of the journal.

## Strategy

Each record has a checksum. One that does not fit leaves an event in its place.

## Triage and response

1. Which records: `evidence` of the signal.
2. Whether the disk is well: `dmesg`, `smartctl -a DEVICE`
3. The same events in another destination, or in the cluster's own audit log, by time.

## Blind spots

- An editor who fixes the checksum, or cuts the end off.

## False positives

- A disk that fails.
END
  tags = ["tactic:TA0005-defense-evasion", "technique:T1562.008-disable-or-modify-cloud-logs"]

  query {
    name                         = "journal_gaps"
    query                        = "@Verb:gap @Annotations.keepwatch.io/gap:?* @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "journal_gaps > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
