@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '80eb46bd-44e6-8f3d-8907-ee7228ebb0b4'
  kind: 'Scheduled'
  properties: {
    displayName: 'Excessive Deletion of Kasten RestorePointContents'
    description: 'Many different restore point contents were deleted manually within a day, by one or several identities.\n\nGoal\nDetect the deletion of many backups within a day, by one account or several.\n\nStrategy\nCounts different names over a day and the whole cluster. There is no normal reason for several of these deletions.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p \'{"spec":{"paused":true}}\'`\n3. Stop running deletions: list them with `kubectl get retireactions`, and for each running one\n   `kubectl create -n kasten-io -f - <<< \'{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}\'`\n4. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`\n5. Copies that K10 cannot delete, such as object versions under Object Lock, can still be restored: check the bucket before they expire.\n6. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where tostring(Event.ObjectRef.APIGroup) == "apps.kio.kasten.io"\n    | where tostring(Event.ObjectRef.Resource) == "restorepointcontents"\n    | where tostring(Event.Verb) == "delete"\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n    | where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n    | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n    | where not((isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m), Value = tostring(Event.ObjectRef.Name)\n);\nlet Oldest = toscalar(Matches | where IsNew | summarize min(EventTime));\nMatches\n| where EventTime >= Oldest\n| distinct EventTime, Cluster\n| project-rename WindowEnd = EventTime\n| join kind=inner (Matches | where isnotempty(Value)) on Cluster\n| where EventTime <= WindowEnd and EventTime > WindowEnd - 1d\n| summarize Count = count_distinct(Value), Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), LastSeen = max(EventTime), arg_max(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, WindowEnd\n| where New > 0 and Count >= 5\n| summarize arg_max(Count, *) by Cluster\n| extend AlertSeverity = "High", RuleSeverity = "critical"\n| extend AlertTitle = strcat(tostring(Events), " restore point contents were deleted by ", Account)'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT25H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'Impact'
    ]
    techniques: [
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
        lookbackDuration: 'P1D'
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
