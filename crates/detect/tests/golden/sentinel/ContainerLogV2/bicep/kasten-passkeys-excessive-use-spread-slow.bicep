@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '06f7c0a0-e2a3-82f7-9a77-050e4f6ad3d3'
  kind: 'Scheduled'
  properties: {
    displayName: 'Slow Use of Kasten Passkeys Spread over Identities'
    description: 'Several identities read, changed or deleted passkeys many times within a week, few times by each and few times on each day.\n\nThis export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-passkeys-excessive-use, kasten-passkeys-excessive-use-spread, kasten-passkeys-excessive-use-slow.\n\nGoal\nDetect access to passkeys that is spread over accounts and days.\n\nStrategy\nCounts over the whole cluster and a week. Raises no signal while one of the stricter rules has one.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 7d`\n2. The accounts: `spec.actor.users` of the signal.\n3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where ((tostring(Event.ObjectRef.APIGroup) == "vault.kio.kasten.io" and tostring(Event.ObjectRef.Resource) == "passkeys" and tostring(Event.Verb) in ("update", "patch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) and tostring(Event.Stage) in ("ResponseComplete", "Panic") and not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")) or (tostring(Event.ObjectRef.APIGroup) == "vault.kio.kasten.io" and tostring(Event.ObjectRef.Resource) == "passkeys" and tostring(Event.Verb) == "delete" and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) and tostring(Event.Stage) in ("ResponseComplete", "Panic") and not((isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))) or (tostring(Event.ObjectRef.APIGroup) == "vault.kio.kasten.io" and tostring(Event.ObjectRef.Resource) == "passkeys" and tostring(Event.Verb) in ("get", "list", "watch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) and not(tostring(Event.Verb) in ("list", "watch") and tostring(Event.User.username) in~ ("system:kube-controller-manager", "system:serviceaccount:kube-system:generic-garbage-collector") and (tostring(Event.UserAgent) contains_cs "controller-manager" or tostring(Event.UserAgent) contains_cs "garbage-collector" or tostring(Event.UserAgent) contains_cs "metadata-informers") and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) and tostring(Event.Stage) in ("ResponseComplete", "Panic") and not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")))\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(70m), Value = strcat_delim("|", tostring(Event.AuditID), tostring(Event.StageTimestamp), tostring(Event.Verb), tostring(Event.User.username), tostring(Event.RequestURI))\n);\nlet Oldest = toscalar(Matches | where IsNew | summarize min(EventTime));\nMatches\n| where EventTime >= Oldest\n| distinct EventTime, Cluster\n| project-rename WindowEnd = EventTime\n| join kind=inner (Matches | where isnotempty(Value)) on Cluster\n| where EventTime <= WindowEnd and EventTime > WindowEnd - 7d\n| summarize Count = count_distinct(Value), Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), LastSeen = max(EventTime), arg_max(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, WindowEnd\n| where New > 0 and Count >= 30\n| summarize arg_max(Count, *) by Cluster\n| extend AlertSeverity = "High", RuleSeverity = "high"\n| extend AlertTitle = strcat("Passkeys were used ", tostring(Events), " times within a week by ", Account)'
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
        groupByCustomDetails: []
      }
    }
  }
}
