resource "datadog_security_monitoring_rule" "backup_audit_configuration_removed" {
  name               = "Audit of Backups Removed or Changed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} removed or changed the audit of backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Requests about backups may be missing from then on.
The objects: .

## About

An identity deleted the webhook or the policy by which Keepwatch sees requests, or a person changed it or the audit of OpenShift. Later requests may not be seen.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: objectRef.name.

This export finds less than the rule it is made of: a condition cannot be expressed: whether the object `requestObject.spec` exists.

## Goal

Detect that the audit is switched off before an attack.

## Strategy

Every deletion by any identity. Changes of the webhooks or of the policy count if a person makes them.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl get validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings -o yaml | grep -A40 keepwatch`
3. Apply the manifest of Keepwatch again.
4. Look for what happened in the meantime in another log: the provider's, or that of the nodes.
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Not visible by admission: the API server calls no webhook for these objects.
- The flags and files of kube-apiserver, which no request changes, and the logging of EKS, GKE and AKS, which their own APIs change: a silent source raises `keepwatch-source-silent`.
- A change by a ServiceAccount.
- K10's AuditConfig has the rule `kasten-auditconfig-changed`.

## False positives

- An agreed removal or upgrade of Keepwatch.
END
  tags = ["tactic:TA0005-defense-evasion", "technique:T1562.008-disable-or-modify-cloud-logs"]

  query {
    name                         = "changed_audit_configurations"
    query                        = "((@ObjectRef.APIGroup:admissionregistration.k8s.io @ObjectRef.Resource:(validatingadmissionpolicies OR validatingadmissionpolicybindings OR validatingwebhookconfigurations) @ObjectRef.Name:*keepwatch* @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:admissionregistration.k8s.io @ObjectRef.Resource:(validatingadmissionpolicies OR validatingadmissionpolicybindings OR validatingwebhookconfigurations) @Verb:deletecollection @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (((@ObjectRef.APIGroup:admissionregistration.k8s.io @ObjectRef.Resource:(validatingadmissionpolicies OR validatingadmissionpolicybindings OR validatingwebhookconfigurations) @ObjectRef.Name:*keepwatch* @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.webhooks:* OR @RequestObject.path:(\"/webhooks\" OR \"/spec\") OR @RequestObject.path:/webhooks/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*) OR @RequestObject.spec:* OR @RequestObject.path:/spec/*)) OR (@ObjectRef.APIGroup:config.openshift.io @ObjectRef.Resource:apiservers @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.audit:* OR @RequestObject.path:(\"/spec\" OR \"/spec/audit\") OR @RequestObject.path:/spec/audit/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)))) -(@User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?*))) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "changed_audit_configurations > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
