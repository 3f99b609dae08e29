resource "datadog_security_monitoring_rule" "longhorn_setting_changed" {
  name               = "Longhorn Deletion Confirmed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} set `deleting-confirmation-flag`{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Nothing is deleted yet. The uninstall job deletes all volumes and snapshots; backups in the backup target stay.

## About

A person set `deleting-confirmation-flag` to true. Longhorn may then be uninstalled, with all volumes, snapshots and settings.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: objectRef.name.

This export finds more than the rule it is made of: a condition cannot be expressed: whether the object `requestObject` exists.

## Goal

Detect the step before the removal of Longhorn.

## Strategy

The setting is false in normal operation. If the log has no bodies, every change of it counts.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Set it back: `kubectl -n longhorn-system patch settings.longhorn.io deleting-confirmation-flag --type merge -p '{"value":"false"}'`
3. Whether an uninstall job runs: `kubectl -n longhorn-system get jobs`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- On EKS, GKE and AKS it fires for every change of the setting, because the event has no body.
- Requests in Longhorn's UI and HTTP API reach Kubernetes under Longhorn's own account, which is exempt: they are not visible as those of a person.

## False positives

- An agreed removal of Longhorn.
- A change back to false, if the log has no bodies.
END
  tags = ["tactic:TA0040-impact", "technique:T1485-data-destruction", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "confirmed_longhorn_deletions"
    query                        = "@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:settings @ObjectRef.Name:deleting-confirmation-flag @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (((@RequestObject.value:* OR @RequestObject.path:\"/value\" OR @RequestObject.path:/value/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.value:true) OR @RequestObject.value:true OR -@RequestObject:*) -(@User.username:system\\:serviceaccount\\:longhorn\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "confirmed_longhorn_deletions > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
