resource "datadog_security_monitoring_rule" "backup_audit_removed_then_tampering" {
  name               = "Audit of Backups Removed, Then Backups Changed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} removed or changed the audit of backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} and then changed objects of a backup tool, since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

One identity removed or changed the audit of backups and then changed anything about backups, within a day.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: objectRef.name.

This export finds less than the rule it is made of: a condition cannot be expressed: whether the object `requestObject.spec` exists.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.kind.

This export finds less than the rule it is made of: the window is shorter: each step within 1d of the one before instead of all within 1d.

## Goal

Detect an attack that begins with blindness.

## Strategy

After the audit was removed, every successful change of a backup, a schedule, a location or an operator counts.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Apply the manifests of Keepwatch again.
3. Look for what happened in the meantime in another log: the provider's, or that of the nodes.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- If the removed audit was the only source, the second step is not seen: `backup-audit-configuration-removed` and `keepwatch-source-silent` still are.
- Steps by different identities.
- A backup tool in a namespace other than the usual ones, K10 outside `kasten-io` too. A copy of the rule with that namespace finds it.

## False positives

- An agreed reinstallation of Keepwatch and a backup tool by one person.
END
  tags = ["tactic:TA0005-defense-evasion", "tactic:TA0040-impact", "technique:T1562.008-disable-or-modify-cloud-logs", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "removed_audits"
    query                        = "((@ObjectRef.APIGroup:admissionregistration.k8s.io @ObjectRef.Resource:(validatingadmissionpolicies OR validatingadmissionpolicybindings OR validatingwebhookconfigurations) @ObjectRef.Name:*keepwatch* @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:admissionregistration.k8s.io @ObjectRef.Resource:(validatingadmissionpolicies OR validatingadmissionpolicybindings OR validatingwebhookconfigurations) @Verb:deletecollection @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (((@ObjectRef.APIGroup:admissionregistration.k8s.io @ObjectRef.Resource:(validatingadmissionpolicies OR validatingadmissionpolicybindings OR validatingwebhookconfigurations) @ObjectRef.Name:*keepwatch* @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.webhooks:* OR @RequestObject.path:(\"/webhooks\" OR \"/spec\") OR @RequestObject.path:/webhooks/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*) OR @RequestObject.spec:* OR @RequestObject.path:/spec/*)) OR (@ObjectRef.APIGroup:config.openshift.io @ObjectRef.Resource:apiservers @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.audit:* OR @RequestObject.path:(\"/spec\" OR \"/spec/audit\") OR @RequestObject.path:/spec/audit/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)))) -(@User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?*))) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  query {
    name                         = "tampered_backups"
    query                        = "((@ObjectRef.APIGroup:(addons.kubestash.com OR core.kubestash.com OR dataprotection.kubeblocks.io OR groupsnapshot.storage.k8s.io OR k8up.io OR longhorn.io OR postgresql.cnpg.io OR repositories.stash.appscode.com OR snapshot.storage.k8s.io OR stash.appscode.com OR storage.kubestash.com OR stork.libopenstorage.org OR triliovault.trilio.io OR velero.io OR volsync.backube OR actions.kio.kasten.io OR apps.kio.kasten.io OR config.kio.kasten.io OR repositories.kio.kasten.io OR vault.kio.kasten.io) @Verb:(create OR update OR patch OR delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:apps @ObjectRef.Resource:(deployments OR statefulsets) @ObjectRef.Namespace:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.replicas:0 OR ((@RequestObject.spec.replicas:* OR @RequestObject.path:(\"/spec\" OR \"/spec/replicas\") OR @RequestObject.path:/spec/replicas/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.replicas:0) OR ((@RequestObject.spec.replicas:* OR @RequestObject.path:(\"/spec\" OR \"/spec/replicas\") OR @RequestObject.path:/spec/replicas/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.kind:Scale -@ResponseObject.spec.replicas:*))) OR (@ObjectRef.APIGroup:apps @ObjectRef.Resource:(daemonsets OR deployments OR statefulsets) @ObjectRef.Namespace:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (-@ObjectRef.APIGroup:?* @ObjectRef.Resource:namespaces -@ObjectRef.Subresource:?* @ObjectRef.Name:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300)) -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:k8up\\:* OR @User.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @User.username:system\\:serviceaccount\\:kasten\\-io\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:keepwatch\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) -(@User.username:system\\:serviceaccount\\:kube\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "critical"
    condition     = "tampered_backups > 0"
    notifications = []
  }

  options {
    detection_method    = "sequence_detection"
    evaluation_window   = 0
    keep_alive          = 86400
    max_signal_duration = 86400

    sequence_detection_options {
      steps {
        name              = "removed_audits"
        condition         = "removed_audits > 0"
        evaluation_window = 0
      }

      steps {
        name              = "tampered_backups"
        condition         = "tampered_backups > 0"
        evaluation_window = 0
      }

      step_transitions {
        parent            = "removed_audits"
        child             = "tampered_backups"
        evaluation_window = 86400
      }
    }
  }
}
