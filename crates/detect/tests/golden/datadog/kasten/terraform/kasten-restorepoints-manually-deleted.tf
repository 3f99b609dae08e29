resource "datadog_security_monitoring_rule" "kasten_restorepoints_manually_deleted" {
  name               = "Kasten RestorePoints Manually Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}}{{^is_exact_match "@ImpersonatedUser.username" ""}} as {{@ImpersonatedUser.username}}{{/is_exact_match}}
deleted restore points by hand, last in namespace {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}}, from {{@network.ip.list}}: {{events_matched}} since {{first_seen}}.

Only the restore points are gone. Their contents are there until K10 retires them.

## About

A person, or a service account that is not K10's, deleted a restore point. Its data stays, and it can be bound again.

## Goal

Find restore points that are taken away by hand, before their contents are too.

## Strategy

K10 deletes restore points under accounts of its own namespace, by retention. Every other successful deletion is a manual one. Deletions that follow the removal of a namespace have a rule of their own.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. What is left: `kubectl get restorepoints -n '{{@ObjectRef.Namespace}}'` and
   `kubectl get restorepointcontents -l k10.kasten.io/appNamespace='{{@ObjectRef.Namespace}}'`
3. Bind what was unbound again: `kubectl create -f - <<< '{"apiVersion":"apps.kio.kasten.io/v1alpha1","kind":"RestorePoint","metadata":{"name":"NAME","namespace":"{{@ObjectRef.Namespace}}","labels":{"k10.kasten.io/appNamespace":"{{@ObjectRef.Namespace}}"}},"spec":{"restorePointContentRef":{"name":"CONTENT"}}}'`
4. If it was not agreed on, take the rights away: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Behind kube-apiserver's aggregator only the identity that was acted as arrives. An identity that may impersonate one of K10's accounts is taken for K10; the cluster's own audit log has the same audit ID and the person.
- `deletecollection` is a rule of its own (`kasten-bulk-deletion`), because one event means any number of objects.

## False positives

- A person tidies up restore points by hand, for example after an upgrade or a test.
- A script of the platform team that runs under an account of its own.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "deleted_k10_rps"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:restorepoints @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -(@ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*)) -@User.username:(\"system:serviceaccount:kube-system:namespace-controller\" OR \"system:serviceaccount:kube-system:generic-garbage-collector\") @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:*"
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
