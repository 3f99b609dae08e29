@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: 'd26d7141-22a2-8f1e-80d7-18d5a618007c'
  kind: 'Scheduled'
  properties: {
    displayName: 'Kasten Policy Paused'
    description: 'A person paused a policy. It makes no new backups or exports until it is resumed.\n\nThis export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nGoal\nDetect backups that are switched off before an attack.\n\nStrategy\nThe request sets `spec.paused` to true, as K10\'s dashboard and `kubectl patch` do.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. The current state: `kubectl get -A policies.config.kio.kasten.io`\n3. Resume it: `kubectl -n \'<Namespace>\' patch policies.config.kio.kasten.io \'<Name>\' --type merge -p \'{"spec":{"paused":false}}\'`\n4. The newest restore point: `kubectl get -A restorepoints --sort-by=.metadata.creationTimestamp`\n5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'Medium'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where tostring(Event.ObjectRef.APIGroup) == "config.kio.kasten.io"\n| where tostring(Event.ObjectRef.Resource) == "policies"\n| where tostring(Event.Verb) in ("update", "patch")\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n| where (((isnotempty(tostring(Event.RequestObject.spec.paused)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/paused") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/paused)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/paused/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/paused/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and tostring(Event.RequestObject.spec.paused) =~ "true") or ((isnotempty(tostring(Event.RequestObject.spec.paused)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/paused") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/paused)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/paused/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/paused/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and tostring(Event.ResponseObject.spec.paused) =~ "true"))\n| where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "Medium", RuleSeverity = "medium"\n| extend AlertTitle = strcat(Account, " paused policies of Kasten, count ", tostring(Events))'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT1H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'Impact'
    ]
    techniques: [
      'T1490'
      'T1489'
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
