resource "datadog_security_monitoring_rule" "longhorn_setting_changed_backup" {
  name               = "Longhorn Backup Setting Changed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} changed settings about backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

A person changed how long Longhorn keeps failed backups, or whether it deletes snapshots after backups.

This export finds less than the rule it is made of: the comparison is case-sensitive: objectRef.name.

## Goal

Show changes that affect what Longhorn keeps.

## Strategy

Every change by an identity outside Longhorn.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The settings: `kubectl -n longhorn-system get settings.longhorn.io`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Whether the change keeps more or less.
- Requests in Longhorn's UI and HTTP API reach Kubernetes under Longhorn's own account, which is exempt: they are not visible as those of a person.

## False positives

- An administrator tunes the settings.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "changed_longhorn_settings"
    query                        = "@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:settings @ObjectRef.Name:(auto-cleanup-recurring-job-backup-snapshot OR auto-cleanup-system-generated-snapshot OR failed-backup-ttl OR recurring-failed-jobs-history-limit) @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:longhorn\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    condition     = "changed_longhorn_settings > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
