@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '7f78b3c3-0b27-814f-95be-9c761c15e42d'
  kind: 'Scheduled'
  properties: {
    displayName: 'Longhorn Recurring Job Deleted or Made Destructive'
    description: 'A person deleted a recurring job, let it keep one backup or none, or let it delete snapshots. Backups end, or are removed by Longhorn itself.\n\nThis export finds other things than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nGoal\nDetect retention that Longhorn carries out under its own name.\n\nStrategy\nA deletion; a request that sets `spec.task` to `snapshot-delete`; or one that sets `spec.retain` of a job to 1 or 0.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. The jobs: `kubectl -n longhorn-system get recurringjobs -o yaml`\n3. Stop one before its next run: `kubectl -n longhorn-system delete recurringjob \'<Name>\'`\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'Medium'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where ((tostring(Event.ObjectRef.APIGroup) == "longhorn.io" and tostring(Event.ObjectRef.Resource) == "recurringjobs" and tostring(Event.Verb) in ("delete", "deletecollection") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)) or (tostring(Event.ObjectRef.APIGroup) == "longhorn.io" and tostring(Event.ObjectRef.Resource) == "recurringjobs" and tostring(Event.Verb) in ("create", "update", "patch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and ((tostring(Event.RequestObject.spec.task) =~ "snapshot-delete" or coalesce(set_has_element(parse_json(tolower(tostring(Event.RequestObject.spec.task))), "snapshot-delete"), false)) or ((isnotempty(tostring(Event.RequestObject.spec.task)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/task") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/task)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/task/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/task/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and (tostring(Event.ResponseObject.spec.task) =~ "snapshot-delete" or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.spec.task))), "snapshot-delete"), false))) or ((coalesce(todouble(tostring(Event.RequestObject.spec.retain)) <= 1, false) or ((isnotempty(tostring(Event.RequestObject.spec.retain)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/retain") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/retain)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/retain/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/retain/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and coalesce(todouble(tostring(Event.ResponseObject.spec.retain)) <= 1, false))) and not(tostring(Event.Verb) in ("create", "patch") and (isnotempty(tostring(Event.RequestObject.spec.cron)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/cron") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/cron)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/cron/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/cron/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))))))))\n| where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:longhorn-system:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where not(tostring(Event.User.username) in~ ("system:serviceaccount:kube-system:generic-garbage-collector", "system:serviceaccount:kube-system:namespace-controller") and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not((tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "Medium", RuleSeverity = "medium"\n| extend AlertTitle = strcat(Account, " deleted or weakened Longhorn recurring jobs, count ", tostring(Events))'
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
