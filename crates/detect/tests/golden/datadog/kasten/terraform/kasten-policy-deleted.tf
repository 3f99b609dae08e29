resource "datadog_security_monitoring_rule" "kasten_policy_deleted" {
  name               = "Kasten Policy Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted policies{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Existing restore points keep their data.
The objects: .

## About

A person deleted a policy. It makes no new backups or exports, and retention no longer deletes its restore points.

## Goal

Detect backups that end silently.

## Strategy

Successful deletions by a person or a pipeline.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Which policies remain: `kubectl get -A policies.config.kio.kasten.io`
3. Create it again from its manifest, or from K10's own disaster recovery.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- A policy that is replaced by one with the same name and another content: the change of an object has other rules.

## False positives

- An application is retired, and its policy with it.
- A pipeline removes a policy that was removed from its repository.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1489-service-stop"]

  query {
    name                         = "deleted_k10_policies"
    query                        = "@ObjectRef.APIGroup:config.kio.kasten.io @ObjectRef.Resource:policies @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@User.username:(\"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\") -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "high"
    condition     = "deleted_k10_policies >= 5"
    notifications = []
  }

  case {
    name          = "some"
    status        = "medium"
    condition     = "deleted_k10_policies > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
