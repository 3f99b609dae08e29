@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '3ac8aec9-414c-8c4e-a2bd-3e548d3eff8d'
  kind: 'Scheduled'
  properties: {
    displayName: 'Secrets Read under the Name of a Backup Tool'
    description: 'An identity impersonated an account of a backup tool to read Secrets.\n\nGoal\nDetect identities that obtain the credentials of backups under the name of a backup tool.\n\nStrategy\nCounts successful get, list and watch requests for Secrets. Reads of other kinds reveal no credentials.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Who may impersonate: `kubectl get clusterroles -o json | jq -r \'.items[] | select(.rules[]?.verbs[]? == "impersonate") | .metadata.name\'`\n3. Change the credentials that were read.\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where (tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:cloudcasa-io:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:cnpg-system:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:k8up:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:k8up-operator:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kb-system:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:keepwatch:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kubestash:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:longhorn-system:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:portworx:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:stash:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:trilio-system:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:velero:" or tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:volsync-system:")\n| where tostring(Event.Verb) in ("get", "list", "watch")\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n| where not(isnotempty(tostring(Event.ObjectRef.APIGroup)))\n| where tostring(Event.ObjectRef.Resource) == "secrets"\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "High", RuleSeverity = "high"\n| extend AlertTitle = strcat(Account, " read Secrets as an account of a backup tool, count ", tostring(Events))'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT1H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'CredentialAccess'
      'PrivilegeEscalation'
    ]
    techniques: [
      'T1552'
      'T1078'
      'T1134'
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
