resource "datadog_security_monitoring_rule" "backup_permission_granted_by_account" {
  name               = "Permission on Backups Granted by a ServiceAccount"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} created or changed roles or bindings for backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

A ServiceAccount created or changed a role that may change backups, or bound the role of a backup tool.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.rules.apiGroups.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.rules.verbs.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.roleRef.name.

## Goal

Show permissions that a pipeline grants.

## Strategy

As `backup-permission-granted`, for ServiceAccounts, whose grants are usual.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The role or binding: `kubectl get clusterroles,roles,clusterrolebindings,rolebindings -A | grep '{{@ObjectRef.Name}}'`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- A role with wildcards, and a binding to `cluster-admin`: both include backups and are granted for other reasons.
- Requires response bodies: EKS, GKE and AKS record RBAC with them.

## False positives

- A pipeline that installs or upgrades a backup tool.
END
  tags = ["tactic:TA0003-persistence", "tactic:TA0004-privilege-escalation", "technique:T1098.006-additional-container-cluster-roles"]

  query {
    name                         = "granted_backup_permissions_as_account"
    query                        = "((@ObjectRef.APIGroup:rbac.authorization.k8s.io @ObjectRef.Resource:(clusterroles OR roles) @Verb:(create OR update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.rules:* OR @RequestObject.path:\"/rules\" OR @RequestObject.path:/rules/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.rules.apiGroups:(addons.kubestash.com OR core.kubestash.com OR dataprotection.kubeblocks.io OR groupsnapshot.storage.k8s.io OR k8up.io OR longhorn.io OR postgresql.cnpg.io OR repositories.stash.appscode.com OR snapshot.storage.k8s.io OR stash.appscode.com OR storage.kubestash.com OR stork.libopenstorage.org OR triliovault.trilio.io OR velero.io OR volsync.backube OR actions.kio.kasten.io OR apps.kio.kasten.io OR config.kio.kasten.io OR repositories.kio.kasten.io OR vault.kio.kasten.io) @ResponseObject.rules.verbs:(\"*\" OR create OR delete OR deletecollection OR patch OR update)) OR (@ObjectRef.APIGroup:rbac.authorization.k8s.io @ObjectRef.Resource:(clusterrolebindings OR rolebindings) @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@ResponseObject.roleRef.name:*k10\\-* OR @ResponseObject.roleRef.name:*k8up* OR @ResponseObject.roleRef.name:*kasten* OR @ResponseObject.roleRef.name:*keepwatch* OR @ResponseObject.roleRef.name:*kubestash* OR @ResponseObject.roleRef.name:*longhorn* OR @ResponseObject.roleRef.name:*stash* OR @ResponseObject.roleRef.name:*stork* OR @ResponseObject.roleRef.name:*trilio* OR @ResponseObject.roleRef.name:*velero* OR @ResponseObject.roleRef.name:*volsync*))) -(@User.username:\"system:apiserver\" OR (@User.username:system\\:serviceaccount\\:kube\\-system\\:* -@ImpersonatedUser.username:?*)) @User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?* @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    condition     = "granted_backup_permissions_as_account > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
