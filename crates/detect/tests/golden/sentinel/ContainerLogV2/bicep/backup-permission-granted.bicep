@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '42055479-5da6-855a-9aa2-193d346954c6'
  kind: 'Scheduled'
  properties: {
    displayName: 'Permission on Backups Granted by a Person'
    description: 'A person created or changed a role that may change backups, or bound the role of a backup tool.\n\nThis export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nGoal\nDetect an identity that obtains permissions before an attack.\n\nStrategy\nA role that names an API group of a backup tool and a verb that changes objects, or a binding to a role that has the name of one.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. The role or binding: `kubectl get clusterroles,roles,clusterrolebindings,rolebindings -A | grep \'<Name>\'`\n3. Who may delete backups now: `kubectl auth can-i delete backups.velero.io --as=USER -n velero`\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'Medium'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where ((tostring(Event.ObjectRef.APIGroup) == "rbac.authorization.k8s.io" and tostring(Event.ObjectRef.Resource) in ("clusterroles", "roles") and tostring(Event.Verb) in ("create", "update", "patch") and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and (isnotempty(tostring(Event.RequestObject.rules)) or (tostring(Event.RequestObject.path) == "/rules" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/rules)""") or (tostring(Event.RequestObject.path) startswith_cs "/rules/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/rules/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and (tostring(Event.ResponseObject.rules.apiGroups) in~ ("addons.kubestash.com", "core.kubestash.com", "dataprotection.kubeblocks.io", "groupsnapshot.storage.k8s.io", "k8up.io", "longhorn.io", "postgresql.cnpg.io", "repositories.stash.appscode.com", "snapshot.storage.k8s.io", "stash.appscode.com", "storage.kubestash.com", "stork.libopenstorage.org", "triliovault.trilio.io", "velero.io", "volsync.backube", "actions.kio.kasten.io", "apps.kio.kasten.io", "config.kio.kasten.io", "repositories.kio.kasten.io", "vault.kio.kasten.io") or (coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "addons.kubestash.com"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "core.kubestash.com"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "dataprotection.kubeblocks.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "groupsnapshot.storage.k8s.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "k8up.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "longhorn.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "postgresql.cnpg.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "repositories.stash.appscode.com"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "snapshot.storage.k8s.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "stash.appscode.com"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "storage.kubestash.com"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "stork.libopenstorage.org"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "triliovault.trilio.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "velero.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "volsync.backube"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "actions.kio.kasten.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "apps.kio.kasten.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "config.kio.kasten.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "repositories.kio.kasten.io"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.apiGroups))), "vault.kio.kasten.io"), false))) and (tostring(Event.ResponseObject.rules.verbs) in~ ("*", "create", "delete", "deletecollection", "patch", "update") or (coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.verbs))), "*"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.verbs))), "create"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.verbs))), "delete"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.verbs))), "deletecollection"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.verbs))), "patch"), false) or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.rules.verbs))), "update"), false)))) or (tostring(Event.ObjectRef.APIGroup) == "rbac.authorization.k8s.io" and tostring(Event.ObjectRef.Resource) in ("clusterrolebindings", "rolebindings") and tostring(Event.Verb) == "create" and coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false) and coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false) and (tostring(Event.ResponseObject.roleRef.name) contains "k10-" or tostring(Event.ResponseObject.roleRef.name) contains "k8up" or tostring(Event.ResponseObject.roleRef.name) contains "kasten" or tostring(Event.ResponseObject.roleRef.name) contains "keepwatch" or tostring(Event.ResponseObject.roleRef.name) contains "kubestash" or tostring(Event.ResponseObject.roleRef.name) contains "longhorn" or tostring(Event.ResponseObject.roleRef.name) contains "stash" or tostring(Event.ResponseObject.roleRef.name) contains "stork" or tostring(Event.ResponseObject.roleRef.name) contains "trilio" or tostring(Event.ResponseObject.roleRef.name) contains "velero" or tostring(Event.ResponseObject.roleRef.name) contains "volsync")))\n| where not(tostring(Event.User.username) =~ "system:apiserver" or (tostring(Event.User.username) startswith_cs "system:serviceaccount:kube-system:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))))\n| where not(tostring(Event.User.username) matches regex @"(?s)^system:serviceaccount:.*:.*$" and not(isnotempty(tostring(Event.ImpersonatedUser.username))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not((tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse") and isnotempty(tostring(Event.RequestObject.dryRun))) or (not(tostring(Event.Verb) in ("delete", "deletecollection") and isnotempty(tostring(Event.RequestObject)) and tostring(Event.Level) in ("Request", "RequestResponse")) and tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]"))\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = "Medium", RuleSeverity = "medium"\n| extend AlertTitle = strcat(Account, " granted permissions on backups, count ", tostring(Events))'
    queryFrequency: 'PT5M'
    queryPeriod: 'PT1H'
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionDuration: 'PT5H'
    suppressionEnabled: false
    tactics: [
      'Persistence'
      'PrivilegeEscalation'
    ]
    techniques: [
      'T1098'
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
