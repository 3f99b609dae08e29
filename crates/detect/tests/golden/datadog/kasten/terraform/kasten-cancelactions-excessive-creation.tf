resource "datadog_security_monitoring_rule" "kasten_cancelactions_excessive_creation" {
  name               = "Excessive Creation of Kasten CancelActions"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} cancelled {{events_matched}} actions{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} in {{@ObjectRef.Namespace}} since {{first_seen}}, from {{@network.ip.list}}.

## About

One identity cancelled many different actions within a day.

## Goal

Detect an identity that prevents backups and exports from completing.

## Strategy

Counts different actions, so repeated attempts to cancel one action do not count.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. List the cancelled actions: `kubectl get backupactions,exportactions -A | grep Cancelled`
3. Run the policies again: `kubectl -n kasten-io get policies`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.
- Requires request bodies. Events without them, and requests that another source reported without them before, count separately, in `kasten-cancelactions-excessive-creation-without-body`.
- Actions of the same name in two namespaces count as one.

## False positives

- Backups are stopped for a maintenance window, by one person and all at once.
END
  tags = ["tactic:TA0040-impact", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "created_k10_cancelactions"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:cancelactions @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*) @User.username:?*"
    aggregation                  = "cardinality"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = ["@RequestObject.spec.subject.name"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "high"
    condition     = "created_k10_cancelactions >= 15"
    notifications = []
  }

  case {
    name          = "several"
    status        = "medium"
    condition     = "created_k10_cancelactions >= 5"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
