resource "datadog_security_monitoring_rule" "kasten_account_used_by_person" {
  name               = "Kasten Service Account Used with a Person's Tool"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}}, an account of K10, was used with a person's tool{{^is_exact_match "cluster-name" ""}} in {{cluster-name}}{{/is_exact_match}}, {{events_matched}} times since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

One of K10's own accounts changed or deleted backups or repositories, or accessed passkeys, with a tool that people use. A person has its token.

This export finds less than the rule it is made of: the comparison is case-sensitive: userAgent.

## Goal

Detect a stolen token of K10. Other rules treat the deletions of K10's accounts as retention.

## Strategy

K10's services identify themselves in the user agent, and so do tools for people and client libraries for scripts.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Revoke the tokens: `kubectl -n kasten-io rollout restart deployment`, and delete the Secrets of type kubernetes.io/service-account-token in that namespace
3. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
4. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`

## Blind spots

- A client can set any user agent.
- The executor of `keepwatch up` and a client certificate for K10's account look like K10.

## False positives

- Agreed work of support inside one of K10's pods.
END
  tags = ["tactic:TA0005-defense-evasion", "tactic:TA0040-impact", "technique:T1078.004-cloud-accounts", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "k10_by_hand"
    query                        = "((@ObjectRef.APIGroup:(apps.kio.kasten.io OR repositories.kio.kasten.io OR vault.kio.kasten.io) @Verb:(delete OR deletecollection OR update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:(retireactions OR cancelactions) @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(get OR list OR watch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300)) @User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?* (@UserAgent:kubectl* OR @UserAgent:curl/* OR @UserAgent:Wget/* OR @UserAgent:python\\-* OR @UserAgent:Python\\-urllib/* OR @UserAgent:OpenAPI\\-Generator/* OR @UserAgent:Mozilla/* OR @UserAgent:k9s/* OR @UserAgent:Go\\-http\\-client/* OR @UserAgent:HTTPie/* OR @UserAgent:PostmanRuntime/* OR @UserAgent:helm/* OR @UserAgent:oc/*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*))"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "critical"
    condition     = "k10_by_hand >= 5"
    notifications = []
  }

  case {
    name          = "some"
    status        = "high"
    condition     = "k10_by_hand > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
