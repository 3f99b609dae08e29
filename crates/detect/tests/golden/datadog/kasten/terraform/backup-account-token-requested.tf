resource "datadog_security_monitoring_rule" "backup_account_token_requested" {
  name               = "Token of a Backup Tool Requested by a Person"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} requested {{events_matched}} tokens of accounts in {{@ObjectRef.Namespace}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} since {{first_seen}}, from {{@network.ip.list}}.
The accounts: .

## About

A person requested a token of an account of a backup tool. With it, requests look like those of the tool.

## Goal

Detect a person who obtains the identity of a backup tool.

## Strategy

Only nodes and programs request tokens in normal operation.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Requests with the token: events whose `user.extra` has the credential ID of the response's annotations
3. Make the token worthless: delete the ServiceAccount and create it again, then restart the tool.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Not visible by admission on all versions: a request for a token is the CREATE of a subresource.
- Requests by ServiceAccounts, because programs that synchronize Secrets request tokens too.
- Tokens in Secrets: `backup-credentials-read`.
- A backup tool in a namespace other than the usual ones, K10 outside `kasten-io` too. A copy of the rule with that namespace finds it.

## False positives

- A person tests the permissions of the tool.
END
  tags = ["tactic:TA0006-credential-access", "tactic:TA0004-privilege-escalation", "technique:T1552.007-container-api", "technique:T1078.004-cloud-accounts"]

  query {
    name                         = "requested_backup_tokens"
    query                        = "-@ObjectRef.APIGroup:?* @ObjectRef.Resource:serviceaccounts @ObjectRef.Subresource:token @ObjectRef.Namespace:(cloudcasa-io OR cnpg-system OR k8up OR k8up-operator OR kasten-io OR kb-system OR keepwatch OR kubestash OR longhorn-system OR openshift-adp OR portworx OR stash OR trilio-system OR velero OR volsync-system) @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:node\\:* -@ImpersonatedUser.username:?*) -(@User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "medium"
    condition     = "requested_backup_tokens > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
