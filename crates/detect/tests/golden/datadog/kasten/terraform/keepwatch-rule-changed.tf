resource "datadog_security_monitoring_rule" "keepwatch_rule_changed" {
  name               = "Keepwatch Detection Rule Changed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} changed detection rules{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} {{events_matched}} times since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

A person changed a detection rule and did not disable it.

This export finds other things than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: a condition cannot be expressed: whether the object `requestObject.spec` exists.

This export finds more than the rule it is made of: a condition cannot be expressed: whether the object `requestObject` exists.

## Goal

Detect that detection is weakened before an attack.

## Strategy

Every change of the spec. New rules only add signals and are ignored.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl get detectionrule '{{@ObjectRef.Name}}' -o yaml`, or the event's response if the rule was deleted
3. Restore it: `kubectl apply -f` the file in version control, or `kubectl patch detectionrule '{{@ObjectRef.Name}}' --type merge -p '{"spec":{"enabled":true}}'`
4. Find out what it would have raised: run `keepwatch detect` over the time since the change
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- New rules. They affect only themselves, so they cannot hide signals of other rules.

## False positives

- Maintenance of rules. If a pipeline does it, suppress this rule for the pipeline's account.
END
  tags = ["tactic:TA0005-defense-evasion", "technique:T1562.008-disable-or-modify-cloud-logs"]

  query {
    name                         = "changed_detectionrules"
    query                        = "@ObjectRef.APIGroup:siem.keepwatch.io @ObjectRef.Resource:detectionrules @Verb:(update OR patch OR delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@Verb:(delete OR deletecollection) (@RequestObject.spec:* OR @RequestObject.path:\"/spec\" OR @RequestObject.path:/spec/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*) OR -@RequestObject:*) -(@RequestObject.spec.enabled:false OR ((@RequestObject.spec.enabled:* OR @RequestObject.path:(\"/spec\" OR \"/spec/enabled\") OR @RequestObject.path:/spec/enabled/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.enabled:false)) -@ObjectRef.Subresource:?* -@Annotations.authorization.k8s.io/reason:\"an act of the server itself\" @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "changed_detectionrules > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
