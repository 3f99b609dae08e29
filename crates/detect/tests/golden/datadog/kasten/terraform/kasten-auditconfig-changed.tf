resource "datadog_security_monitoring_rule" "kasten_auditconfig_changed" {
  name               = "Kasten AuditConfig Deleted or Repointed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted or changed AuditConfigs{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

A person deleted an AuditConfig or changed its destination. Later events do not arrive at the former destination.

This export finds less than the rule it is made of: a condition cannot be expressed: whether the object `requestObject.spec` exists.

This export finds more than the rule it is made of: a condition cannot be expressed: whether the object `requestObject` exists.

This export finds less than the rule it is made of: the comparison is case-sensitive: requestObject.op.

## Goal

Detect that audit events are redirected before an attack.

## Strategy

Every successful deletion, and every change that contains a spec, by an identity outside K10's namespace. If the log has no bodies, every change except that of the status counts.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl get auditconfigs -A -o yaml`
3. The journal still has the later events: `keepwatch cursors list`, and `kubectl get auditevents`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- In a cluster, kube-apiserver serves these objects, so its audit log must be a source of Keepwatch.
- The rule `kasten-location-profile-changed` covers the Profile of the AuditConfig.

## False positives

- An agreed move of the archive.
- A client that replaces objects, or applies manifests on the server, sends the spec each time. While the object is as it was created, this does not count.
- A change of a label or a finalizer, if the log of the cluster has no bodies (level Metadata).
END
  tags = ["tactic:TA0005-defense-evasion", "technique:T1562.008-disable-or-modify-cloud-logs"]

  query {
    name                         = "changed_k10_auditconfigs"
    query                        = "((@ObjectRef.APIGroup:config.kio.kasten.io @ObjectRef.Resource:auditconfigs @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:config.kio.kasten.io @ObjectRef.Resource:auditconfigs @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@ResponseObject.metadata.generation:1 (@RequestObject.spec:* OR @RequestObject.path:/spec* OR -@RequestObject:* OR @RequestObject.op:(add OR copy OR move OR replace)) -@ObjectRef.Subresource:status)) -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "changed_k10_auditconfigs > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
