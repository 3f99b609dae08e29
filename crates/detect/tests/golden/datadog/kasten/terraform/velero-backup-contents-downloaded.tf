resource "datadog_security_monitoring_rule" "velero_backup_contents_downloaded" {
  name               = "Velero Backup Contents Downloaded by an Identity for the First Time"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} created {{events_matched}} DownloadRequests for the contents of backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} since {{first_seen}}, from {{@network.ip.list}}, and had not done so within 30 days. Velero answers with a link that works without credentials for ten minutes. The last backup: {{@RequestObject.spec.target.name}}.

## About

An identity requested the contents of a backup. They contain all backed-up objects, with their Secrets.

This export finds less than the rule it is made of: the comparison is case-sensitive: requestObject.spec.target.kind.

This export finds less than the rule it is made of: earlier values are unknown: the very first value raises no signal.

## Goal

Detect theft of the Secrets and objects in a backup.

## Strategy

A DownloadRequest whose target is `BackupContents`. Logs and results, which `velero backup describe` and `logs` request, do not count.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The requests: `kubectl -n velero get downloadrequests -o yaml`
3. If it was not authorized, change the Secrets of the namespaces in the backup.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. No other rule reports it there.
- The download itself: it goes to the bucket, whose own log has it.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- `velero backup download`, by a person who examines a backup.
END
  tags = ["tactic:TA0009-collection", "tactic:TA0010-exfiltration", "technique:T1213-data-from-information-repositories", "technique:T1530-data-from-cloud-storage"]

  query {
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:downloadrequests @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @RequestObject.spec.target.kind:BackupContents -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "new_value"
    group_by_fields              = ["cluster-name"]
    metrics                      = ["@User.username"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    notifications = []
  }

  options {
    detection_method    = "new_value"
    keep_alive          = 21600
    max_signal_duration = 86400

    new_value_options {
      forget_after       = 30
      learning_duration  = 0
      learning_method    = "duration"
      learning_threshold = 0
    }
  }
}
