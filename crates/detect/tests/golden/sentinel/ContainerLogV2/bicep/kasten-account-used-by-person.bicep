@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '0621232c-836c-8fb3-8795-9eeee7250f5c'
  kind: 'Scheduled'
  properties: {
    displayName: 'Kasten Service Account Used with a Person\'s Tool'
    description: 'One of K10\'s own accounts changed or deleted backups or repositories, or accessed passkeys, with a tool that people use. A person has its token.\n\nGoal\nDetect a stolen token of K10. Other rules treat the deletions of K10\'s accounts as retention.\n\nStrategy\nK10\'s services identify themselves in the user agent, and so do tools for people and client libraries for scripts.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Revoke the tokens: `kubectl -n kasten-io rollout restart deployment`, and delete the Secrets of type kubernetes.io/service-account-token in that namespace\n3. Stop retention before it deletes more: `kubectl -n kasten-io get policies -o name | xargs -n1 -I{} kubectl -n kasten-io patch {} --type merge -p \'{"spec":{"paused":true}}\'`\n4. List the remaining backups: `kubectl get restorepointcontents --sort-by=.metadata.creationTimestamp`'
    enabled: true
    severity: 'High'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where ((tostring(Event.ObjectRef.APIGroup) in ("apps.kio.kasten.io", "repositories.kio.kasten.io", "vault.kio.kasten.io") and tostring(Event.Verb) in ("delete", "deletecollection", "update", "patch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)) or (tostring(Event.ObjectRef.APIGroup) == "actions.kio.kasten.io" and tostring(Event.ObjectRef.Resource) in ("retireactions", "cancelactions") and tostring(Event.Verb) == "create" and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)) or (tostring(Event.ObjectRef.APIGroup) == "vault.kio.kasten.io" and tostring(Event.ObjectRef.Resource) == "passkeys" and tostring(Event.Verb) in ("get", "list", "watch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)))\n| where tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:"\n| where not(isnotempty(tostring(Event.ImpersonatedUser.username)))\n| where (tostring(Event.UserAgent) startswith "kubectl" or tostring(Event.UserAgent) startswith "curl/" or tostring(Event.UserAgent) startswith "Wget/" or tostring(Event.UserAgent) startswith "python-" or tostring(Event.UserAgent) startswith "Python-urllib/" or tostring(Event.UserAgent) startswith "OpenAPI-Generator/" or tostring(Event.UserAgent) startswith "Mozilla/" or tostring(Event.UserAgent) startswith "k9s/" or tostring(Event.UserAgent) startswith "Go-http-client/" or tostring(Event.UserAgent) startswith "HTTPie/" or tostring(Event.UserAgent) startswith "PostmanRuntime/" or tostring(Event.UserAgent) startswith "helm/" or tostring(Event.UserAgent) startswith "oc/")\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not((tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = case(Count >= 5, "High", "High"), RuleSeverity = case(Count >= 5, "critical", "high")\n| extend AlertTitle = strcat(Account, " was used with a person\'s tool, count ", tostring(Events))'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT7H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'DefenseEvasion'
      'Impact'
    ]
    techniques: [
      'T1078'
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
