resource "datadog_security_monitoring_rule" "csi_deletion_policy_changed" {
  name               = "CSI Snapshot Deletion Policy Set to Delete"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} set the deletion policy of snapshot contents or classes{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} to `Delete` with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. No data is gone yet: a content loses it when its snapshot is deleted, and a class affects only snapshots that are made later.
The objects: .

## About

A person set the deletion policy of a snapshot content or a class to Delete. The storage system then deletes the data together with the snapshots.

This export finds other things than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the comparison is case-sensitive: requestObject.spec.deletionPolicy.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.spec.deletionPolicy.

This export finds less than the rule it is made of: the comparison is case-sensitive: requestObject.deletionPolicy.

This export finds less than the rule it is made of: the comparison is case-sensitive: responseObject.deletionPolicy.

## Goal

Detect the step before the destruction of retained snapshots.

## Strategy

The request writes the policy, and the policy is `Delete`. A patch of the whole object by a ServiceAccount does not count, because pipelines send it constantly.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Set it back: `kubectl patch volumesnapshotcontent '{{@ObjectRef.Name}}' --type merge -p '{"spec":{"deletionPolicy":"Retain"}}'`
3. All policies: `kubectl get volumesnapshotcontents,volumesnapshotclasses -o yaml | grep -B20 'deletionPolicy: Delete'`
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires request bodies. EKS, GKE and AKS record snapshots without bodies (level Metadata: the group is not part of the API server), so this rule cannot fire on their logs.
- A whole object that a ServiceAccount applies with another policy.
- The ServiceAccounts of the namespaces in which snapshot controllers, CSI drivers and backup tools usually run are exempt, also when their tokens are stolen. The rule `backup-account-token-requested` covers new tokens of backup tools.
- A snapshot controller, a CSI driver or a backup tool in another namespace than the usual ones counts as another identity. A filter exempts it.

## False positives

- Snapshots that were retained for an audit, and whose storage is released.
- A client that replaces a whole object (PUT) sends fields that it does not change.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1485-data-destruction"]

  query {
    name                         = "changed_deletion_policies"
    query                        = "@ObjectRef.APIGroup:(groupsnapshot.storage.k8s.io OR snapshot.storage.k8s.io) @ObjectRef.Resource:(volumegroupsnapshotclasses OR volumegroupsnapshotcontents OR volumesnapshotclasses OR volumesnapshotcontents) @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.deletionPolicy:Delete OR ((@RequestObject.spec.deletionPolicy:* OR @RequestObject.path:(\"/spec\" OR \"/spec/deletionPolicy\") OR @RequestObject.path:/spec/deletionPolicy/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.deletionPolicy:Delete) OR @RequestObject.deletionPolicy:Delete OR ((@RequestObject.deletionPolicy:* OR @RequestObject.path:\"/deletionPolicy\" OR @RequestObject.path:/deletionPolicy/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.deletionPolicy:Delete)) -((@Verb:patch @User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?* (@RequestObject.driver:* OR @RequestObject.path:\"/driver\" OR @RequestObject.path:/driver/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*))) OR (@Verb:patch @User.username:system\\:serviceaccount\\:*\\:* -@ImpersonatedUser.username:?* (@RequestObject.spec.driver:* OR @RequestObject.path:(\"/spec\" OR \"/spec/driver\") OR @RequestObject.path:/spec/driver/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)))) -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:kube\\-system\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-cluster\\-csi\\-drivers\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-cluster\\-storage\\-operator\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "critical"
    condition     = "changed_deletion_policies >= 5"
    notifications = []
  }

  case {
    name          = "some"
    status        = "high"
    condition     = "changed_deletion_policies > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
