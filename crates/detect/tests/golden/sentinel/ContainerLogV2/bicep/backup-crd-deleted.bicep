@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: 'faf1dc59-2d8d-8b66-bd7f-0c0d0a824372'
  kind: 'Scheduled'
  properties: {
    displayName: 'CustomResourceDefinition of a Backup Tool Deleted'
    description: 'A CustomResourceDefinition of a backup tool was deleted. Kubernetes deletes all its objects with it: every backup, schedule or location of that kind.\n\nGoal\nDetect the deletion of all backups of a tool with one request.\n\nStrategy\nOne is enough, by any identity. Upgrades change definitions and do not delete them.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Stop the operator, so that it processes no deletion\n3. Which definitions remain: `kubectl get crd`. One that is terminating still has objects with finalizers.\n4. Install the definitions again and restore the objects from the backup of the cluster or from the bucket.\n5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where tostring(Event.ObjectRef.APIGroup) == "apiextensions.k8s.io"\n| where tostring(Event.ObjectRef.Resource) == "customresourcedefinitions"\n| where tostring(Event.Verb) in ("delete", "deletecollection")\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n| where (tostring(Event.ObjectRef.Name) endswith ".addons.kubestash.com" or tostring(Event.ObjectRef.Name) endswith ".config.kio.kasten.io" or tostring(Event.ObjectRef.Name) endswith ".core.kubestash.com" or tostring(Event.ObjectRef.Name) endswith ".dataprotection.kubeblocks.io" or tostring(Event.ObjectRef.Name) endswith "etcdsnapshotfiles.k3s.cattle.io" or tostring(Event.ObjectRef.Name) endswith ".groupsnapshot.storage.k8s.io" or tostring(Event.ObjectRef.Name) endswith ".k8up.io" or tostring(Event.ObjectRef.Name) endswith ".longhorn.io" or tostring(Event.ObjectRef.Name) endswith ".postgresql.cnpg.io" or tostring(Event.ObjectRef.Name) endswith ".snapshot.storage.k8s.io" or tostring(Event.ObjectRef.Name) endswith ".stash.appscode.com" or tostring(Event.ObjectRef.Name) endswith ".storage.kubestash.com" or tostring(Event.ObjectRef.Name) endswith ".stork.libopenstorage.org" or tostring(Event.ObjectRef.Name) endswith ".triliovault.trilio.io" or tostring(Event.ObjectRef.Name) endswith ".velero.io" or tostring(Event.ObjectRef.Name) endswith ".volsync.backube" or tostring(Event.Verb) == "deletecollection")\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not((isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "High", RuleSeverity = "critical"\n| extend AlertTitle = strcat(Account, " deleted CustomResourceDefinitions of backup tools, count ", tostring(Events))'
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
      'T1485'
      'T1490'
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
