@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '8ad6588a-07f3-8310-9a9b-29adabce1612'
  kind: 'Scheduled'
  properties: {
    displayName: 'Velero Backup Contents Downloaded by an Identity for the First Time'
    description: 'An identity requested the contents of a backup. They contain all backed-up objects, with their Secrets.\n\nThis export finds more than the rule it is made of: signals stay open for a different time: a value is forgotten after 14d instead of 30d.\n\nGoal\nDetect theft of the Secrets and objects in a backup.\n\nStrategy\nA DownloadRequest whose target is `BackupContents`. Logs and results, which `velero backup describe` and `logs` request, do not count.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. The requests: `kubectl -n velero get downloadrequests -o yaml`\n3. If it was not authorized, change the Secrets of the namespaces in the backup.\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'Low'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where tostring(Event.ObjectRef.APIGroup) == "velero.io"\n    | where tostring(Event.ObjectRef.Resource) == "downloadrequests"\n    | where tostring(Event.Verb) == "create"\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n    | where (tostring(Event.RequestObject.spec.target.kind) =~ "BackupContents" or coalesce(set_has_element(parse_json(tolower(tostring(Event.RequestObject.spec.target.kind))), "backupcontents"), false))\n    | where not((tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:") and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n    | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n    | where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(70m), Value = Account\n);\nMatches\n| where IsNew and isnotempty(Value)\n| join kind=leftanti (Matches | where not(IsNew)) on Cluster, Value\n| summarize Events = count(), FirstSeen = min(EventTime), LastSeen = max(EventTime), arg_min(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, ActorUsername\n| extend Count = Events\n| extend AlertSeverity = "Low", RuleSeverity = "low"\n| extend AlertTitle = strcat(Account, " downloaded the contents of Velero backups for the first time")'
    queryFrequency: 'PT1H'
    queryPeriod: 'P14D'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'Collection'
      'Exfiltration'
    ]
    techniques: [
      'T1213'
      'T1530'
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
        lookbackDuration: 'P1D'
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
