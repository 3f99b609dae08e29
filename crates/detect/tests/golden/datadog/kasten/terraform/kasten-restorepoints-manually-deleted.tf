resource "datadog_security_monitoring_rule" "kasten_restorepoints_manually_deleted" {
  name               = "Kasten RestorePoints Manually Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}}{{^is_exact_match "@ImpersonatedUser.username" ""}} as {{@ImpersonatedUser.username}}{{/is_exact_match}} deleted {{events_matched}} restore points in {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} by hand since {{first_seen}}, from {{@network.ip.list}}, last in namespace {{@ObjectRef.Namespace}} from {{@network.ip.list}}.

Only the restore points are gone. Their contents remain until K10 retires them.

## About

A person, or a ServiceAccount other than K10's, deleted a restore point. Its content remains, and can be bound again.

## Goal

Detect manually deleted restore points before their contents are deleted too.

## Strategy

K10's retention deletes restore points under accounts of K10's namespace. Every other successful deletion is manual. Another rule covers deletions together with a namespace.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. List what is left: `kubectl get restorepoints -n '{{@ObjectRef.Namespace}}'` and
   `kubectl get restorepointcontents -l k10.kasten.io/appNamespace='{{@ObjectRef.Namespace}}'`
3. Create the restore point again: `kubectl create -f - <<< '{"apiVersion":"apps.kio.kasten.io/v1alpha1","kind":"RestorePoint","metadata":{"name":"NAME","namespace":"{{@ObjectRef.Namespace}}","labels":{"k10.kasten.io/appNamespace":"{{@ObjectRef.Namespace}}"}},"spec":{"restorePointContentRef":{"name":"CONTENT"}}}'`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.
- The rule `kasten-bulk-deletion` covers `deletecollection`, because one event can delete any number of objects.

## False positives

- Manual cleanup of restore points, for example after an upgrade or a test.
- A script of the platform team with an account of its own.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_rps"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:restorepoints @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@ObjectRef.Namespace:?* @User.username:\"system:serviceaccount:kube-system:namespace-controller\" @UserAgent:*namespace\\-controller -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    condition     = "deleted_k10_rps > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
