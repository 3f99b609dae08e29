resource "datadog_security_monitoring_rule" "kasten_passkey_read_restore_delete" {
  name               = "Kasten Passkey Read, Backup Restored, Backups Deleted"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} read passkeys{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}}, started a restore and then deleted backups, all since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

One identity read passkeys, then restored an application, then deleted backups, in this order within a day. This is the pattern of data theft that prevents recovery.

This export finds less than the rule it is made of: the window is shorter: each step within 12h of the one before instead of all within 1d.

## Goal

Detect the steps of extortion: obtain the keys, copy the data, destroy the backups.

## Strategy

Each step alone can be normal work. The sequence by one identity within a day is not.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Find out where the data went: `kubectl get restoreactions -A`, and what ran in that namespace since.
3. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p '{"spec":{"paused":true}}'`
4. Stop running deletions: list them with `kubectl get retireactions`, and for each running one
   `kubectl create -n kasten-io -f - <<< '{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}'`
5. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`
6. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Steps by different identities.
- Through kube-apiserver's aggregator, Keepwatch sees the impersonated user only. An identity that may impersonate one of K10's accounts looks like K10. The cluster's own audit log has the real user under the same audit ID.

## False positives

- A complete recovery exercise by one person.
END
  tags = ["tactic:TA0009-collection", "tactic:TA0040-impact", "technique:T1213-data-from-information-repositories", "technique:T1486-data-encrypted-for-impact", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "read_k10_passkeys"
    query                        = "@ObjectRef.APIGroup:vault.kio.kasten.io @ObjectRef.Resource:passkeys @Verb:(get OR list OR watch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  query {
    name                         = "created_k10_restores"
    query                        = "@ObjectRef.APIGroup:actions.kio.kasten.io @ObjectRef.Resource:(restoreactions OR restoreclusteractions OR batchrestoreactions) @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  query {
    name                         = "deleted_k10_backups"
    query                        = "@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:(restorepoints OR restorepointcontents OR clusterrestorepoints) @Verb:delete @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*) -(@ObjectRef.Resource:restorepoints @ObjectRef.Namespace:?* @User.username:\"system:serviceaccount:kube-system:namespace-controller\" @UserAgent:*namespace\\-controller -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -@RequestObject.dryRun:* @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "critical"
    condition     = "deleted_k10_backups > 0"
    notifications = []
  }

  options {
    detection_method    = "sequence_detection"
    evaluation_window   = 0
    keep_alive          = 86400
    max_signal_duration = 86400

    sequence_detection_options {
      steps {
        name              = "read_k10_passkeys"
        condition         = "read_k10_passkeys > 0"
        evaluation_window = 0
      }

      steps {
        name              = "created_k10_restores"
        condition         = "created_k10_restores > 0"
        evaluation_window = 0
      }

      steps {
        name              = "deleted_k10_backups"
        condition         = "deleted_k10_backups > 0"
        evaluation_window = 0
      }

      step_transitions {
        parent            = "read_k10_passkeys"
        child             = "created_k10_restores"
        evaluation_window = 43200
      }

      step_transitions {
        parent            = "created_k10_restores"
        child             = "deleted_k10_backups"
        evaluation_window = 43200
      }
    }
  }
}
