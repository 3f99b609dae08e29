resource "datadog_security_monitoring_rule" "kasten_account_impersonated" {
  name               = "Kasten Service Account Impersonated"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} acted as an account of K10{{^is_exact_match "cluster-name" ""}} in {{cluster-name}}{{/is_exact_match}}, {{events_matched}} times since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

An identity impersonated one of K10's own accounts to create, change or delete objects. Other rules treat the deletions of these accounts as retention.

## Goal

Detect identities that act under the name of K10.

## Strategy

The impersonated user is in K10's namespace. No component of K10 impersonates another one, so the stolen token of one of its accounts counts too. All successful create, update, patch, delete and deletecollection requests count, whatever the object. Reads have the rule `kasten-account-impersonated-read`. The other rules attribute the requests to the user who sends them.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Find out who may impersonate: `kubectl get clusterroles -o json | jq -r '.items[] | select(.rules[]?.verbs[]? == "impersonate") | .metadata.name'`
3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.

## False positives

- Agreed maintenance of K10 by an administrator who uses K10's account.
END
  tags = ["tactic:TA0004-privilege-escalation", "technique:T1078.004-cloud-accounts", "technique:T1134-access-token-manipulation"]

  query {
    name                         = "as_k10"
    query                        = "@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:* @Verb:(create OR update OR patch OR delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "high"
    condition     = "as_k10 > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
