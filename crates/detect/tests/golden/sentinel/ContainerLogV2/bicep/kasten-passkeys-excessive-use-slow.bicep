@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '43743df1-9f7c-8a5c-b86e-40b262e94dcd'
  kind: 'Scheduled'
  properties: {
    displayName: 'Slow Update, Delete or Get of Kasten Passkeys'
    description: 'One identity read, changed or deleted passkeys many times within a week, but few times on each day.\n\nThis export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-passkeys-excessive-use.\n\nGoal\nDetect use of passkeys that stays below the daily threshold.\n\nStrategy\nThe same count over a week. Raises no signal while the daily rule has one for the same identity.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 7d`\n2. List the passkeys and whether they are valid: `kubectl get passkeys`\n3. Check for reads of their Secrets: `kubectl get auditevents --field-selector resource=secrets,namespace=kasten-io`\n4. Make sure that the passphrase is known outside the cluster, then rotate: create a new passkey, then delete the old one.\n5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where ((tostring(Event.ObjectRef.APIGroup) == "vault.kio.kasten.io" and tostring(Event.ObjectRef.Resource) == "passkeys" and tostring(Event.Verb) in ("update", "patch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) and tostring(Event.Stage) in ("ResponseComplete", "Panic") and not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")) or (tostring(Event.ObjectRef.APIGroup) == "vault.kio.kasten.io" and tostring(Event.ObjectRef.Resource) == "passkeys" and tostring(Event.Verb) == "delete" and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) and tostring(Event.Stage) in ("ResponseComplete", "Panic") and not((isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))) or (tostring(Event.ObjectRef.APIGroup) == "vault.kio.kasten.io" and tostring(Event.ObjectRef.Resource) == "passkeys" and tostring(Event.Verb) in ("get", "list", "watch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) and not(tostring(Event.Verb) in ("list", "watch") and tostring(Event.User.username) in~ ("system:kube-controller-manager", "system:serviceaccount:kube-system:generic-garbage-collector") and (tostring(Event.UserAgent) contains_cs "controller-manager" or tostring(Event.UserAgent) contains_cs "garbage-collector" or tostring(Event.UserAgent) contains_cs "metadata-informers") and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) and tostring(Event.Stage) in ("ResponseComplete", "Panic") and not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")))\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(70m), Value = strcat_delim("|", tostring(Event.AuditID), tostring(Event.StageTimestamp), tostring(Event.Verb), tostring(Event.User.username), tostring(Event.RequestURI))\n    | where isnotempty(ActorUsername)\n);\nlet Oldest = toscalar(Matches | where IsNew | summarize min(EventTime));\nMatches\n| where EventTime >= Oldest\n| distinct EventTime, Cluster, ActorUsername\n| project-rename WindowEnd = EventTime\n| join kind=inner (Matches | where isnotempty(Value)) on Cluster, ActorUsername\n| where EventTime <= WindowEnd and EventTime > WindowEnd - 7d\n| summarize Count = count_distinct(Value), Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), LastSeen = max(EventTime), arg_max(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, ActorUsername, WindowEnd\n| where New > 0 and Count >= 12\n| summarize arg_max(Count, *) by Cluster, ActorUsername\n| extend AlertSeverity = "High", RuleSeverity = "high"\n| extend AlertTitle = strcat(Account, " used passkeys ", tostring(Events), " times within a week")'
    queryFrequency: 'PT1H'
    queryPeriod: 'PT169H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'CredentialAccess'
      'Impact'
    ]
    techniques: [
      'T1552'
      'T1490'
    ]
    entityMappings: [
      {
        entityType: 'Account'
        fieldMappings: [
          {
            identifier: 'Name'
            columnName: 'Account'
          }
        ]
      }
      {
        entityType: 'IP'
        fieldMappings: [
          {
            identifier: 'Address'
            columnName: 'SourceIp'
          }
        ]
      }
      {
        entityType: 'AzureResource'
        fieldMappings: [
          {
            identifier: 'ResourceId'
            columnName: 'Cluster'
          }
        ]
      }
    ]
    customDetails: {
      Severity: 'RuleSeverity'
      Count: 'Count'
      Events: 'Events'
      FirstSeen: 'FirstSeen'
      LastSeen: 'LastSeen'
      Verb: 'Verb'
      Resource: 'Resource'
      Namespace: 'Namespace'
      Object: 'Name'
      Group1: 'ActorUsername'
    }
    alertDetailsOverride: {
      alertDisplayNameFormat: '{{AlertTitle}}'
      alertSeverityColumnName: 'AlertSeverity'
    }
    eventGroupingSettings: {
      aggregationKind: 'AlertPerResult'
    }
    incidentConfiguration: {
      createIncident: true
      groupingConfiguration: {
        enabled: true
        reopenClosedIncident: false
        lookbackDuration: 'P7D'
        matchingMethod: 'Selected'
        groupByEntities: [
          'AzureResource'
        ]
        groupByAlertDetails: []
        groupByCustomDetails: [
          'Group1'
        ]
      }
    }
  }
}
