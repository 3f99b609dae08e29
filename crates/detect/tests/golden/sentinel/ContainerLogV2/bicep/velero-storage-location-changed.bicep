@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '11149d3d-8b80-8e2f-bf5e-15aac51f9cc3'
  kind: 'Scheduled'
  properties: {
    displayName: 'Velero Storage Location Repointed'
    description: 'A person changed the bucket, the credential or the configuration of a storage location. Later backups go there, and earlier ones are no longer found.\n\nThis export finds other things than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nGoal\nDetect backups that are redirected, or cut off from their bucket.\n\nStrategy\nThe request writes `spec.objectStorage`, `spec.config` or `spec.credential`, and is no patch of the whole object by a ServiceAccount.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. The current state: `kubectl -n velero get backupstoragelocations -o yaml`\n3. Find out who owns the bucket.\n4. Point it back: the earlier values are in the manifest, or in the evidence of an earlier signal.\n5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where tostring(Event.ObjectRef.APIGroup) == "velero.io"\n| where tostring(Event.ObjectRef.Resource) == "backupstoragelocations"\n| where tostring(Event.Verb) in ("update", "patch")\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n| where (isnotempty(tostring(Event.RequestObject.spec.objectStorage)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/objectStorage", "/spec/config", "/spec/credential") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/objectStorage|/spec/config|/spec/credential)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/objectStorage/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/objectStorage/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/"))) or isnotempty(tostring(Event.RequestObject.spec.config)) or (tostring(Event.RequestObject.path) startswith_cs "/spec/config/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/config/") or isnotempty(tostring(Event.RequestObject.spec.credential)) or (tostring(Event.RequestObject.path) startswith_cs "/spec/credential/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/credential/"))\n| where not(tostring(Event.Verb) == "patch" and tostring(Event.User.username) matches regex @"(?s)^system:serviceaccount:.*:.*$" and not(isnotempty(tostring(Event.ImpersonatedUser.username))) and (isnotempty(tostring(Event.RequestObject.spec.provider)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/provider") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/provider)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/provider/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/provider/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))))\n| where not((tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:") and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "High", RuleSeverity = "high"\n| extend AlertTitle = strcat(Account, " repointed Velero storage locations, count ", tostring(Events))'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT1H'
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
