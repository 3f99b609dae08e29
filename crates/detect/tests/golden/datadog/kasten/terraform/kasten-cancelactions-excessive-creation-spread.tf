resource "datadog_security_monitoring_rule" "kasten_cancelactions_excessive_creation_spread" {
  name               = "Creation of Kasten CancelActions Spread over Identities"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} actions{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} in {{@ObjectRef.Namespace}} were cancelled by {{@User.username}} since {{first_seen}}, from {{@network.ip.list}}.

## About

Several identities cancelled many different actions within a day, none of them many.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-cancelactions-excessive-creation.

## Goal

Detect cancellations that are spread over accounts.

## Strategy

Counts over the whole cluster. Raises no signal while the rule for one identity has one.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The accounts: `spec.actor.users` of the signal.
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. Events without them, and requests that another source reported without them before, count separately, in `kasten-cancelactions-excessive-creation-without-body-spread`.
- Actions of the same name in two namespaces count as one.

## False positives

- A storage outage in which several people cancel hanging actions.
END
  tags = ["tactic:TA0040-impact", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "created_k10_cancelactions"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:cancelactions @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "cardinality"
    group_by_fields              = ["cluster-name"]
    distinct_fields              = ["@RequestObject.spec.subject.name"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "created_k10_cancelactions >= 12"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 86400
    keep_alive          = 86400
    max_signal_duration = 86400
  }
}
