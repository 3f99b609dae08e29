@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: 'cb9e728e-2295-86e0-be24-ec86ebad3e9d'
  kind: 'Scheduled'
  properties: {
    displayName: 'Credentials of a Backup Tool Read by an Identity for the First Time'
    description: 'An identity read Secrets in the namespace of a backup tool for the first time. With them, backups can be read and deleted past the cluster.\n\nThis export finds more than the rule it is made of: signals stay open for a different time: a value is forgotten after 14d instead of 30d.\n\nGoal\nDetect theft of the credentials of backups.\n\nStrategy\nThe backup tool, the nodes and the control plane read them constantly and are ignored.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. If it was not authorized, change the credentials of the bucket and the key of the repository.\n3. The log of the bucket: requests with these credentials from other addresses.\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'Low'
    query: 'let Matches = materialize(\n    ContainerLogV2\n    | where LogMessage contains "K10Event"\n    | extend Event = parse_json(tostring(LogMessage))\n    | where not(isnotempty(tostring(Event.ObjectRef.APIGroup)))\n    | where tostring(Event.ObjectRef.Resource) == "secrets"\n    | where tostring(Event.ObjectRef.Namespace) in ("cloudcasa-io", "cnpg-system", "k8up", "k8up-operator", "kasten-io", "kb-system", "keepwatch", "kubestash", "longhorn-system", "openshift-adp", "portworx", "stash", "trilio-system", "velero", "volsync-system")\n    | where tostring(Event.Verb) in ("get", "list", "watch")\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n    | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n    | where not(tostring(Event.ObjectRef.Name) startswith "sh.helm.release." or (tostring(Event.Verb) == "list" and tostring(Event.RequestURI) matches regex @"\\?labelSelector=([A-Za-z0-9._-]|%[0-9A-F]{2})*owner%3Dhelm([A-Za-z0-9._-]|%[0-9A-F]{2})*(&limit=[0-9]+)?$"))\n    | where not((tostring(Event.User.username) startswith "system:apiserver" or tostring(Event.User.username) startswith "system:kube-" or tostring(Event.User.username) startswith "system:node:" or tostring(Event.User.username) startswith "system:serviceaccount:kube-system:") and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n    | where not(((tostring(Event.User.username) startswith_cs "system:serviceaccount:cloudcasa-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:cnpg-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:k8up:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:k8up-operator:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kb-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:keepwatch:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kubestash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:longhorn-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:portworx:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:stash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:trilio-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:volsync-system:") and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) or (tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))))\n    | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n    | where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n    | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n    | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(70m), Value = Account\n);\nMatches\n| where IsNew and isnotempty(Value)\n| join kind=leftanti (Matches | where not(IsNew)) on Cluster, Value\n| summarize Events = count(), FirstSeen = min(EventTime), LastSeen = max(EventTime), arg_min(EventTime, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, ActorUsername\n| extend Count = Events\n| extend AlertSeverity = "Low", RuleSeverity = "low"\n| extend AlertTitle = strcat(Account, " read Secrets of backup tools for the first time")'
    queryFrequency: 'PT1H'
    queryPeriod: 'P14D'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'CredentialAccess'
    ]
    techniques: [
      'T1552'
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
