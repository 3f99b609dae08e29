@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '61c935d9-e821-8c7d-b131-a81097c2b492'
  kind: 'Scheduled'
  properties: {
    displayName: 'Token of a Backup Tool Requested by a Person'
    description: 'A person requested a token of an account of a backup tool. With it, requests look like those of the tool.\n\nGoal\nDetect a person who obtains the identity of a backup tool.\n\nStrategy\nOnly nodes and programs request tokens in normal operation.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Requests with the token: events whose `user.extra` has the credential ID of the response\'s annotations\n3. Make the token worthless: delete the ServiceAccount and create it again, then restart the tool.\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'Medium'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where not(isnotempty(tostring(Event.ObjectRef.APIGroup)))\n| where tostring(Event.ObjectRef.Resource) == "serviceaccounts"\n| where tostring(Event.ObjectRef.Subresource) == "token"\n| where tostring(Event.ObjectRef.Namespace) in ("cloudcasa-io", "cnpg-system", "k8up", "k8up-operator", "kasten-io", "kb-system", "keepwatch", "kubestash", "longhorn-system", "openshift-adp", "portworx", "stash", "trilio-system", "velero", "volsync-system")\n| where tostring(Event.Verb) == "create"\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n| where not(tostring(Event.User.username) startswith "system:node:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where not(tostring(Event.User.username) matches regex @"(?s)^system:serviceaccount:.*:.*$" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "Medium", RuleSeverity = "medium"\n| extend AlertTitle = strcat(Account, " requested tokens of backup tools, count ", tostring(Events))'
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
