@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '0632ec20-9622-8007-8bae-82df5fe2a398'
  kind: 'Scheduled'
  properties: {
    displayName: 'Velero Backup Data Deleted on Request'
    description: 'A person created a DeleteBackupRequest. Velero then deletes the data of the backup in the bucket, its volume snapshots and its object.\n\nGoal\nDetect the destruction of backup data.\n\nStrategy\nEvery successful creation of a DeleteBackupRequest outside Velero\'s namespaces. Velero\'s own account creates them for backups that have expired. Deleting a Backup object removes no data and has the rule `velero-backups-deleted`.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Stop Velero before it deletes more: `kubectl -n velero scale deployment velero --replicas=0`\n3. The requests and their progress: `kubectl -n velero get deletebackuprequests -o yaml`\n4. Remove those that have not started: `kubectl -n velero delete deletebackuprequests --all`\n5. Find out what the bucket still has: its versions and delete markers, and the snapshots of the cloud.\n6. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where tostring(Event.ObjectRef.APIGroup) == "velero.io"\n| where tostring(Event.ObjectRef.Resource) == "deletebackuprequests"\n| where tostring(Event.Verb) == "create"\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n| where not((tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:") and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = case(Count >= 5, "High", "High"), RuleSeverity = case(Count >= 5, "critical", "high")\n| extend AlertTitle = strcat(Account, " requested the deletion of Velero backup data, count ", tostring(Events))'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT7H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'Impact'
    ]
    techniques: [
      'T1490'
      'T1485'
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
