resource "datadog_security_monitoring_rule" "kasten_policy_paused" {
  name               = "Kasten Policy Paused"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} paused policies{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Existing restore points stay, and retention waits for the next run.
The objects: .

## About

A person paused a policy. It makes no new backups or exports until it is resumed.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

## Goal

Detect backups that are switched off before an attack.

## Strategy

The request sets `spec.paused` to true, as K10's dashboard and `kubectl patch` do.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl get -A policies.config.kio.kasten.io`
3. Resume it: `kubectl -n '{{@ObjectRef.Namespace}}' patch policies.config.kio.kasten.io '{{@ObjectRef.Name}}' --type merge -p '{"spec":{"paused":false}}'`
4. The newest restore point: `kubectl get -A restorepoints --sort-by=.metadata.creationTimestamp`
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. The admission webhook shows the object, there too.
- A policy that can make no backup any more, because its selector or frequency was changed: `backup-selection-narrowed` and `backup-schedule-rarer`.

## False positives

- Agreed maintenance of the storage.
- A policy that is paused while retention must not delete restore points: an incident.
- A pipeline that applies a manifest with a paused policy again and again.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1489-service-stop"]

  query {
    name                         = "paused_k10_policies"
    query                        = "@ObjectRef.APIGroup:config.kio.kasten.io @ObjectRef.Resource:policies @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (((@RequestObject.spec.paused:* OR @RequestObject.path:(\"/spec\" OR \"/spec/paused\") OR @RequestObject.path:/spec/paused/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @RequestObject.spec.paused:true) OR ((@RequestObject.spec.paused:* OR @RequestObject.path:(\"/spec\" OR \"/spec/paused\") OR @RequestObject.path:/spec/paused/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.paused:true)) -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "paused_k10_policies > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
