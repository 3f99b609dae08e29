resource "datadog_security_monitoring_rule" "velero_storage_location_changed_read_only" {
  name               = "Velero Storage Location Set Read-only"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} set storage locations{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} to read-only with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Backups fail from now on. Existing ones stay, and Velero does not delete expired ones.
The objects: .

## About

A person set a storage location to read-only. Velero makes no new backups there.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: requestObject.spec.accessMode.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.spec.accessMode.

## Goal

Detect backups that are switched off at their destination.

## Strategy

The request sets `spec.accessMode` to `ReadOnly`.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n velero get backupstoragelocations`
3. Undo it: `kubectl -n velero patch backupstoragelocations '{{@ObjectRef.Name}}' --type merge -p '{"spec":{"accessMode":"ReadWrite"}}'`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. `velero-configuration-changed-without-body` reports such a change, at low severity.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- A restore, before which Velero recommends a read-only location.
- A pipeline that applies a manifest with a read-only location again and again.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1489-service-stop"]

  query {
    name                         = "read_only_velero_locations"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:backupstoragelocations @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.accessMode:ReadOnly OR ((@RequestObject.spec.accessMode:* OR @RequestObject.path:(\"/spec\" OR \"/spec/accessMode\") OR @RequestObject.path:/spec/accessMode/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.accessMode:ReadOnly)) -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "read_only_velero_locations > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
