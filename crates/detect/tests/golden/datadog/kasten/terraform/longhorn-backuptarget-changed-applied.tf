resource "datadog_security_monitoring_rule" "longhorn_backuptarget_changed_applied" {
  name               = "Longhorn Backup Target Applied with a New Destination"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} applied the backup target {{@ObjectRef.Name}}{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with the URL {{@ResponseObject.spec.backupTargetURL}} at {{first_seen}}, from {{@network.ip.list}}. It did not have that URL within 30 days.

## About

A pipeline applied a whole backup target with a URL that it did not have in the last 30 days.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: earlier values are unknown: the very first value raises no signal.

## Goal

Detect backups that are redirected through a pipeline.

## Strategy

The combination of name, URL and credential is new. The first time that a pipeline applies it is reported too.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. The current state: `kubectl -n longhorn-system get backuptargets -o yaml`
3. The commit that changed it, and who approved it.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. `longhorn-configuration-changed-without-body` reports such a change, at low severity.
- A change of other fields only.

## False positives

- An agreed move of a bucket through the repository of a pipeline.
END
  tags = ["tactic:TA0040-impact", "tactic:TA0010-exfiltration", "technique:T1490-inhibit-system-recovery", "technique:T1565.001-stored-data-manipulation", "technique:T1537-transfer-data-to-cloud-account"]

  query {
    query                        = "@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:backuptargets @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 @Verb:patch @User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?* (@RequestObject.spec.backupTargetURL:* OR @RequestObject.path:(\"/spec\" OR \"/spec/backupTargetURL\") OR @RequestObject.path:/spec/backupTargetURL/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) (@RequestObject.spec.credentialSecret:* OR @RequestObject.path:(\"/spec\" OR \"/spec/credentialSecret\") OR @RequestObject.path:/spec/credentialSecret/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) (@RequestObject.spec.pollInterval:* OR @RequestObject.path:(\"/spec\" OR \"/spec/pollInterval\") OR @RequestObject.path:/spec/pollInterval/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) -(@User.username:system\\:serviceaccount\\:longhorn\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "new_value"
    group_by_fields              = ["@User.username", "cluster-name"]
    metrics                      = ["@ObjectRef.Name", "@ResponseObject.spec.backupTargetURL", "@ResponseObject.spec.credentialSecret"]
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "low"
    notifications = []
  }

  options {
    detection_method    = "new_value"
    keep_alive          = 21600
    max_signal_duration = 86400

    new_value_options {
      forget_after       = 30
      learning_duration  = 0
      learning_method    = "duration"
      learning_threshold = 0
    }
  }
}
