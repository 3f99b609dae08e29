@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '6ba18c3a-ad5f-8637-8d36-89f3a392192f'
  kind: 'Scheduled'
  properties: {
    displayName: 'Kasten Passkey Read, Backup Restored, Backups Deleted'
    description: 'One identity read passkeys, then restored an application, then deleted backups, in this order within a day. This is the pattern of data theft that prevents recovery.\n\nGoal\nDetect the steps of extortion: obtain the keys, copy the data, destroy the backups.\n\nStrategy\nEach step alone can be normal work. The sequence by one identity within a day is not.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Find out where the data went: `kubectl get restoreactions -A`, and what ran in that namespace since.\n3. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p \'{"spec":{"paused":true}}\'`\n4. Stop running deletions: list them with `kubectl get retireactions`, and for each running one\n   `kubectl create -n kasten-io -f - <<< \'{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}\'`\n5. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`\n6. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'let Matches = materialize(\n    union (\n        ContainerLogV2\n        | where LogMessage contains "K10Event"\n        | extend Event = parse_json(tostring(LogMessage))\n        | where tostring(Event.ObjectRef.APIGroup) == "vault.kio.kasten.io"\n        | where tostring(Event.ObjectRef.Resource) == "passkeys"\n        | where tostring(Event.Verb) in ("get", "list", "watch")\n        | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n        | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n        | where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n        | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n        | where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n        | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n        | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m), EventId = strcat_delim("|", tostring(Event.AuditID), tostring(Event.StageTimestamp), tostring(Event.Verb), tostring(Event.User.username), tostring(Event.RequestURI)), Query = "read_k10_passkeys"\n        | where isnotempty(ActorUsername)\n    ), (\n        ContainerLogV2\n        | where LogMessage contains "K10Event"\n        | extend Event = parse_json(tostring(LogMessage))\n        | where tostring(Event.ObjectRef.APIGroup) == "actions.kio.kasten.io"\n        | where tostring(Event.ObjectRef.Resource) in ("restoreactions", "restoreclusteractions", "batchrestoreactions")\n        | where tostring(Event.Verb) == "create"\n        | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n        | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n        | where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n        | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n        | where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n        | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n        | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m), EventId = strcat_delim("|", tostring(Event.AuditID), tostring(Event.StageTimestamp), tostring(Event.Verb), tostring(Event.User.username), tostring(Event.RequestURI)), Query = "created_k10_restores"\n        | where isnotempty(ActorUsername)\n    ), (\n        ContainerLogV2\n        | where LogMessage contains "K10Event"\n        | extend Event = parse_json(tostring(LogMessage))\n        | where tostring(Event.ObjectRef.APIGroup) == "apps.kio.kasten.io"\n        | where tostring(Event.ObjectRef.Resource) in ("restorepoints", "restorepointcontents", "clusterrestorepoints")\n        | where tostring(Event.Verb) == "delete"\n        | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n        | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n        | where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n        | where not(tostring(Event.ObjectRef.Resource) == "restorepoints" and isnotempty(tostring(Event.ObjectRef.Namespace)) and tostring(Event.User.username) =~ "system:serviceaccount:kube-system:namespace-controller" and tostring(Event.UserAgent) endswith_cs "namespace-controller" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n        | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n        | where not((isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n        | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n        | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m), EventId = strcat_delim("|", tostring(Event.AuditID), tostring(Event.StageTimestamp), tostring(Event.Verb), tostring(Event.User.username), tostring(Event.RequestURI)), Query = "deleted_k10_backups"\n        | where isnotempty(ActorUsername)\n    )\n);\nlet Step1 = Matches | where Query == "read_k10_passkeys" | project Cluster, ActorUsername, Time1 = EventTime, Id1 = EventId, New1 = IsNew;\nlet Step2 = Matches | where Query == "created_k10_restores" | project Cluster, ActorUsername, Time2 = EventTime, Id2 = EventId, New2 = IsNew;\nlet Step3 = Matches | where Query == "deleted_k10_backups" | project Cluster, ActorUsername, Time3 = EventTime, Id3 = EventId, New3 = IsNew, Account, SourceIp, Verb, Resource, Namespace, Name;\nStep1\n| join kind=inner Step2 on Cluster, ActorUsername\n| where Time2 >= Time1 and Time2 < Time1 + 1d and Id2 != Id1\n| join kind=inner Step3 on Cluster, ActorUsername\n| where Time3 >= Time2 and Time3 < Time1 + 1d and Id3 != Id2\n| where New1 or New2 or New3\n| summarize FirstSeen = min(Time1), arg_max(Time3, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, ActorUsername\n| extend Count = 3, Events = 3, LastSeen = Time3\n| extend AlertSeverity = "High", RuleSeverity = "critical"\n| extend AlertTitle = strcat(Account, " read passkeys, restored, and deleted backups")'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT25H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'Collection'
      'Impact'
    ]
    techniques: [
      'T1213'
      'T1486'
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
