@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: 'a0abf002-750a-8b5f-97de-e03f5f817989'
  kind: 'Scheduled'
  properties: {
    displayName: 'Finalizers Removed from a Backup Object'
    description: 'An identity removed all finalizers of a backup object. It can then vanish without the cleanup that its operator would do, and its data becomes an orphan.\n\nThis export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nGoal\nDetect records of backups that are forced out of the cluster.\n\nStrategy\nThe request writes `metadata.finalizers`, and the object has none afterwards. Operators remove their own finalizers and are exempt.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Whether the object still exists: `kubectl get -A backups,volumesnapshotcontents | grep \'<Name>\'`\n3. Find its data in the storage, and import it again.\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where tostring(Event.ObjectRef.APIGroup) in ("addons.kubestash.com", "core.kubestash.com", "dataprotection.kubeblocks.io", "groupsnapshot.storage.k8s.io", "k8up.io", "longhorn.io", "postgresql.cnpg.io", "snapshot.storage.k8s.io", "stash.appscode.com", "storage.kubestash.com", "stork.libopenstorage.org", "triliovault.trilio.io", "velero.io", "volsync.backube", "config.kio.kasten.io")\n| where not(isnotempty(tostring(Event.ObjectRef.Subresource)))\n| where tostring(Event.Verb) in ("update", "patch")\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n| where (isnotempty(tostring(Event.RequestObject.metadata.finalizers)) or (tostring(Event.RequestObject.path) in ("/metadata", "/metadata/finalizers") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/metadata|/metadata/finalizers)""") or (tostring(Event.RequestObject.path) startswith_cs "/metadata/finalizers/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/metadata/finalizers/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/"))))\n| where isnotempty(tostring(Event.ResponseObject.metadata.name))\n| where not(isnotempty(tostring(Event.ResponseObject.metadata.finalizers)))\n| where not(((tostring(Event.User.username) startswith_cs "system:serviceaccount:cloudcasa-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:cnpg-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:k8up:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:k8up-operator:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kb-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:keepwatch:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kubestash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:longhorn-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:portworx:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:stash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:trilio-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:volsync-system:") and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) or (tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))))\n| where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kube-system:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = case(Count >= 5, "High", "Medium"), RuleSeverity = case(Count >= 5, "high", "medium")\n| extend AlertTitle = strcat(Account, " removed finalizers of backup objects, count ", tostring(Events))'
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
