@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: 'f809d82a-e7f7-805b-bd94-2fe9731e19fe'
  kind: 'Scheduled'
  properties: {
    displayName: 'Event Source Silent'
    description: 'A source of events, such as the audit webhook of a cluster, delivered events and then none for an hour. Its kube-apiserver was stopped, lost its audit configuration, or cannot reach Keepwatch.\n\nThis export finds more than the rule it is made of: time in which Keepwatch did not run counts as silence.\n\nGoal\nDetect that a cluster\'s audit events are cut off before an attack.\n\nStrategy\nKeepwatch records a receipt in each minute in which a source delivered new events. For a bucket or folder, it also does so for the quiet period after the last object with events, 2 hours by default. Each receipt restarts a timer of its source.\n\nTriage and response\n1. The source and its last error: `kubectl get eventsources <Name>`\n2. Refused senders, with the reason and what to do: the log of Keepwatch, and `keepwatch_source_refused_senders_total`\n3. On the control plane of the cluster: the flags `--audit-policy-file` and `--audit-webhook-config-file` of kube-apiserver, and its metric `apiserver_audit_error_total`. They count events that were dropped.\n4. Look for what happened in the meantime in kube-apiserver\'s own log file.'
    enabled: true
    severity: 'Medium'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where tostring(Event.Verb) == "receive"\n    | where tostring(Event.User.username) =~ "system:keepwatch"\n    | where isnotempty(tostring(Event.Annotations["keepwatch.io/source-events"]))\n    | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n    | where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ObjectRefName = tostring(Event.ObjectRef.Name), Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name)\n    | where isnotempty(ObjectRefName)\n);\nMatches\n| extend Due = EventTime + 1h\n| where Due <= ago(5m) and Due > ago(20m)\n| join kind=leftouter (Matches | project Heard = EventTime, Cluster, ObjectRefName) on Cluster, ObjectRefName\n| summarize Later = countif(Heard > EventTime and Heard < Due), take_any(Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, ObjectRefName, EventTime, Due\n| where Later == 0\n| extend Count = 0, Events = 0, FirstSeen = EventTime, LastSeen = EventTime\n| extend AlertSeverity = "Medium", RuleSeverity = "medium"\n| extend AlertTitle = strcat("No events from ", Name, " for an hour after ", tostring(FirstSeen))'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT2H'
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
