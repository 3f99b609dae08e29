resource "datadog_security_monitoring_rule" "backup_refused_attempts" {
  name               = "Refused Attempts on Backups in a Row"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} was refused {{events_matched}} times since {{first_seen}} when it tried to change backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}}, from {{@network.ip.list}}. Nothing was changed by these requests.
The objects: .

## About

One identity was denied repeatedly when it tried to change backups, snapshots, schedules or locations.

## Goal

Detect probing before it succeeds.

## Strategy

Counts denied requests (401, 403) that would change objects of backup tools. K10 has its own rules.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Check whether a request succeeded in between: `kubectl get signals`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Not visible by admission, which sees no refused requests.
- An attacker can query permissions instead (`kubectl auth can-i`).

## False positives

- A pipeline that lost its permissions and retries.
END
  tags = ["tactic:TA0007-discovery", "tactic:TA0040-impact", "technique:T1069-permission-groups-discovery", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "refused_backup_requests"
    query                        = "@ObjectRef.APIGroup:(addons.kubestash.com OR core.kubestash.com OR dataprotection.kubeblocks.io OR groupsnapshot.storage.k8s.io OR k8up.io OR longhorn.io OR postgresql.cnpg.io OR repositories.stash.appscode.com OR snapshot.storage.k8s.io OR stash.appscode.com OR storage.kubestash.com OR stork.libopenstorage.org OR triliovault.trilio.io OR velero.io OR volsync.backube) @Verb:(create OR update OR patch OR delete OR deletecollection) @ResponseStatus.code:(401 OR 403) -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:k8up\\:* OR @User.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @User.username:system\\:serviceaccount\\:kasten\\-io\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:keepwatch\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) -(@User.username:system\\:serviceaccount\\:kube\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "persistent"
    status        = "high"
    condition     = "refused_backup_requests >= 50"
    notifications = []
  }

  case {
    name          = "several"
    status        = "medium"
    condition     = "refused_backup_requests >= 5"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 3600
    keep_alive          = 3600
    max_signal_duration = 86400
  }
}
