resource "datadog_security_monitoring_rule" "backup_operator_stopped_namespace_deleted" {
  name               = "Backup Operator Stopped, Then Its Namespace Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
A workload in {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} was stopped, and then the namespace was deleted, since {{first_seen}}, by {{@User.username}}, from {{@network.ip.list}}. An operator that does not run cannot clean up: finalizers keep the namespace in deletion, or data stays without a record.
The objects: .

## About

A workload of a backup tool was scaled to zero or deleted, and then its namespace was deleted, within a day, by one identity or by several.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.kind.

This export finds less than the rule it is made of: the comparison is case-sensitive: objectRef.name.

This export finds less than the rule it is made of: the window is shorter: each step within 1d of the one before instead of all within 1d.

## Goal

Detect the removal of a backup tool in steps.

## Strategy

The workload and the namespace belong together by the name of the namespace, so the steps may be those of different identities.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Save what still exists: `kubectl -n '{{@ObjectRef.Namespace}}' get secrets -o yaml`
3. Install the tool again with the former key, and connect the bucket.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Steps more than a day apart.
- A log at level Metadata shows a deleted workload, but not one that was scaled to zero.
- A backup tool in a namespace other than the usual ones, K10 outside `kasten-io` too. A copy of the rule with that namespace finds it.

## False positives

- An agreed removal of the tool.
END
  tags = ["tactic:TA0040-impact", "technique:T1485-data-destruction", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "stopped_operators"
    query                        = "((@ObjectRef.APIGroup:apps @ObjectRef.Resource:(deployments OR statefulsets) @ObjectRef.Namespace:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.replicas:0 OR ((@RequestObject.spec.replicas:* OR @RequestObject.path:(\"/spec\" OR \"/spec/replicas\") OR @RequestObject.path:/spec/replicas/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.replicas:0) OR ((@RequestObject.spec.replicas:* OR @RequestObject.path:(\"/spec\" OR \"/spec/replicas\") OR @RequestObject.path:/spec/replicas/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.kind:Scale -@ResponseObject.spec.replicas:*))) OR (@ObjectRef.APIGroup:apps @ObjectRef.Resource:(daemonsets OR deployments OR statefulsets) @ObjectRef.Namespace:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300)) -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:k8up\\:* OR @User.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @User.username:system\\:serviceaccount\\:kasten\\-io\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:keepwatch\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) -(@User.username:system\\:serviceaccount\\:kube\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) @ObjectRef.Namespace:?*"
    aggregation                  = "count"
    group_by_fields              = ["@ObjectRef.Namespace", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  query {
    name                         = "deleted_namespaces"
    query                        = "-@ObjectRef.APIGroup:?* @ObjectRef.Resource:namespaces -@ObjectRef.Subresource:?* @ObjectRef.Name:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:* @ObjectRef.Name:?*"
    aggregation                  = "count"
    group_by_fields              = ["@ObjectRef.Name", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "critical"
    condition     = "deleted_namespaces > 0"
    notifications = []
  }

  options {
    detection_method    = "sequence_detection"
    evaluation_window   = 0
    keep_alive          = 86400
    max_signal_duration = 86400

    sequence_detection_options {
      steps {
        name              = "stopped_operators"
        condition         = "stopped_operators > 0"
        evaluation_window = 0
      }

      steps {
        name              = "deleted_namespaces"
        condition         = "deleted_namespaces > 0"
        evaluation_window = 0
      }

      step_transitions {
        parent            = "stopped_operators"
        child             = "deleted_namespaces"
        evaluation_window = 86400
      }
    }
  }
}
