@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '3f920d4b-55e3-8db6-a1bd-ac1f51a2f5af'
  kind: 'Scheduled'
  properties: {
    displayName: 'Backup Operator Stopped, Then Its Namespace Deleted'
    description: 'A workload of a backup tool was scaled to zero or deleted, and then its namespace was deleted, within a day, by one identity or by several.\n\nThis export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nGoal\nDetect the removal of a backup tool in steps.\n\nStrategy\nThe workload and the namespace belong together by the name of the namespace, so the steps may be those of different identities.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Save what still exists: `kubectl -n \'<Namespace>\' get secrets -o yaml`\n3. Install the tool again with the former key, and connect the bucket.\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'let Matches = materialize(\n    union (\n        ContainerLogV2\n        | where LogMessage contains "K10Event"\n        | extend Event = parse_json(tostring(LogMessage))\n        | where ((tostring(Event.ObjectRef.APIGroup) == "apps" and tostring(Event.ObjectRef.Resource) in ("deployments", "statefulsets") and tostring(Event.ObjectRef.Namespace) in ("cloudcasa-io", "cnpg-system", "k8up", "k8up-operator", "kasten-io", "kb-system", "keepwatch", "kubestash", "longhorn-system", "openshift-adp", "portworx", "stash", "trilio-system", "velero", "volsync-system") and tostring(Event.Verb) in ("update", "patch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and ((tostring(Event.RequestObject.spec.replicas) =~ "0" or coalesce(set_has_element(Event.RequestObject.spec.replicas, "0"), false)) or ((isnotempty(tostring(Event.RequestObject.spec.replicas)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/replicas") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/replicas)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/replicas/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/replicas/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and (tostring(Event.ResponseObject.spec.replicas) =~ "0" or coalesce(set_has_element(Event.ResponseObject.spec.replicas, "0"), false))) or ((isnotempty(tostring(Event.RequestObject.spec.replicas)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/replicas") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/replicas)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/replicas/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/replicas/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and (tostring(Event.ResponseObject.kind) =~ "Scale" or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.kind))), "scale"), false)) and not(isnotempty(tostring(Event.ResponseObject.spec.replicas)))))) or (tostring(Event.ObjectRef.APIGroup) == "apps" and tostring(Event.ObjectRef.Resource) in ("daemonsets", "deployments", "statefulsets") and tostring(Event.ObjectRef.Namespace) in ("cloudcasa-io", "cnpg-system", "k8up", "k8up-operator", "kasten-io", "kb-system", "keepwatch", "kubestash", "longhorn-system", "openshift-adp", "portworx", "stash", "trilio-system", "velero", "volsync-system") and tostring(Event.Verb) in ("delete", "deletecollection") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)))\n        | where not(((tostring(Event.User.username) startswith_cs "system:serviceaccount:cloudcasa-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:cnpg-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:k8up:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:k8up-operator:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kb-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:keepwatch:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kubestash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:longhorn-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:portworx:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:stash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:trilio-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:volsync-system:") and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) or (tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))))\n        | where not(tostring(Event.User.username) startswith_cs "system:serviceaccount:kube-system:" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n        | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n        | where not((tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n        | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n        | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, Tool = tostring(Event.ObjectRef.Namespace), Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m), EventId = strcat_delim("|", tostring(Event.AuditID), tostring(Event.StageTimestamp), tostring(Event.Verb), tostring(Event.User.username), tostring(Event.RequestURI)), Query = "stopped_operators"\n        | where isnotempty(Tool)\n    ), (\n        ContainerLogV2\n        | where LogMessage contains "K10Event"\n        | extend Event = parse_json(tostring(LogMessage))\n        | where not(isnotempty(tostring(Event.ObjectRef.APIGroup)))\n        | where tostring(Event.ObjectRef.Resource) == "namespaces"\n        | where not(isnotempty(tostring(Event.ObjectRef.Subresource)))\n        | where tostring(Event.ObjectRef.Name) in~ ("cloudcasa-io", "cnpg-system", "k8up", "k8up-operator", "kasten-io", "kb-system", "keepwatch", "kubestash", "longhorn-system", "openshift-adp", "portworx", "stash", "trilio-system", "velero", "volsync-system")\n        | where tostring(Event.Verb) == "delete"\n        | where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n        | where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n        | where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n        | where not((isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n        | extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n        | project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, Tool = tostring(Event.ObjectRef.Name), Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m), EventId = strcat_delim("|", tostring(Event.AuditID), tostring(Event.StageTimestamp), tostring(Event.Verb), tostring(Event.User.username), tostring(Event.RequestURI)), Query = "deleted_namespaces"\n        | where isnotempty(Tool)\n    )\n);\nlet Step1 = Matches | where Query == "stopped_operators" | project Cluster, Tool, Time1 = EventTime, Id1 = EventId, New1 = IsNew;\nlet Step2 = Matches | where Query == "deleted_namespaces" | project Cluster, Tool, Time2 = EventTime, Id2 = EventId, New2 = IsNew, Account, SourceIp, Verb, Resource, Namespace, Name;\nStep1\n| join kind=inner Step2 on Cluster, Tool\n| where Time2 >= Time1 and Time2 < Time1 + 1d and Id2 != Id1\n| where New1 or New2\n| summarize FirstSeen = min(Time1), arg_max(Time2, Account, SourceIp, Verb, Resource, Namespace, Name) by Cluster, Tool\n| extend Count = 2, Events = 2, LastSeen = Time2\n| extend AlertSeverity = "High", RuleSeverity = "critical"\n| extend AlertTitle = strcat("The backup operator in ", Namespace, " was stopped and its namespace deleted")'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT25H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'Impact'
    ]
    techniques: [
      'T1485'
      'T1489'
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
      Group1: 'Tool'
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
