resource "datadog_security_monitoring_rule" "backup_operator_stopped" {
  name               = "Backup Operator Scaled to Zero or Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} scaled workloads in {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} to zero, or deleted them, with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. Existing backups stay. No new ones are made until the workload runs again.
The objects: .

## About

A workload in the namespace of a backup tool, or of Keepwatch, was scaled to zero or deleted. No backups are made, and no expired ones removed.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.kind.

## Goal

Detect backups that end because their program does not run.

## Strategy

A Deployment or StatefulSet is set to zero replicas, or one of these or a DaemonSet is deleted, in the usual namespaces of backup tools. Accounts of these namespaces are exempt.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. What runs: `kubectl -n '{{@ObjectRef.Namespace}}' get deployments,statefulsets,daemonsets`
3. Start it again: `kubectl -n '{{@ObjectRef.Namespace}}' scale deployment '{{@ObjectRef.Name}}' --replicas=1`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- A workload that is made to fail instead: another image, a node selector that matches no node, a quota, a deleted ServiceAccount.
- Visible on all sources: EKS, GKE and AKS record built-in groups with bodies. A log at level Metadata shows deletions only.
- ServiceAccounts of kube-system, where the controllers of Kubernetes run, are exempt.
- A backup tool in a namespace other than the usual ones, K10 outside `kasten-io` too. A copy of the rule with that namespace finds it.

## False positives

- Agreed maintenance, or a removal of the tool.
- An upgrade that deletes a workload and creates it again.
- A response to an attack, in which the tool is stopped before it deletes more.
END
  tags = ["tactic:TA0040-impact", "tactic:TA0005-defense-evasion", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery", "technique:T1562.001-disable-or-modify-tools"]

  query {
    name                         = "stopped_backup_operators"
    query                        = "((@ObjectRef.APIGroup:apps @ObjectRef.Resource:(deployments OR statefulsets) @ObjectRef.Namespace:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.replicas:0 OR ((@RequestObject.spec.replicas:* OR @RequestObject.path:(\"/spec\" OR \"/spec/replicas\") OR @RequestObject.path:/spec/replicas/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.replicas:0) OR ((@RequestObject.spec.replicas:* OR @RequestObject.path:(\"/spec\" OR \"/spec/replicas\") OR @RequestObject.path:/spec/replicas/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.kind:Scale -@ResponseObject.spec.replicas:*))) OR (@ObjectRef.APIGroup:apps @ObjectRef.Resource:(daemonsets OR deployments OR statefulsets) @ObjectRef.Namespace:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300)) -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:k8up\\:* OR @User.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @User.username:system\\:serviceaccount\\:kasten\\-io\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:keepwatch\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) -(@User.username:system\\:serviceaccount\\:kube\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "stopped_backup_operators > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
