resource "datadog_security_monitoring_rule" "backup_account_impersonated" {
  name               = "Service Account of a Backup Tool Impersonated"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} acted as an account of a backup tool{{^is_exact_match "cluster-name" ""}} in {{cluster-name}}{{/is_exact_match}} {{events_matched}} times since {{first_seen}}, from {{@network.ip.list}}. The user who sent the requests is in `user` of the evidence.
The objects: .

## About

An identity impersonated an account of a backup tool to create, change or delete objects. Other rules treat the deletions of these accounts as retention.

## Goal

Detect identities that act under the name of a backup tool.

## Strategy

The impersonated user is a ServiceAccount in the namespace of a backup tool. Changes of any object count. K10 has its own rule, `kasten-account-impersonated`.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Who may impersonate: `kubectl get clusterroles -o json | jq -r '.items[] | select(.rules[]?.verbs[]? == "impersonate") | .metadata.name'`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Not visible by admission, which sees only the impersonated user. On GKE the impersonated user is in another field, which not every export contains.
- A backup tool in a namespace other than the usual ones, K10 outside `kasten-io` too. A copy of the rule with that namespace finds it.

## False positives

- Agreed maintenance by an administrator who uses the account of the tool.
END
  tags = ["tactic:TA0004-privilege-escalation", "technique:T1078.004-cloud-accounts", "technique:T1134-access-token-manipulation"]

  query {
    name                         = "as_backup_tool"
    query                        = "(@ImpersonatedUser.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:k8up\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:kb\\-system\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:keepwatch\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:kubestash\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:portworx\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:stash\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:velero\\:* OR @ImpersonatedUser.username:system\\:serviceaccount\\:volsync\\-system\\:*) @Verb:(create OR update OR patch OR delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@ObjectRef.APIGroup:authorization.k8s.io @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "as_backup_tool > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
