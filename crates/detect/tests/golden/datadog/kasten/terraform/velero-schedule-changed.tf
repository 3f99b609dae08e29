resource "datadog_security_monitoring_rule" "velero_schedule_changed" {
  name               = "Velero Schedule Paused"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} paused schedules{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Existing backups stay and expire as planned.
The objects: .

## About

A person paused a schedule. No new backups are made until it is resumed, and nothing reports that.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

## Goal

Detect backups that are switched off before an attack.

## Strategy

The request sets `spec.paused` to true. `velero schedule pause` and `kubectl patch` both do.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n velero get schedules`
3. Resume it: `velero schedule unpause '{{@ObjectRef.Name}}'`
4. The newest backup: `kubectl -n velero get backups.velero.io --sort-by=.metadata.creationTimestamp`
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. `velero-configuration-changed-without-body` reports such a change, at low severity.
- A schedule that can make no backup any more, because its selector or cron expression was changed.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- Agreed maintenance of the storage.
- `velero schedule pause`, by a person on call.
- A pipeline that applies a manifest with a paused schedule again and again.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1489-service-stop"]

  query {
    name                         = "paused_velero_schedules"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:schedules @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.paused:true OR ((@RequestObject.spec.paused:* OR @RequestObject.path:(\"/spec\" OR \"/spec/paused\") OR @RequestObject.path:/spec/paused/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.paused:true)) -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "paused_velero_schedules > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
