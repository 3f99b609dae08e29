resource "datadog_security_monitoring_rule" "longhorn_backuptarget_changed_poll" {
  name               = "Longhorn Backup Target No Longer Polled"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} set the poll interval of backup targets{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} to zero with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Existing backups stay.
The objects: .

## About

A person switched off the polling of a backup target. Longhorn no longer notices what the target contains.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.spec.pollInterval.

## Goal

Detect that a loss in the bucket will not be noticed.

## Strategy

The request writes `spec.pollInterval`, and it is zero afterwards.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n longhorn-system get backuptargets -o yaml`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. `longhorn-configuration-changed-without-body` reports such a change, at low severity.

## False positives

- A target whose requests cost money.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "unpolled_longhorn_targets"
    query                        = "@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:backuptargets @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.pollInterval:* OR @RequestObject.path:(\"/spec\" OR \"/spec/pollInterval\") OR @RequestObject.path:/spec/pollInterval/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.pollInterval:(0 OR 0s) -(@User.username:system\\:serviceaccount\\:longhorn\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    condition     = "unpolled_longhorn_targets > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
