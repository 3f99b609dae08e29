@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '920c5f5c-c6a2-8752-a437-61039cc13d88'
  kind: 'Scheduled'
  properties: {
    displayName: 'Keepwatch Heartbeat Silent'
    description: 'Keepwatch records a heartbeat every minute. There was none for ten minutes: the server, its store or the delivery to this detector stopped or was stopped.\n\nGoal\nDetect that recording has stopped.\n\nStrategy\nEach heartbeat resets a timer. It uses the time of the events, so a detector in another place works too.\n\nTriage and response\n1. Check the server: `kubectl get pods -A -l app.kubernetes.io/name=keepwatch` and `kubectl get --raw /readyz`\n2. Find out why it stopped: `kubectl get events -A --field-selector involvedObject.name=keepwatch`\n3. Look for what happened in the meantime in the cluster\'s own audit log.'
    enabled: true
    severity: 'High'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where tostring(Event.Verb) == "heartbeat"\n    | where tostring(Event.User.username) =~ "system:keepwatch"\n    | where isnotempty(tostring(Event.Annotations["keepwatch.io/heartbeat"]))\n    | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n    | where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name)\n);\nMatches\n| extend Due = EventTime + 10m\n| where Due <= ago(5m) and Due > ago(20m)\n| join kind=leftouter (Matches | project Heard = EventTime, Cluster) on Cluster\n| summarize Later = countif(Heard > EventTime and Heard < Due), take_any(Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, EventTime, Due\n| where Later == 0\n| extend Count = 0, Events = 0, FirstSeen = EventTime, LastSeen = EventTime\n| extend AlertSeverity = "High", RuleSeverity = "high"\n| extend AlertTitle = strcat("No heartbeat from Keepwatch for ten minutes after ", tostring(FirstSeen))'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT70M'
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
