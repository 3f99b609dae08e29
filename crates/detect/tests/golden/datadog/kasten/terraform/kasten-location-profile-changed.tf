resource "datadog_security_monitoring_rule" "kasten_location_profile_changed" {
  name               = "Kasten Location Profile Deleted or Changed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted or changed location profiles{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

A person deleted or changed a location profile. Backups may go to another place, fail, or lose their lock.

This export finds less than the rule it is made of: a condition cannot be expressed: whether the object `requestObject.spec` exists.

This export finds more than the rule it is made of: a condition cannot be expressed: whether the object `requestObject` exists.

This export finds less than the rule it is made of: the comparison is case-sensitive: requestObject.op.

## Goal

Detect backups that are redirected and archives that are cut off.

## Strategy

Every successful deletion, and every change that contains a spec, by an identity outside K10's namespace. If the log has no bodies, every change except that of the status counts.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl get profiles -A -o yaml`
3. Find out who owns its bucket, and whether the lock is still enabled.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- In a cluster, kube-apiserver serves these objects, so its audit log must be a source of Keepwatch.
- The Secret of a profile can be changed without changing the profile.

## False positives

- Agreed rotation of credentials or move of a bucket.
- A change of a label or a finalizer, if the log of the cluster has no bodies (level Metadata).
END
  tags = ["tactic:TA0040-impact", "tactic:TA0010-exfiltration", "technique:T1490-inhibit-system-recovery", "technique:T1565.001-stored-data-manipulation", "technique:T1537-transfer-data-to-cloud-account"]

  query {
    name                         = "changed_k10_profiles"
    query                        = "((@ObjectRef.APIGroup:config.kio.kasten.io @ObjectRef.Resource:profiles @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:config.kio.kasten.io @ObjectRef.Resource:profiles @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@ResponseObject.metadata.generation:1 (@RequestObject.spec:* OR @RequestObject.path:/spec* OR -@RequestObject:* OR @RequestObject.op:(add OR copy OR move OR replace)) -@ObjectRef.Subresource:status)) -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "changed_k10_profiles > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
