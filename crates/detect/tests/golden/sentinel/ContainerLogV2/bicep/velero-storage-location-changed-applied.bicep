@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '209b251c-d4be-8ba9-93b5-f1f99fafad1c'
  kind: 'Scheduled'
  properties: {
    displayName: 'Velero Storage Location Applied with a New Destination'
    description: 'A pipeline applied a whole storage location with a bucket or prefix that it did not have in the last 30 days.\n\nThis export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nThis export finds more than the rule it is made of: signals stay open for a different time: a value is forgotten after 14d instead of 30d.\n\nGoal\nDetect backups that are redirected through a pipeline.\n\nStrategy\nA patch by a ServiceAccount that contains the provider is the whole object. The combination of namespace, name, bucket and prefix is new. The first time that a pipeline applies it is reported too.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. The current state: `kubectl -n velero get backupstoragelocations -o yaml`\n3. The commit that changed it, and who approved it.\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'Low'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where tostring(Event.ObjectRef.APIGroup) == "velero.io"\n    | where tostring(Event.ObjectRef.Resource) == "backupstoragelocations"\n    | where tostring(Event.Verb) in ("update", "patch")\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n    | where tostring(Event.Verb) == "patch"\n    | where tostring(Event.User.username) matches regex @"(?s)^system:serviceaccount:.*:.*$"\n    | where not(isnotempty(tostring(Event.ImpersonatedUser.username)))\n    | where (isnotempty(tostring(Event.RequestObject.spec.provider)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/provider") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/provider)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/provider/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/provider/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/"))))\n    | where not((tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:") and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n    | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n    | where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(70m), Value = strcat_delim("|", tostring(Event.ObjectRef.Namespace), tostring(Event.ObjectRef.Name), tostring(Event.ResponseObject.spec.objectStorage.bucket), tostring(Event.ResponseObject.spec.objectStorage.prefix))\n);\nMatches\n| where IsNew and isnotempty(Value)\n| join kind=leftanti (Matches | where not(IsNew)) on Cluster, Value\n| summarize Events = count(), FirstSeen = min(EventTime), LastSeen = max(EventTime), arg_min(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, ActorUsername\n| extend Count = Events\n| extend AlertSeverity = "Low", RuleSeverity = "low"\n| extend AlertTitle = strcat(Account, " applied a Velero storage location with a new destination")'
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
