resource "datadog_security_monitoring_rule" "backup_finalizers_stripped" {
  name               = "Finalizers Removed from a Backup Object"
  type               = "log_detection"
  enabled            = true
  has_extended_title = true
  message = <<END
{{@User.username}} removed the finalizers of backup objects{{^is_exact_match "cluster-name" ""}} of {{cluster-name}}{{/is_exact_match}} with {{events_matched}} requests since {{first_seen}}, from {{@network.ip.list}}. An object that is being deleted vanishes at once. Its operator does not delete the data in storage; it stays there without a record in the cluster.
The objects: .

## About

An identity removed all finalizers of a backup object. It can then vanish without the cleanup that its operator would do, and its data becomes an orphan.

This export finds less than the rule it is made of: not all changes of a field are recognized: a JSON patch of the whole document with another operation besides.

## Goal

Detect records of backups that are forced out of the cluster.

## Strategy

The request writes `metadata.finalizers`, and the object has none afterwards. Operators remove their own finalizers and are exempt.

## Triage and response

1. Everything that this identity did at that time:
   `keepwatch investigate user '{{@User.username}}' --since 24h`
2. Whether the object still exists: `kubectl get -A backups,volumesnapshotcontents | grep '{{@ObjectRef.Name}}'`
3. Find its data in the storage, and import it again.
4. If it was not authorized, remove the permissions: `kubectl get clusterrolebindings,rolebindings -A -o wide | grep '{{@User.username}}'`, delete the binding, and revoke the credential (`credentialID` of the signal).

## Blind spots

- Requires bodies of request and response. EKS, GKE and AKS record custom resources without bodies (level Metadata), so this rule cannot fire on their logs. In admission, the object and the old object show it.
- A replacement (PUT) that omits the finalizers: the body does not say whether the object had some.
- ServiceAccounts of kube-system, where the controllers of Kubernetes run, are exempt.
- A backup tool in a namespace other than the usual ones, K10 outside `kasten-io` too. A copy of the rule with that namespace finds it.

## False positives

- An object that cannot be deleted because its operator is gone.
END
  tags = ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery", "technique:T1485-data-destruction"]

  query {
    name                         = "stripped_finalizers"
    query                        = "@ObjectRef.APIGroup:(addons.kubestash.com OR core.kubestash.com OR dataprotection.kubeblocks.io OR groupsnapshot.storage.k8s.io OR k8up.io OR longhorn.io OR postgresql.cnpg.io OR snapshot.storage.k8s.io OR stash.appscode.com OR storage.kubestash.com OR stork.libopenstorage.org OR triliovault.trilio.io OR velero.io OR volsync.backube OR config.kio.kasten.io) -@ObjectRef.Subresource:?* @Verb:(update OR patch) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 (@RequestObject.metadata.finalizers:* OR @RequestObject.path:(\"/metadata\" OR \"/metadata/finalizers\") OR @RequestObject.path:/metadata/finalizers/* OR (@RequestObject.op:(add OR copy OR move OR replace) -@RequestObject.path:/*)) @ResponseObject.metadata.name:* -@ResponseObject.metadata.finalizers:* -(((@User.username:system\\:serviceaccount\\:cloudcasa\\-io\\:* OR @User.username:system\\:serviceaccount\\:cnpg\\-system\\:* OR @User.username:system\\:serviceaccount\\:k8up\\:* OR @User.username:system\\:serviceaccount\\:k8up\\-operator\\:* OR @User.username:system\\:serviceaccount\\:kasten\\-io\\:* OR @User.username:system\\:serviceaccount\\:kb\\-system\\:* OR @User.username:system\\:serviceaccount\\:keepwatch\\:* OR @User.username:system\\:serviceaccount\\:kubestash\\:* OR @User.username:system\\:serviceaccount\\:longhorn\\-system\\:* OR @User.username:system\\:serviceaccount\\:openshift\\-adp\\:* OR @User.username:system\\:serviceaccount\\:portworx\\:* OR @User.username:system\\:serviceaccount\\:stash\\:* OR @User.username:system\\:serviceaccount\\:trilio\\-system\\:* OR @User.username:system\\:serviceaccount\\:velero\\:* OR @User.username:system\\:serviceaccount\\:volsync\\-system\\:*) -@ImpersonatedUser.username:?*) OR (@User.username:system\\:serviceaccount\\:kasten\\-io\\:* -@ImpersonatedUser.username:?*)) -(@User.username:system\\:serviceaccount\\:kube\\-system\\:* -@ImpersonatedUser.username:?*) @Stage:(ResponseComplete OR Panic) -((@RequestURI:*\\?dryRun\\=All* OR @RequestURI:*\\&dryRun\\=All*) -@RequestURI:*\\?*\\?*)"
    aggregation                  = "count"
    group_by_fields              = ["@User.username", "cluster-name"]
    distinct_fields              = []
    has_optional_group_by_fields = true
    data_source                  = "logs"
  }

  case {
    name          = "many"
    status        = "high"
    condition     = "stripped_finalizers >= 5"
    notifications = []
  }

  case {
    name          = "some"
    status        = "medium"
    condition     = "stripped_finalizers > 0"
    notifications = []
  }

  options {
    detection_method    = "threshold"
    evaluation_window   = 21600
    keep_alive          = 21600
    max_signal_duration = 86400
  }
}
