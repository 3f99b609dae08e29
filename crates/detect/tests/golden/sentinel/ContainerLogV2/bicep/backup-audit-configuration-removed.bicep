@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '2ca74938-04df-85e2-8859-c836fe8638e8'
  kind: 'Scheduled'
  properties: {
    displayName: 'Audit of Backups Removed or Changed'
    description: 'An identity deleted the webhook or the policy by which Keepwatch sees requests, or a person changed it or the audit of OpenShift. Later requests may not be seen.\n\nThis export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nGoal\nDetect that the audit is switched off before an attack.\n\nStrategy\nEvery deletion by any identity. Changes of the webhooks or of the policy count if a person makes them.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. The current state: `kubectl get validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings -o yaml | grep -A40 keepwatch`\n3. Apply the manifest of Keepwatch again.\n4. Look for what happened in the meantime in another log: the provider\'s, or that of the nodes.\n5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where ((tostring(Event.ObjectRef.APIGroup) == "admissionregistration.k8s.io" and tostring(Event.ObjectRef.Resource) in ("validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations") and tostring(Event.ObjectRef.Name) contains "keepwatch" and tostring(Event.Verb) in ("delete", "deletecollection") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)) or (tostring(Event.ObjectRef.APIGroup) == "admissionregistration.k8s.io" and tostring(Event.ObjectRef.Resource) in ("validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations") and tostring(Event.Verb) == "deletecollection" and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)) or (((tostring(Event.ObjectRef.APIGroup) == "admissionregistration.k8s.io" and tostring(Event.ObjectRef.Resource) in ("validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations") and tostring(Event.ObjectRef.Name) contains "keepwatch" and tostring(Event.Verb) in ("update", "patch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and (isnotempty(tostring(Event.RequestObject.webhooks)) or (tostring(Event.RequestObject.path) in ("/webhooks", "/spec") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/webhooks|/spec)""") or (tostring(Event.RequestObject.path) startswith_cs "/webhooks/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/webhooks/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/"))) or isnotempty(tostring(Event.RequestObject.spec)) or (tostring(Event.RequestObject.path) startswith_cs "/spec/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/"))) or (tostring(Event.ObjectRef.APIGroup) == "config.openshift.io" and tostring(Event.ObjectRef.Resource) == "apiservers" and tostring(Event.Verb) in ("update", "patch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and (isnotempty(tostring(Event.RequestObject.spec.audit)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/audit") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/audit)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/audit/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/audit/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))))) and not(tostring(Event.User.username) matches regex @"(?s)^system:serviceaccount:.*:.*$" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not((tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "High", RuleSeverity = "high"\n| extend AlertTitle = strcat(Account, " removed or changed the audit of backups, count ", tostring(Events))'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT1H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'DefenseEvasion'
    ]
    techniques: [
      'T1562'
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
