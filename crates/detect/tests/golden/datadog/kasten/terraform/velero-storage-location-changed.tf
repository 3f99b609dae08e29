resource "datadog_security_monitoring_rule" "velero_storage_location_changed" {
  name               = "Velero Storage Location Repointed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} changed the destination of storage locations{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. The data in the former bucket stays, but Velero deletes the Backup objects that it does not find in the new one.
The objects: .

## About

A person changed the bucket, the credential or the configuration of a storage location. Later backups go there, and earlier ones are no longer found.

This export finds other things than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

## Goal

Detect backups that are redirected, or cut off from their bucket.

## Strategy

The request writes `spec.objectStorage`, `spec.config` or `spec.credential`, and is no patch of the whole object by a ServiceAccount.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n velero get backupstoragelocations -o yaml`
3. Find out who owns the bucket.
4. Point it back: the earlier values are in the manifest, or in the evidence of an earlier signal.
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. `velero-configuration-changed-without-body` reports such a change, at low severity.
- A whole object that is applied with another destination by a ServiceAccount raises only the low signal of `velero-storage-location-changed-applied`.
- The Secret of a location can be changed without changing the location: `backup-credentials-changed`.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- Agreed rotation of credentials or move of a bucket.
- A client that replaces a whole object (PUT), such as `velero backup-location set`, sends fields that it does not change.
END
  tags = ["tactic:TA0040-impact", "tactic:TA0010-exfiltration", "technique:T1490-inhibit-system-recovery", "technique:T1565.001-stored-data-manipulation", "technique:T1537-transfer-data-to-cloud-account"]

  query {
    name                         = "repointed_velero_locations"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:backupstoragelocations @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.objectStorage:* OR @RequestObject.path:(\"/spec\" OR \"/spec/objectStorage\" OR \"/spec/config\" OR \"/spec/credential\") OR @RequestObject.path:/spec/objectStorage/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*) OR @RequestObject.spec.config:* OR @RequestObject.path:/spec/config/* OR @RequestObject.spec.credential:* OR @RequestObject.path:/spec/credential/*) -(@Verb:patch @User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?* (@RequestObject.spec.provider:* OR @RequestObject.path:(\"/spec\" OR \"/spec/provider\") OR @RequestObject.path:/spec/provider/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*))) -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "repointed_velero_locations > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
