resource "datadog_security_monitoring_rule" "keepwatch_suppression_changed_of_every_rule" {
  name               = "Keepwatch Suppression of Every Rule"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} created or changed suppressions of every rule{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} {{events_matched}} times since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

A person created a suppression of every rule, or changed one to that.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: a condition cannot be expressed: whether the object `requestObject.spec` exists.

This export finds more than the rule it is made of: a condition cannot be expressed: whether the object `requestObject` exists.

## Goal

Detect that all signals are suppressed before an attack.

## Strategy

`spec.rules` contains `*`. The suppression is limited only by its event filter, which can be empty. No suppression hides this signal.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. What it hides, until when and why: `kubectl get suppression '{{@ObjectRef.Name}}' -o yaml`
3. Remove it: `kubectl delete suppression '{{@ObjectRef.Name}}'`
4. Find out what it hid: run `keepwatch detect`, which ignores suppressions, over the same time span
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- A suppression that lists all rules by name.
- If the log has no bodies, it raises the signal of `keepwatch-suppression-changed`.

## False positives

- A planned exercise by one account. Then the suppression should name that account.
END
  tags = ["tactic:TA0005-defense-evasion", "technique:T1562.008-disable-or-modify-cloud-logs"]

  query {
    name                         = "changed_wide_suppressions"
    query                        = "@ObjectRef.APIGroup:siem.keepwatch.io @ObjectRef.Resource:suppressions @Verb:(create OR update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@Verb:create OR @RequestObject.spec:* OR @RequestObject.path:\"/spec\" OR @RequestObject.path:/spec/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*) OR -@RequestObject:*) (@RequestObject.spec.rules:\"*\" OR @ResponseObject.spec.rules:\"*\") -@ObjectRef.Subresource:?* -@Annotations.authorization.k8s.io/reason:\"an act of the server itself\" @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "changed_wide_suppressions > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
