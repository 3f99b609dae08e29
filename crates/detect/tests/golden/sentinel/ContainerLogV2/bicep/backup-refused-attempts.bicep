@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: 'b981ba58-f1df-83b6-83c5-bf82658b451c'
  kind: 'Scheduled'
  properties: {
    displayName: 'Refused Attempts on Backups in a Row'
    description: 'One identity was denied repeatedly when it tried to change backups, snapshots, schedules or locations.\n\nGoal\nDetect probing before it succeeds.\n\nStrategy\nCounts denied requests (401, 403) that would change objects of backup tools. K10 has its own rules.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Check whether a request succeeded in between: `kubectl get signals`\n3. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where tostring(Event.ObjectRef.APIGroup) in ("addons.kubestash.com", "core.kubestash.com", "dataprotection.kubeblocks.io", "groupsnapshot.storage.k8s.io", "k8up.io", "longhorn.io", "postgresql.cnpg.io", "repositories.stash.appscode.com", "snapshot.storage.k8s.io", "stash.appscode.com", "storage.kubestash.com", "stork.libopenstorage.org", "triliovault.trilio.io", "velero.io", "volsync.backube")\n    | where tostring(Event.Verb) in ("create", "update", "patch", "delete", "deletecollection")\n    | where tostring(Event.ResponseStatus.code) in ("401", "403")\n    | where not(((tostring(Event.User.username) startswith_cs "system:serviceaccount:cloudcasa-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:cnpg-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:k8up:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:k8up-operator:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kb-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:keepwatch:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kubestash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:longhorn-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:portworx:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:stash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:trilio-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:volsync-system:") and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) or (tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))))\n    | where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kube-system:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n    | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n    | where not((tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m), Value = strcat_delim("|", tostring(Event.AuditID), tostring(Event.StageTimestamp), tostring(Event.Verb), tostring(Event.User.username), tostring(Event.RequestURI))\n    | where isnotempty(ActorUsername)\n);\nlet Oldest = toscalar(Matches | where IsNew | summarize min(EventTime));\nMatches\n| where EventTime >= Oldest\n| distinct EventTime, Cluster, ActorUsername\n| project-rename WindowEnd = EventTime\n| join kind=inner (Matches | where isnotempty(Value)) on Cluster, ActorUsername\n| where EventTime <= WindowEnd and EventTime > WindowEnd - 1h\n| summarize Count = count_distinct(Value), Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), LastSeen = max(EventTime), arg_max(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, ActorUsername, WindowEnd\n| where New > 0 and Count >= 5\n| summarize arg_max(Count, *) by Cluster, ActorUsername\n| extend AlertSeverity = case(Count >= 50, "High", "Medium"), RuleSeverity = case(Count >= 50, "high", "medium")\n| extend AlertTitle = strcat(Account, " was refused ", tostring(Events), " times on backups")'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT2H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'Discovery'
      'Impact'
    ]
    techniques: [
      'T1069'
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
