resource "datadog_security_monitoring_rule" "kasten_cancelactions_excessive_creation_of_one_application" {
  name               = "Kasten Actions of One Application Cancelled Again and Again"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{events_matched}} actions in namespace {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} were cancelled by {{@User.username}} since {{first_seen}}, from {{@network.ip.list}}.

## About

Different actions in one namespace were cancelled repeatedly within a week, so the application has no recent backup.

This export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-cancelactions-excessive-creation.

This export finds less than the rule it is made of: the window is shorter: 1d instead of 7d.

## Goal

Detect an application whose backups are prevented one by one.

## Strategy

Counts different actions in one namespace over a week, by any identity.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Find the newest backup: `kubectl get restorepoints -n '{{@ObjectRef.Namespace}}' --sort-by=.metadata.creationTimestamp`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. Events without them, and requests that another source reported without them before, count separately, in `kasten-cancelactions-excessive-creation-without-body-of-one-application`.
- Exports and policy runs are cancelled in K10's namespace and are counted together there.

## False positives

- A backup that hangs every night and that a person cancels every morning. It needs repair in any case.
END
  tags = ["tactic:TA0040-impact", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "created_k10_cancelactions"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:cancelactions @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*) @ObjectRef.Namespace:?*"
    aggregation                  = "cardinality"
    group_by_fields              = ["@ObjectRef.Namespace", "cluster-name"]
    distinct_fields              = ["@RequestObject.spec.subject.name"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
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
