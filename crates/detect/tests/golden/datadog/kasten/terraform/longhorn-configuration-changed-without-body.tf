resource "datadog_security_monitoring_rule" "longhorn_configuration_changed_without_body" {
  name               = "Longhorn Configuration Changed without a Recorded Body"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} changed backup targets or recurring jobs{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. The events have no body, so another URL or retention is not visible here.
The objects: .

## About

Somebody changed a backup target or a recurring job of Longhorn, and the event does not say what changed.

This export finds more than the rule it is made of: a condition cannot be expressed: whether the object `requestObject` exists.

## Goal

Show changes on clusters whose log has no bodies of custom resources.

## Strategy

EKS, GKE and AKS record custom resources at level Metadata. Each update and patch by an identity outside Longhorn counts.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n longhorn-system get backuptargets,recurringjobs -o yaml`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- What changed. A source with bodies shows it.
- Requests in Longhorn's UI and HTTP API reach Kubernetes under Longhorn's own account, which is exempt: they are not visible as those of a person.

## False positives

- Every change of a label. A pipeline that applies its manifests again and again.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "unrecorded_longhorn_changes"
    query                        = "@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:(backuptargets OR recurringjobs) -@ObjectRef.Subresource:?* @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@RequestObject:* -(@User.username:system\\:serviceaccount\\:longhorn\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    condition     = "unrecorded_longhorn_changes > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
