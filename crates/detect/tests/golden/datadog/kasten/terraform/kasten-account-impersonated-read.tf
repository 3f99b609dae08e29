resource "datadog_security_monitoring_rule" "kasten_account_impersonated_read" {
  name               = "Keys of Kasten Read under the Name of a Kasten Service Account"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} read keys as an account of K10{{^is_exact_match "cluster-name" ""}} in {{cluster-name}}{{/is_exact_match}}, {{events_matched}} times since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

An identity impersonated one of K10's own accounts to read passkeys, storage repositories or Secrets.

## Goal

Detect identities that obtain the keys of the backups under the name of K10.

## Strategy

Counts successful get, list and watch requests for passkeys, storage repositories and Secrets. Reads of other kinds reveal no keys, and administrators use them to check the permissions of K10, so they do not count.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Find out who may impersonate: `kubectl get clusterroles -o json | jq -r '.items[] | select(.rules[]?.verbs[]? == "impersonate") | .metadata.name'`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.
- Reads of other kinds, such as restore points and profiles.
- Reads of Secrets are only in the cluster's own audit log.

## False positives

- Agreed maintenance of K10 by an administrator who uses K10's account.
END
  tags = ["tactic:TA0006-credential-access", "tactic:TA0004-privilege-escalation", "technique:T1552.007-container-api", "technique:T1078.004-cloud-accounts", "technique:T1134-access-token-manipulation"]

  query {
    name                         = "read_as_k10"
    query                        = "@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:* @Verb:(get OR list OR watch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 ((@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys) OR (@ObjectRef.APIGroup:repositories.kio.kasten.io @ObjectRef.Resource:storagerepositories) OR (-@ObjectRef.APIGroup:?* @ObjectRef.Resource:secrets)) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "read_as_k10 > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
