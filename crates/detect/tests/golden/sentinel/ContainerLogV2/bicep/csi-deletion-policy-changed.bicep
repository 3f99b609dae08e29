@description('Name of the Log Analytics workspace that Microsoft Sentinel is on')
param workspace string

resource logs 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspace
}

resource rule 'Microsoft.SecurityInsights/alertRules@2024-09-01' = {
  scope: logs
  name: '9a2e5cca-2e31-8eb8-b88b-e83b1a6497d0'
  kind: 'Scheduled'
  properties: {
    displayName: 'CSI Snapshot Deletion Policy Set to Delete'
    description: 'A person set the deletion policy of a snapshot content or a class to Delete. The storage system then deletes the data together with the snapshots.\n\nThis export finds other things than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.\n\nGoal\nDetect the step before the destruction of retained snapshots.\n\nStrategy\nThe request writes the policy, and the policy is `Delete`. A patch of the whole object by a ServiceAccount does not count, because pipelines send it constantly.\n\nTriage and response\n1. Everything that this identity did at that time:\n   `keepwatch investigate user \'<Account>\' --since 24h`\n2. Set it back: `kubectl patch volumesnapshotcontent \'<Name>\' --type merge -p \'{"spec":{"deletionPolicy":"Retain"}}\'`\n3. All policies: `kubectl get volumesnapshotcontents,volumesnapshotclasses -o yaml | grep -B20 \'deletionPolicy: Delete\'`\n4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep \'<Account>\'`, delete the binding, and revoke the credential (`credentialID` of the signal).'
    enabled: true
    severity: 'High'
    query: 'ContainerLogV2\n| where LogMessage contains "K10Event"\n| extend Event = parse_json(tostring(LogMessage))\n| where tostring(Event.ObjectRef.APIGroup) in ("groupsnapshot.storage.k8s.io", "snapshot.storage.k8s.io")\n| where tostring(Event.ObjectRef.Resource) in ("volumegroupsnapshotclasses", "volumegroupsnapshotcontents", "volumesnapshotclasses", "volumesnapshotcontents")\n| where tostring(Event.Verb) in ("update", "patch")\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) >= 200, false)\n| where coalesce(todouble(tostring(Event.ResponseStatus.code)) < 300, false)\n| where ((tostring(Event.RequestObject.spec.deletionPolicy) =~ "Delete" or coalesce(set_has_element(parse_json(tolower(tostring(Event.RequestObject.spec.deletionPolicy))), "delete"), false)) or ((isnotempty(tostring(Event.RequestObject.spec.deletionPolicy)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/deletionPolicy") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/deletionPolicy)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/deletionPolicy/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/deletionPolicy/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and (tostring(Event.ResponseObject.spec.deletionPolicy) =~ "Delete" or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.spec.deletionPolicy))), "delete"), false))) or (tostring(Event.RequestObject.deletionPolicy) =~ "Delete" or coalesce(set_has_element(parse_json(tolower(tostring(Event.RequestObject.deletionPolicy))), "delete"), false)) or ((isnotempty(tostring(Event.RequestObject.deletionPolicy)) or (tostring(Event.RequestObject.path) == "/deletionPolicy" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/deletionPolicy)""") or (tostring(Event.RequestObject.path) startswith_cs "/deletionPolicy/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/deletionPolicy/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/")))) and (tostring(Event.ResponseObject.deletionPolicy) =~ "Delete" or coalesce(set_has_element(parse_json(tolower(tostring(Event.ResponseObject.deletionPolicy))), "delete"), false))))\n| where not((tostring(Event.Verb) == "patch" and tostring(Event.User.username) matches regex @"(?s)^system:serviceaccount:.*:.*$" and not(isnotempty(tostring(Event.ImpersonatedUser.username))) and (isnotempty(tostring(Event.RequestObject.driver)) or (tostring(Event.RequestObject.path) == "/driver" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/driver)""") or (tostring(Event.RequestObject.path) startswith_cs "/driver/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/driver/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/"))))) or (tostring(Event.Verb) == "patch" and tostring(Event.User.username) matches regex @"(?s)^system:serviceaccount:.*:.*$" and not(isnotempty(tostring(Event.ImpersonatedUser.username))) and (isnotempty(tostring(Event.RequestObject.spec.driver)) or (tostring(Event.RequestObject.path) in ("/spec", "/spec/driver") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""(/spec|/spec/driver)""") or (tostring(Event.RequestObject.path) startswith_cs "/spec/driver/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/spec/driver/") or ((tostring(Event.RequestObject.op) in ("add", "copy", "move", "replace") or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""op""\\s*:\\s*""(add|copy|move|replace)""") and not((tostring(Event.RequestObject.path) startswith_cs "/" or tostring(Event.RequestObject) matches regex @"(?s)^\\s*\\[.*""path""\\s*:\\s*""/"))))))\n| where not(((tostring(Event.User.username) startswith_cs "system:serviceaccount:cloudcasa-io:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:cnpg-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kb-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kube-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:kubestash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:longhorn-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-adp:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-cluster-csi-drivers:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:openshift-cluster-storage-operator:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:portworx:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:stash:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:trilio-system:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:velero:" or tostring(Event.User.username) startswith_cs "system:serviceaccount:volsync-system:") and not(isnotempty(tostring(Event.ImpersonatedUser.username)))) or (tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and not(isnotempty(tostring(Event.ImpersonatedUser.username)))))\n| where tostring(Event.Stage) in ("ResponseComplete", "Panic")\n| where not(tostring(Event.RequestURI) matches regex @"^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]")\n| extend Account = iff((tostring(Event.User.username) startswith_cs "system:serviceaccount:kasten-io:" and isnotempty(tostring(Event.ImpersonatedUser.username)) and not(tostring(Event.ImpersonatedUser.username) startswith_cs "system:serviceaccount:kasten-io:")), tostring(Event.ImpersonatedUser.username), tostring(Event.User.username))\n| project EventTime = todatetime(Event.StageTimestamp), Cluster = _ResourceId, ActorUsername = Account, Account, SourceIp = tostring(Event.SourceIPs[0]), Verb = tostring(Event.Verb), Resource = tostring(Event.ObjectRef.Resource), Namespace = tostring(Event.ObjectRef.Namespace), Name = tostring(Event.ObjectRef.Name), IsNew = ingestion_time() > ago(15m)\n| summarize Events = count(), New = countif(IsNew), FirstSeen = min(EventTime), arg_max(EventTime, *) by Cluster, ActorUsername\n| where New > 0\n| extend Count = Events, LastSeen = EventTime\n| extend AlertSeverity = case(Count >= 5, "High", "High"), RuleSeverity = case(Count >= 5, "critical", "high")\n| extend AlertTitle = strcat(Account, " set deletion policies of snapshots to Delete, count ", tostring(Events))'
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
