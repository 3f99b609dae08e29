@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '68e05c85-136e-8af8-9aa9-4ea2095ff006'
  kind: 'Scheduled'
  properties: {
    displayName: 'CSI Volume Snapshot Class Deleted'
    description: 'A volume snapshot class was deleted. Backup tools that use it make no new snapshots.\n\nGoal\nDetect snapshots that end because their class is gone.\n\nStrategy\nClasses are few and long-lived, so each deletion counts.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Which classes remain: `kubectl get volumesnapshotclasses`\n3. Snapshots that fail: `kubectl get volumesnapshots -A -o json | jq -r \'.items[] | select(.status.error) | .metadata.name\'`\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'Medium'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where tostring(Event.ObjectRef.APIGroup) in ("groupsnapshot.storage.k8s.io", "snapshot.storage.k8s.io")\n| where tostring(Event.ObjectRef.Resource) in ("volumegroupsnapshotclasses", "volumesnapshotclasses")\n| where tostring(Event.Verb) in ("delete", "deletecollection")\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n| where not(((tostring(Event.User.username) startswith_cs "system:serviceaccount:cloudcasa-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:cnpg-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kb-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kube-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kubestash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:longhorn-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-cluster-csi-drivers:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-cluster-storage-operator:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:portworx:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:stash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:trilio-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:volsync-system:") and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) or (tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not((isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "Medium", RuleSeverity = "medium"\n| extend AlertTitle = strcat(Account, " deleted volume snapshot classes, count ", tostring(Events))'
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
