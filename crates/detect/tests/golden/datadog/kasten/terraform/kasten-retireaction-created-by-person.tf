resource "datadog_security_monitoring_rule" "kasten_retireaction_created_by_person" {
  name               = "Kasten RetireAction Created by a Person"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} created {{events_matched}} RetireActions{{^is_exact_match "cluster-name" ""}} in {{cluster-name}}{{/is_exact_match}} since {{first_seen}}, from {{@network.ip.list}}.

## About

An identity other than K10 created a RetireAction, which destroys a backup.

## Goal

Detect the first backup that is destroyed through a RetireAction.

## Strategy

Only K10 has a reason to create a RetireAction.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Stop running deletions: list them with `kubectl get retireactions`, and for each running one
   `kubectl create -n kasten-io -f - <<< '{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}'`
3. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
4. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.

## False positives

- None known. Only K10 creates RetireActions.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "created_k10_retireactions"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:retireactions @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "created_k10_retireactions > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
