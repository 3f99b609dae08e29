resource "datadog_security_monitoring_rule" "kasten_account_impersonated" {
  name               = "Kasten Service Account Impersonated"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} acted as {{@ImpersonatedUser.username}}{{^is_exact_match "cluster-name" ""}} in {{cluster-name}}{{/is_exact_match}}, {{events_matched}} times since
{{first_seen}}, last {{@Verb}} {{@ObjectRef.Resource}}, from {{@network.ip.list}}.

## About

An identity acted as one of K10's own accounts, whose deletions other rules take for retention.

## Goal

Find who hides behind K10.

## Strategy

The user is not of K10's namespace, and the impersonated one is. The other rules still count what was done, for the user.

## Triage and response

1. Everything that this identity did around it:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Who may impersonate: `kubectl get clusterroles -o json | jq -r '.items[] | select(.rules[]?.verbs[]? == "impersonate") | .metadata.name'`
3. If it was not agreed on, take the rights away: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Behind kube-apiserver's aggregator only the identity that was acted as arrives. An identity that may impersonate one of K10's accounts is taken for K10; the cluster's own audit log has the same audit ID and the person.

## False positives

- An administrator repairs K10 under its own account. It is agreed on beforehand.
END
  tags = ["tactic:TA0004-privilege-escalation", "technique:T1078.004-cloud-accounts", "technique:T1134-access-token-manipulation"]

  query {
    name                         = "as_k10"
    query                        = "@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:* @Verb:(create OR update OR patch OR delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -@User.username:system\\:serviceaccount\\:kasten\\-io\\:* @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
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
