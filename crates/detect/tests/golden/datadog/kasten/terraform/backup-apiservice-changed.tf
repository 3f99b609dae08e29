resource "datadog_security_monitoring_rule" "backup_apiservice_changed" {
  name               = "APIService of a Backup Tool Deleted or Repointed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} deleted or repointed APIServices{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. The objects stay in their server. Requests for them fail after a deletion, and go to another server after a change.
The objects: .

## About

A person deleted the APIService of a backup tool or of Keepwatch, or sent its requests to another server. Requests about backups fail, or pass without being recorded.

This export finds other things than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: objectRef.name.

## Goal

Detect backups that are hidden, and an audit that is bypassed.

## Strategy

A deletion, or a request that writes the service, the CA or the verification of the certificate.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl get apiservices '{{@ObjectRef.Name}}' -o yaml`
3. Apply its manifest again, from the chart of the tool.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Visible on all sources: EKS, GKE and AKS record built-in groups with bodies. A log at level Metadata shows deletions only.
- The Service behind it, or its endpoints, can be changed without changing the APIService.
- A whole object that a ServiceAccount applies with another service.

## False positives

- An agreed removal of the tool.
- An installation or removal of the auditing proxy of Keepwatch, which stands before the server.
END
  tags = ["tactic:TA0040-impact", "tactic:TA0005-defense-evasion", "technique:T1490-inhibit-system-recovery", "technique:T1562.001-disable-or-modify-tools"]

  query {
    name                         = "changed_backup_apiservices"
    query                        = "((@ObjectRef.APIGroup:apiregistration.k8s.io @ObjectRef.Resource:apiservices (@ObjectRef.Name:*.actions.kio.kasten.io OR @ObjectRef.Name:*.apps.kio.kasten.io OR @ObjectRef.Name:*.repositories.kio.kasten.io OR @ObjectRef.Name:*.repositories.stash.appscode.com OR @ObjectRef.Name:*.siem.keepwatch.io OR @ObjectRef.Name:*.vault.kio.kasten.io) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:apiregistration.k8s.io @ObjectRef.Resource:apiservices (@ObjectRef.Name:*.actions.kio.kasten.io OR @ObjectRef.Name:*.apps.kio.kasten.io OR @ObjectRef.Name:*.repositories.kio.kasten.io OR @ObjectRef.Name:*.repositories.stash.appscode.com OR @ObjectRef.Name:*.siem.keepwatch.io OR @ObjectRef.Name:*.vault.kio.kasten.io) @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.service:* OR @RequestObject.path:(\"/spec\" OR \"/spec/service\" OR \"/spec/caBundle\" OR \"/spec/insecureSkipTLSVerify\") OR @RequestObject.path:/spec/service/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*) OR @RequestObject.spec.caBundle:* OR @RequestObject.path:/spec/caBundle/* OR @RequestObject.spec.insecureSkipTLSVerify:* OR @RequestObject.path:/spec/insecureSkipTLSVerify/*) -(@Verb:patch @User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?* (@RequestObject.spec.group:* OR @RequestObject.path:(\"/spec\" OR \"/spec/group\") OR @RequestObject.path:/spec/group/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*))))) -(@User.username:(\"system:apiserver\" OR \"system:serviceaccount:cert-manager:cert-manager-cainjector\") -@ImpersonatedUser.username:?*) -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:k8up\\:* OR @User.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @User.username:system\\:serviceaccount\\:kasten\\-io\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:keepwatch\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "changed_backup_apiservices > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
