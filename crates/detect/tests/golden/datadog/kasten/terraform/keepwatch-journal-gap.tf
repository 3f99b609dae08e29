resource "datadog_security_monitoring_rule" "keepwatch_journal_gap" {
  name               = "Keepwatch Journal Has a Gap"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} records of the journal{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} could not be read since {{first_seen}}. The annotations
`keepwatch.io/seq` and `keepwatch.io/gap` of each event say which, and why.

## About

A record of the journal could not be read. An event is lost, because of disk damage or because the file was edited.

## Goal

Detect events that were removed from the journal.

## Strategy

Each record has a checksum. A record with a wrong checksum is replaced by a gap event.

## Triage and response

1. The records: `evidence` of the signal.
2. Check the disk: `dmesg`, `smartctl -a DEVICE`
3. Look for the same events in another destination or in the cluster's own audit log, by time.

## Blind spots

- An attacker who also corrects the checksum, or removes the newest records together with the stored highest number.

## False positives

- A failing disk.
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
