@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '0eed8cc0-744d-84a4-8692-664624e1d46f'
  kind: 'Scheduled'
  properties: {
    displayName: 'Kasten StorageRepository Deleted, Repointed or Its Maintenance Switched Off'
    description: 'A person deleted or redirected a storage repository, disabled its maintenance, or set too short a maintenance timeout. Its backups degrade or become unreachable without being deleted.\n\nThis export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nGoal\nDetect repositories that are lost without a deletion.\n\nStrategy\nThe request deletes the repository, or sets `disableMaintenance`, `overrideLocation` or a `backgroundProcessTimeout` below ten minutes. Other changes of a repository that already has one of them do not count.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. The current state: `kubectl -n kasten-io get storagerepository \'<Name>\' -o yaml`\n3. Undo it: `kubectl -n kasten-io patch storagerepository \'<Name>\' --type merge -p \'{"spec":{"disableMaintenance":false,"overrideLocation":null,"backgroundProcessTimeout":null}}\'`\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where ((tostring(Event.ObjectRef.APIGroup) == "repositories.kio.kasten.io" and tostring(Event.ObjectRef.Resource) == "storagerepositories" and tostring(Event.Verb) == "delete" and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)) or (tostring(Event.ObjectRef.APIGroup) == "repositories.kio.kasten.io" and tostring(Event.ObjectRef.Resource) == "storagerepositories" and tostring(Event.Verb) in ("update", "patch", "create") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and not(isnotempty(tostring(Event.ObjectRef.Subresource))) and (tostring(Event.RequestObject.spec.disableMaintenance) =~ "true" or ((isnotempty(tostring(Event.RequestObject.spec.disableMaintenance)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/disableMaintenance") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/disableMaintenance)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/disableMaintenance/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/disableMaintenance/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and tostring(Event.ResponseObject.spec.disableMaintenance) =~ "true") or isnotempty(tostring(Event.RequestObject.spec.overrideLocation.name)) or ((isnotempty(tostring(Event.RequestObject.spec.overrideLocation)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/overrideLocation") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/overrideLocation)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/overrideLocation/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/overrideLocation/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and isnotempty(tostring(Event.ResponseObject.spec.overrideLocation.name))) or (tostring(Event.RequestObject.spec.backgroundProcessTimeout) matches regex @"^([+-]?0|[+-]?([0-9.]+(h|m|s|ms|us|ns))+)$" and (tostring(Event.RequestObject.spec.backgroundProcessTimeout) startswith_cs "-" or coalesce(todouble(extract(@"([0-9.]+)h", 1, tostring(Event.RequestObject.spec.backgroundProcessTimeout))), 0.0) * 3600 + coalesce(todouble(extract(@"([0-9.]+)m([^s]|$)", 1, tostring(Event.RequestObject.spec.backgroundProcessTimeout))), 0.0) * 60 + coalesce(todouble(extract(@"([0-9.]+)s", 1, tostring(Event.RequestObject.spec.backgroundProcessTimeout))), 0.0) * 1 + coalesce(todouble(extract(@"([0-9.]+)ms", 1, tostring(Event.RequestObject.spec.backgroundProcessTimeout))), 0.0) * 0.001 < 600)) or ((isnotempty(tostring(Event.RequestObject.spec.backgroundProcessTimeout)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/backgroundProcessTimeout") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/backgroundProcessTimeout)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/backgroundProcessTimeout/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/backgroundProcessTimeout/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and (tostring(Event.ResponseObject.spec.backgroundProcessTimeout) matches regex @"^([+-]?0|[+-]?([0-9.]+(h|m|s|ms|us|ns))+)$" and (tostring(Event.ResponseObject.spec.backgroundProcessTimeout) startswith_cs "-" or coalesce(todouble(extract(@"([0-9.]+)h", 1, tostring(Event.ResponseObject.spec.backgroundProcessTimeout))), 0.0) * 3600 + coalesce(todouble(extract(@"([0-9.]+)m([^s]|$)", 1, tostring(Event.ResponseObject.spec.backgroundProcessTimeout))), 0.0) * 60 + coalesce(todouble(extract(@"([0-9.]+)s", 1, tostring(Event.ResponseObject.spec.backgroundProcessTimeout))), 0.0) * 1 + coalesce(todouble(extract(@"([0-9.]+)ms", 1, tostring(Event.ResponseObject.spec.backgroundProcessTimeout))), 0.0) * 0.001 < 600))))))\n| where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not((tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "High", RuleSeverity = "high"\n| extend AlertTitle = strcat(Account, " deleted, redirected or disabled repositories, count ", tostring(Events))'
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
      'T1565'
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
