resource "datadog_security_monitoring_rule" "velero_repository_maintenance_changed" {
  name               = "Velero Repository Maintenance Changed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} changed the maintenance or the place of backup repositories{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. A repository without maintenance grows and becomes slow; one that points elsewhere has no data to restore.
The objects: .

## About

A person changed the maintenance of a backup repository, or where it is.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

## Goal

Detect repositories that are lost without a deletion.

## Strategy

The request writes `maintenanceFrequency`, `resticIdentifier` or `backupStorageLocation` of the spec.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n velero get backuprepositories -o yaml`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. `velero-configuration-changed-without-body` reports such a change, at low severity.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- A maintenance interval that an administrator tunes.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1565.001-stored-data-manipulation"]

  query {
    name                         = "changed_velero_repositories"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:backuprepositories @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.maintenanceFrequency:* OR @RequestObject.path:(\"/spec\" OR \"/spec/maintenanceFrequency\" OR \"/spec/resticIdentifier\" OR \"/spec/backupStorageLocation\") OR @RequestObject.path:/spec/maintenanceFrequency/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*) OR @RequestObject.spec.resticIdentifier:* OR @RequestObject.path:/spec/resticIdentifier/* OR @RequestObject.spec.backupStorageLocation:* OR @RequestObject.path:/spec/backupStorageLocation/*) -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "changed_velero_repositories > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
