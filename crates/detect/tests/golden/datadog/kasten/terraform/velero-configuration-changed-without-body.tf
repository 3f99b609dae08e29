resource "datadog_security_monitoring_rule" "velero_configuration_changed_without_body" {
  name               = "Velero Configuration Changed without a Recorded Body"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} changed schedules, locations or repositories{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. The events have no body, so a pause or another bucket is not visible here.
The objects: .

## About

Somebody changed a schedule, a location or a repository of Velero, and the event does not say what changed.

This export finds more than the rule it is made of: a condition cannot be expressed: whether the object `requestObject` exists.

## Goal

Show changes on clusters whose log has no bodies of custom resources.

## Strategy

EKS, GKE and AKS record custom resources at level Metadata. Each update and patch by an identity outside Velero counts.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n velero get schedules,backupstoragelocations,backuprepositories -o yaml`
3. Compare it with the manifests.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- What changed. A source with bodies shows it.
- Velero in a namespace other than `velero` or `openshift-adp`: its own accounts are not exempt there. A filter exempts them.

## False positives

- Every change of a label. A pipeline that applies its manifests again and again.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "unrecorded_velero_changes"
    query                        = "@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:(backuprepositories OR backupstoragelocations OR schedules OR volumesnapshotlocations) @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@RequestObject:* -((@User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:velero\\:*) -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    condition     = "unrecorded_velero_changes > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
