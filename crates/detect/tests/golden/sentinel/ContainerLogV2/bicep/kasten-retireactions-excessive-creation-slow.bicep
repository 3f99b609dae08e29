@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '592b7f77-bb33-85da-addb-794bb14e1230'
  kind: 'Scheduled'
  properties: {
    displayName: 'Slow Creation of Kasten RetireActions'
    description: 'Identities other than K10 created several RetireActions, which destroy backups, within a week, few on each day.\n\nThis export finds more than the rule it is made of: it is raised in addition to a stricter rule: kasten-retireactions-excessive-creation.\n\nGoal\nDetect the destruction of several backups through RetireActions that stays below the daily threshold.\n\nStrategy\nThe same count over a week. Raises no signal while the daily rule has one.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 7d`\n2. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p \'{"spec":{"paused":true}}\'`\n3. Stop running deletions: list them with `kubectl get retireactions`, and for each running one\n   `kubectl create -n kasten-io -f - <<< \'{"apiVersion":"actions.kio.kasten.io/v1alpha1","kind":"CancelAction","metadata":{"generateName":"stop-"},"spec":{"subject":{"kind":"RetireAction","name":"NAME"}}}\'`\n4. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`\n5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where tostring(Event.ObjectRef.APIGroup) == "actions.kio.kasten.io"\n    | where tostring(Event.ObjectRef.Resource) == "retireactions"\n    | where tostring(Event.Verb) == "create"\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n    | where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n    | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n    | where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(70m), Value = strcat_delim("|", tostring(Event.AuditID), tostring(Event.StageTimestamp), tostring(Event.Verb), tostring(Event.User.username), tostring(Event.RequestURI))\n);\nlet Oldest = toscalar(Matches | where IsNew | summarize min(EventTime));\nMatches\n| where EventTime >= Oldest\n| distinct EventTime, Cluster\n| project-rename WindowEnd = EventTime\n| join kind=inner (Matches | where isnotempty(Value)) on Cluster\n| where EventTime <= WindowEnd and EventTime > WindowEnd - 7d\n| summarize Count = count_distinct(Value), Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), LastSeen = max(EventTime), arg_max(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, WindowEnd\n| where New > 0 and Count >= 6\n| summarize arg_max(Count, *) by Cluster\n| extend AlertSeverity = "High", RuleSeverity = "critical"\n| extend AlertTitle = strcat(tostring(Events), " RetireActions were created within a week by ", Account)'
    queryFrequency: 'PT1H'
    queryPeriod: 'PT169H'
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
