@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: 'e377866a-cb5e-837a-81f9-3ff16f97c7f7'
  kind: 'Scheduled'
  properties: {
    displayName: 'Longhorn Backup Target Applied with a New Destination'
    description: 'A pipeline applied a whole backup target with a URL that it did not have in the last 30 days.\n\nThis export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nThis export finds more than the rule it is made of: signals stay open for a different time: a value is forgotten after 14d instead of 30d.\n\nGoal\nDetect backups that are redirected through a pipeline.\n\nStrategy\nThe combination of name, URL and credential is new. The first time that a pipeline applies it is reported too.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. The current state: `kubectl -n longhorn-system get backuptargets -o yaml`\n3. The commit that changed it, and who approved it.\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'Low'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where tostring(Event.ObjectRef.APIGroup) == "longhorn.io"\n    | where tostring(Event.ObjectRef.Resource) == "backuptargets"\n    | where tostring(Event.Verb) in ("update", "patch")\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n    | where tostring(Event.Verb) == "patch"\n    | where tostring(Event.User.username) matches regex @"(?s)^system:serviceaccount:.*:.*$"\n    | where not(isnotempty(tostring(Event.ImpersonatedUser.username)))\n    | where (isnotempty(tostring(Event.RequestObject.spec.backupTargetURL)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/backupTargetURL") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/backupTargetURL)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/backupTargetURL/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/backupTargetURL/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/"))))\n    | where (isnotempty(tostring(Event.RequestObject.spec.credentialSecret)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/credentialSecret") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/credentialSecret)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/credentialSecret/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/credentialSecret/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/"))))\n    | where (isnotempty(tostring(Event.RequestObject.spec.pollInterval)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/pollInterval") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/pollInterval)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/pollInterval/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/pollInterval/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/"))))\n    | where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:longhorn-system:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n    | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n    | where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(70m), Value = strcat_delim("|", tostring(Event.ObjectRef.Name), tostring(Event.ResponseObject.spec.backupTargetURL), tostring(Event.ResponseObject.spec.credentialSecret))\n);\nMatches\n| where IsNew and isnotempty(Value)\n| join kind=leftanti (Matches | where not(IsNew)) on Cluster, Value\n| summarize Events = count(), FirstSeen = min(EventTime), LastSeen = max(EventTime), arg_min(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, ActorUsername\n| extend Count = Events\n| extend AlertSeverity = "Low", RuleSeverity = "low"\n| extend AlertTitle = strcat(Account, " applied a Longhorn backup target with a new destination")'
    queryFrequency: 'PT1H'
    queryPeriod: 'P14D'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'Impact'
      'Exfiltration'
    ]
    techniques: [
      'T1490'
      'T1565'
      'T1537'
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
