resource "datadog_security_monitoring_rule" "keepwatch_notifier_changed" {
  name               = "Keepwatch Notifier Changed or Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} changed or deleted notifiers{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} {{events_matched}} times since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

A person changed or deleted a notifier. Signals may go to another place, or nowhere.

This export finds less than the rule it is made of: a condition cannot be expressed: whether the object `requestObject.spec` exists.

This export finds more than the rule it is made of: a condition cannot be expressed: whether the object `requestObject` exists.

This export finds less than the rule it is made of: the comparison is case-sensitive: requestObject.op.

## Goal

Detect notifications that are cut off before an attack.

## Strategy

Every deletion and every change of the spec. A new notifier only adds a destination and is ignored.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl get notifier '{{@ObjectRef.Name}}' -o yaml`
3. Test it: `kubectl create --raw /apis/siem.keepwatch.io/v1alpha1/notifiers/{{@ObjectRef.Name}}/test -f /dev/null`
4. Check the signals that it did not send: `kubectl get signals`
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- The Secret of a notifier can be changed without changing the notifier.

## False positives

- An agreed change of an address or a Secret.
END
  tags = ["tactic:TA0005-defense-evasion", "technique:T1562.008-disable-or-modify-cloud-logs"]

  query {
    name                         = "changed_notifiers"
    query                        = "@ObjectRef.APIGroup:siem.keepwatch.io @ObjectRef.Resource:notifiers @Verb:(update OR patch OR delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@Verb:(delete OR deletecollection) OR @RequestObject.spec:* OR @RequestObject.path:/spec* OR -@RequestObject:* OR @RequestObject.op:(add OR copy OR move OR replace)) -@ObjectRef.Subresource:?* -@Annotations.authorization.k8s.io/reason:\"an act of the server itself\" @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "changed_notifiers > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
