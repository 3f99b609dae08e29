@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '92f7b9f2-771f-88a0-8e2f-b9968841bdaf'
  kind: 'Scheduled'
  properties: {
    displayName: 'Keepwatch Destination Released'
    description: 'A destination was turned off or lost its target. It receives no more events, and the journal retains none for it.\n\nGoal\nDetect that audit events are cut off before an attack, even if the change itself is in a log that Keepwatch does not read: the release of the chart, or an AuditConfig in a cluster.\n\nStrategy\nThe server records an event when the journal stops retaining records for a reader. The other destinations receive it.\n\nTriage and response\n1. The reader and the reason: `evidence` of the signal, and `keepwatch cursors list`.\n2. Find out who changed it: `helm history` of the release; `kubectl get auditconfigs,profiles -A -o yaml`, and kube-apiserver\'s own audit log.\n3. If it was not authorized, turn the destination on again with `--audit-log-resume-from=cursor`: it receives what is still in the journal.'
    enabled: true
    severity: 'Medium'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where tostring(Event.Verb) == "release"\n| where tostring(Event.User.username) =~ "system:keepwatch"\n| where isnotempty(tostring(Event.Annotations["keepwatch.io/cursor"]))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ObjectRefName = tostring(Event.ObjectRef.Name), Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ObjectRefName\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "Medium", RuleSeverity = "medium"\n| extend AlertTitle = strcat("Events are not delivered any more: ", Name, " was released")'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT1H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'DefenseEvasion'
    ]
    techniques: [
      'T1562'
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
      Group1: 'ObjectRefName'
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
