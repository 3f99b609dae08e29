resource "datadog_security_monitoring_rule" "backup_paused_deleted_destroyed" {
  name               = "Backups Paused, Backups Deleted, Workloads Destroyed"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} paused or deleted schedules of backups{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}}, then deleted backups, and then deleted or stopped volumes or workloads, all since {{first_seen}}, from {{@network.ip.list}}.
The objects: .

## About

One identity paused or deleted a schedule of backups, then deleted backups, then deleted volumes, workloads or namespaces or stopped workloads, in this order within a day. This is the pattern of extortion and sabotage.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

This export finds less than the rule it is made of: the window is shorter: each step within 12h of the one before instead of all within 1d.

## Goal

Detect the steps of extortion: no new backups, no old backups, no data.

## Strategy

Each step alone can be normal work. The sequence by one identity within a day is not. The steps can concern different tools.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Disable the identity first: it is active.
3. Which backups remain, in each tool, and in the buckets.
4. Stop all retention, by stopping the operators of the backup tools.
5. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Steps by different identities.
- Steps more than a day apart.
- Requires request bodies for a change of a schedule: EKS, GKE and AKS record custom resources without bodies (level Metadata). There, only a deleted schedule is the first step.
- Data that is encrypted by a pod: no request shows it.
- A backup tool in a namespace other than the usual ones, K10 outside `kasten-io` too. A copy of the rule with that namespace finds it.

## False positives

- An agreed removal of an application with its backups, by one person.
- An exercise.
END
  tags = ["tactic:TA0040-impact", "technique:T1485-data-destruction", "technique:T1486-data-encrypted-for-impact", "technique:T1489-service-stop", "technique:T1490-inhibit-system-recovery"]

  query {
    name                         = "paused_backups"
    query                        = "((@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:schedules) OR (@ObjectRef.APIGroup:longhorn.io @ObjectRef.Resource:recurringjobs) OR (@ObjectRef.APIGroup:config.kio.kasten.io @ObjectRef.Resource:policies) OR (@ObjectRef.APIGroup:(core.kubestash.com OR stash.appscode.com) @ObjectRef.Resource:backupconfigurations) OR (@ObjectRef.APIGroup:postgresql.cnpg.io @ObjectRef.Resource:scheduledbackups) OR (@ObjectRef.APIGroup:stork.libopenstorage.org @ObjectRef.Resource:applicationbackupschedules) OR (@ObjectRef.APIGroup:k8up.io @ObjectRef.Resource:schedules) OR (@ObjectRef.APIGroup:volsync.backube @ObjectRef.Resource:replicationsources) OR (@ObjectRef.APIGroup:dataprotection.kubeblocks.io @ObjectRef.Resource:backupschedules) OR (@ObjectRef.APIGroup:triliovault.trilio.io @ObjectRef.Resource:backupplans)) ((@Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.paused:true OR ((@RequestObject.spec.paused:* OR @RequestObject.path:(\"/spec\" OR \"/spec/paused\") OR @RequestObject.path:/spec/paused/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.paused:true) OR @RequestObject.spec.suspend:true OR ((@RequestObject.spec.suspend:* OR @RequestObject.path:(\"/spec\" OR \"/spec/suspend\") OR @RequestObject.path:/spec/suspend/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.suspend:true)))) -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:k8up\\:* OR @User.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @User.username:system\\:serviceaccount\\:kasten\\-io\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:keepwatch\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) -(@User.username:system\\:serviceaccount\\:kube\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  query {
    name                         = "deleted_backups"
    query                        = "((@ObjectRef.APIGroup:velero.io @ObjectRef.Resource:deletebackuprequests @Verb:create @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (((@ObjectRef.APIGroup:(dataprotection.kubeblocks.io OR k8up.io OR longhorn.io OR postgresql.cnpg.io OR triliovault.trilio.io OR velero.io) @ObjectRef.Resource:(backups OR backupvolumes OR clusterbackups OR snapshots OR systembackups)) OR (@ObjectRef.APIGroup:(groupsnapshot.storage.k8s.io OR snapshot.storage.k8s.io) @ObjectRef.Resource:(volumegroupsnapshotcontents OR volumegroupsnapshots OR volumesnapshotcontents OR volumesnapshots)) OR (@ObjectRef.APIGroup:apps.kio.kasten.io @ObjectRef.Resource:(clusterrestorepoints OR restorepointcontents OR restorepoints)) OR (@ObjectRef.APIGroup:(repositories.stash.appscode.com OR storage.kubestash.com) @ObjectRef.Resource:snapshots) OR (@ObjectRef.APIGroup:stork.libopenstorage.org @ObjectRef.Resource:applicationbackups)) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300)) -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:k8up\\:* OR @User.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @User.username:system\\:serviceaccount\\:kasten\\-io\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:keepwatch\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) -(@User.username:system\\:serviceaccount\\:kube\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  query {
    name                         = "destroyed_workloads"
    query                        = "((((-@ObjectRef.APIGroup:?* @ObjectRef.Resource:(namespaces OR persistentvolumeclaims OR persistentvolumes)) OR (@ObjectRef.APIGroup:apps @ObjectRef.Resource:(deployments OR statefulsets))) @Verb:(delete OR deletecollection) @ResponseStatus.code:>=200 @ResponseStatus.code:<300) OR (@ObjectRef.APIGroup:apps @ObjectRef.Resource:(deployments OR statefulsets) @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.spec.replicas:0 OR ((@RequestObject.spec.replicas:* OR @RequestObject.path:(\"/spec\" OR \"/spec/replicas\") OR @RequestObject.path:/spec/replicas/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.spec.replicas:0)))) -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:k8up\\:* OR @User.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @User.username:system\\:serviceaccount\\:kasten\\-io\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:keepwatch\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) -(@User.username:system\\:serviceaccount\\:kube\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@Verb:(delete OR deletecollection) @RequestObject.dryRun:*) OR (-@Verb:(delete OR deletecollection) (@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)) @User.username:?*"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = ""
    status        = "critical"
    condition     = "destroyed_workloads > 0"
    notifications = []
  }

  options {
    detection_method    = "sequence_detection"
    evaluation_window   = 0
    keep_alive          = 86400
    max_signal_duration = 86400

    sequence_detection_options {
      steps {
        name              = "paused_backups"
        condition         = "paused_backups > 0"
        evaluation_window = 0
      }

      steps {
        name              = "deleted_backups"
        condition         = "deleted_backups > 0"
        evaluation_window = 0
      }

      steps {
        name              = "destroyed_workloads"
        condition         = "destroyed_workloads > 0"
        evaluation_window = 0
      }

      step_transitions {
        parent            = "paused_backups"
        child             = "deleted_backups"
        evaluation_window = 43200
      }

      step_transitions {
        parent            = "deleted_backups"
        child             = "destroyed_workloads"
        evaluation_window = 43200
      }
    }
  }
}
