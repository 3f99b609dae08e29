resource "datadog_security_monitoring_rule" "velero_storage_location_changed_applied" {
  name               = "Velero Storage Location Applied with a New Destination"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} applied the storage location {{@ObjectRef.Name}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with the bucket {{@ResponseObject.spec.objectStorage.bucket}} at {{first_seen}}, from {{@network.ip.list}}. It did not have that bucket and prefix within 30 days.

## About

A pipeline applied a whole storage location with a bucket or prefix that it did not have in the last 30 days.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: earlier values are unknown: the very first value raises no signal.

## Goal

Detect backups that are redirected through a pipeline.

## Strategy

A patch by a ServiceAccount that contains the provider is the whole object. The combination of namespace, name, bucket and prefix is new. The first time that a pipeline applies it is reported too.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n velero get backupstoragelocations -o yaml`
3. The commit that changed it, and who approved it.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. `velero-configuration-changed-without-body` reports such a change, at low severity.
- A change of credentials or configuration only.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- An agreed move of a bucket through the repository of a pipeline.
END
  tags = ["tactic:TA0040-impact", "tactic:TA0010-exfiltration", "technique:T1490-inhibit-system-recovery", "technique:T1565.001-stored-data-manipulation", "technique:T1537-transfer-data-to-cloud-account"]

  query {
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:backupstoragelocations @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @Verb:patch @User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?* (@RequestObject.spec.provider:* OR @RequestObject.path:(\"/spec\" OR \"/spec/provider\") OR @RequestObject.path:/spec/provider/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "new_value"
    group_by_fields              = ["@User.username", "cluster-name"]
    metrics                      = ["@ObjectRef.Namespace", "@ObjectRef.Name", "@ResponseObject.spec.objectStorage.bucket", "@ResponseObject.spec.objectStorage.prefix"]
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
