resource "datadog_security_monitoring_rule" "longhorn_backuptarget_changed" {
  name               = "Longhorn Backup Target Repointed or Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted backup targets{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}}, or changed their URL or credential, with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. The data in the former target stays. Longhorn removes the objects of its backups from the cluster; they return with the former URL.
The objects: .

## About

A person deleted a backup target, or changed its URL or credential. Later backups go elsewhere, and earlier ones are no longer found.

This export finds other things than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

## Goal

Detect backups that are redirected, or cut off from their target.

## Strategy

A deletion, or a request that writes `spec.backupTargetURL` or `spec.credentialSecret` and is no patch of the whole object by a ServiceAccount.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n longhorn-system get backuptargets -o yaml`
3. Find out who owns the bucket.
4. Point it back: `kubectl -n longhorn-system patch backuptargets '{{@ObjectRef.Name}}' --type merge -p '{"spec":{"backupTargetURL":"URL"}}'`
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. `longhorn-configuration-changed-without-body` reports such a change, at low severity. Deletions are visible there.
- Requests in Longhorn's UI and HTTP API reach Kubernetes under Longhorn's own account, which is exempt: they are not visible as those of a person.
- A whole object that is applied with another URL by a ServiceAccount raises only the low signal of `longhorn-backuptarget-changed-applied`.
- The Secret of a target can be changed without changing the target: `backup-credentials-changed`.

## False positives

- Agreed rotation of credentials or move of a bucket.
- A client that replaces a whole object (PUT) sends fields that it does not change.
END
  tags = ["tactic:TA0040-impact", "tactic:TA0010-exfiltration", "technique:T1490-inhibit-system-recovery", "technique:T1565.001-stored-data-manipulation", "technique:T1537-transfer-data-to-cloud-account"]

  query {
    name                         = "repointed_longhorn_targets"
    query                        = "((@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:backuptargets @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:backuptargets @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.backupTargetURL:* OR @RequestObject.path:(\"/spec\" OR \"/spec/backupTargetURL\" OR \"/spec/credentialSecret\") OR @RequestObject.path:/spec/backupTargetURL/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*) OR @RequestObject.spec.credentialSecret:* OR @RequestObject.path:/spec/credentialSecret/*) -(@Verb:patch @User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?* (@RequestObject.spec.backupTargetURL:* OR @RequestObject.path:(\"/spec\" OR \"/spec/backupTargetURL\") OR @RequestObject.path:/spec/backupTargetURL/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) (@RequestObject.spec.credentialSecret:* OR @RequestObject.path:(\"/spec\" OR \"/spec/credentialSecret\") OR @RequestObject.path:/spec/credentialSecret/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) (@RequestObject.spec.pollInterval:* OR @RequestObject.path:(\"/spec\" OR \"/spec/pollInterval\") OR @RequestObject.path:/spec/pollInterval/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*))))) -(@User.username:system\\:serviceaccount\\:longhorn\\-system\\:* -@ImpersonatedUser.username:?*) -(@User.username:(\"system:serviceaccount:kube-system:generic-garbage-collector\" OR \"system:serviceaccount:kube-system:namespace-controller\") -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "repointed_longhorn_targets > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
