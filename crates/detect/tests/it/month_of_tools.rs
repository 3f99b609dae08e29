//! A month of ordinary work with other backup tools raises no signal above low: operators with
//! their retention, pipelines that apply the same objects again and again, upgrades of definitions
//! and operators, namespaces that come and go, and people.
//!
//! All events derive from a seed. Half of the clusters record custom resources without bodies, as
//! EKS, GKE and AKS do.

mod operators;
mod reviews;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use detect::engine::UPDATE_DELAY;
use detect::{Engine, Input, Settings, SignalChange};
use event::{Event, EventRef, Severity, Signal, Timestamp};
use serde_json::{Value, json};

use super::acts::{Act, CORE, DAY, HOUR, MINUTE, NAMESPACES, SECOND};
use super::month::{Random, keep_latest};
use super::pack;
use operators::applied;

const CLUSTERS: u64 = 4;
const DAYS: i64 = 30;
const UPGRADES: [i64; 3] = [4, 12, 20];
const VELERO: &str = "system:serviceaccount:velero:velero";
const LONGHORN: &str = "system:serviceaccount:longhorn-system:longhorn-service-account";
const SNAPSHOTS: &str = "system:serviceaccount:kube-system:snapshot-controller";
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";
const ROLES: &str = "system:serviceaccount:kube-system:clusterrole-aggregation-controller";
const PIPELINE: &str = "system:serviceaccount:argocd:argocd-application-controller";
const DEPLOYER: &str = "system:serviceaccount:ci:deployer";
const SECRETS: &str = "system:serviceaccount:external-secrets:external-secrets";
const CERTIFICATES: &str = "system:serviceaccount:cert-manager:cert-manager-cainjector";
/// A backup tool that no rule knows.
const UNKNOWN: &str = "system:serviceaccount:snapper:snapper";
const AUTOSCALER: &str = "system:serviceaccount:keda:keda-operator";
const PEOPLE: [&str; 5] = ["ana", "ben", "chi", "dev", "eva"];

const SNAPSHOT: &str = "snapshot.storage.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const DEFINITIONS: &str = "apiextensions.k8s.io";

/// The requests on one cluster.
#[derive(Default)]
struct Month {
    acts: Vec<Act>,
    has_bodies: bool,
}

/// The kind of an object: its API group and resource.
type Kind = (&'static str, &'static str);

impl Month {
    fn of(seed: u64) -> Self {
        let mut month = Self { has_bodies: seed.is_multiple_of(2), ..Self::default() };
        let mut random = Random(seed);
        for day in 0..DAYS {
            month.operators(day * DAY, day, &mut random);
            month.pipelines(day * DAY);
            month.controllers(day * DAY, day, &mut random);
            month.people(day * DAY, day, &mut random);
            if UPGRADES.contains(&day) {
                month.upgrade(day * DAY + random.below(12 * HOUR));
            }
        }
        month.acts.sort_by_key(|act| act.at);
        month
    }

    fn act(&mut self, at: i64, user: &str, verb: &str, kind: Kind, object: (&str, &str)) {
        let (group, resource) = kind;
        // Kubernetes' own groups have bodies everywhere, except for Secrets.
        let is_own = [CORE, "apps", RBAC, ADMISSION, DEFINITIONS, "apiregistration.k8s.io"];
        let is_bodyless = resource == "secrets" || !self.has_bodies && !is_own.contains(&group);
        self.acts.push(Act {
            at,
            user: user.to_owned(),
            verb: verb.to_owned(),
            group,
            resource: resource.to_owned(),
            namespace: object.0.to_owned(),
            name: object.1.to_owned(),
            is_bodyless,
            ..Act::default()
        });
    }

    fn last(&mut self) -> &mut Act {
        self.acts.last_mut().unwrap()
    }

    /// Like [`Self::act`], with a body.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn send(
        &mut self,
        at: i64,
        user: &str,
        verb: &str,
        kind: Kind,
        object: (&str, &str),
        body: Value,
    ) {
        self.act(at, user, verb, kind, object);
        self.last().body = Some(body);
    }

    /// Pipelines that apply unchanged objects, with and without dry runs.
    fn pipelines(&mut self, day: i64) {
        for run in 0..8 {
            let at = day + run * 3 * HOUR;
            for (kind, object, body) in applied() {
                self.send(at, PIPELINE, "patch", kind, object, body.clone());
                self.send(at + MINUTE, DEPLOYER, "patch", kind, object, body);
                self.last().is_dry_run = true;
            }
            self.act(at, PIPELINE, "list", (CORE, "secrets"), ("velero", ""));
            self.act(at, SECRETS, "patch", (CORE, "secrets"), ("velero", "cloud-credentials"));
            self.act(at, SECRETS, "get", (CORE, "secrets"), ("longhorn-system", "s3"));
            let bundle = json!({"webhooks": [{"clientConfig": {"caBundle": "LS0t"}}]});
            let webhook = ("", "keepwatch-admission");
            self.send(
                at,
                CERTIFICATES,
                "patch",
                (ADMISSION, "validatingwebhookconfigurations"),
                webhook,
                bundle,
            );
        }
    }

    /// Kubernetes: nodes, controllers, and namespaces that are deleted with their content.
    fn controllers(&mut self, day: i64, number: i64, random: &mut Random) {
        for run in 0..24 {
            let at = day + run * HOUR;
            self.act(
                at,
                "system:node:node-1",
                "get",
                (CORE, "secrets"),
                ("velero", "cloud-credentials"),
            );
            self.act(
                at,
                "system:node:node-1",
                "create",
                (CORE, "serviceaccounts"),
                ("velero", "velero"),
            );
            "token".clone_into(&mut self.last().subresource);
            let scale = json!({"spec": {"replicas": run % 2}});
            self.send(at, AUTOSCALER, "patch", ("apps", "deployments"), ("shop", "web"), scale);
        }
        for n in 0..random.below(4) {
            let (at, namespace) = (day + random.below(DAY), format!("preview-{number}-{n}"));
            self.act(at, DEPLOYER, "delete", (CORE, "namespaces"), (&namespace, &namespace));
            for (group, resource) in [
                ("velero.io", "schedules"),
                ("velero.io", "backups"),
                ("velero.io", "backupstoragelocations"),
                ("k8up.io", "schedules"),
                ("k8up.io", "snapshots"),
                (SNAPSHOT, "volumesnapshots"),
                ("longhorn.io", "backups"),
                ("longhorn.io", "recurringjobs"),
                (CORE, "persistentvolumeclaims"),
                (CORE, "secrets"),
                ("apps", "deployments"),
            ] {
                let at = at + random.below(MINUTE);
                self.act(at, NAMESPACES, "deletecollection", (group, resource), (&namespace, ""));
            }
            self.act(
                at + MINUTE,
                COLLECTOR,
                "delete",
                ("velero.io", "backups"),
                ("velero", &namespace),
            );
            self.act(
                at + MINUTE,
                COLLECTOR,
                "delete",
                ("apps", "deployments"),
                ("longhorn-system", "share"),
            );
        }
    }

    /// People: what they look at, and what they may change.
    fn people(&mut self, day: i64, number: i64, random: &mut Random) {
        for _ in 0..30 {
            let (at, user) = (day + random.below(DAY), person(random));
            self.act(at, user, "list", ("velero.io", "backups"), ("velero", ""));
            self.act(
                at + SECOND,
                user,
                "get",
                ("longhorn.io", "backups"),
                ("longhorn-system", "b"),
            );
        }
        let (at, user) = (day + random.below(20 * HOUR), person(random));
        self.act(at, user, "create", ("velero.io", "backups"), ("velero", "by-hand"));
        self.act(at + MINUTE, user, "create", ("velero.io", "restores"), ("velero", "by-hand"));
        for kind in ["BackupLog", "BackupContents"] {
            let target = json!({"spec": {"target": {"kind": kind, "name": "daily"}}});
            self.send(
                at + 2 * MINUTE,
                user,
                "create",
                ("velero.io", "downloadrequests"),
                ("velero", "d"),
                target,
            );
        }
        for (kind, object, _) in applied() {
            let label = json!({"metadata": {"labels": {"team": "a"}}});
            self.send(at + HOUR, user, "patch", kind, object, label);
        }
        if random.happens(50) {
            self.act(
                at,
                user,
                "delete",
                (SNAPSHOT, "volumesnapshots"),
                ("shop", &format!("mine-{number}")),
            );
            self.act(
                at,
                user,
                "delete",
                ("velero.io", "backups"),
                ("velero", &format!("mine-{number}")),
            );
            self.act(at, user, "delete", ("longhorn.io", "snapshots"), ("longhorn-system", "mine"));
        }
        if random.happens(30) {
            self.act(at, user, "get", (CORE, "secrets"), ("velero", "cloud-credentials"));
        }
        for _ in 0..random.below(4) {
            self.act(
                day + random.below(DAY),
                person(random),
                "delete",
                ("velero.io", "backups"),
                ("velero", "no"),
            );
            self.last().code = 403;
        }
        // An application is taken down by its team, without its backups.
        self.act(at + 2 * HOUR, user, "delete", ("apps", "deployments"), ("blog", "web"));
        self.act(at + 2 * HOUR, user, "delete", (CORE, "persistentvolumeclaims"), ("blog", "db"));
        self.act(at + 2 * HOUR, user, "delete", (CORE, "namespaces"), ("blog", "blog"));
    }

    /// A pipeline upgrades the definitions, the roles and the workloads of the tools.
    fn upgrade(&mut self, at: i64) {
        for name in
            ["backups.velero.io", "backups.longhorn.io", "volumesnapshots.snapshot.storage.k8s.io"]
        {
            let body = json!({"kind": "CustomResourceDefinition", "spec": {"group": "velero.io"}});
            self.send(
                at,
                DEPLOYER,
                "patch",
                (DEFINITIONS, "customresourcedefinitions"),
                ("", name),
                body,
            );
        }
        for (name, group) in [
            ("velero", "velero.io"),
            ("longhorn-role", "longhorn.io"),
            ("k10-admin", "apps.kio.kasten.io"),
        ] {
            let rules =
                json!({"rules": [{"apiGroups": [group], "resources": ["*"], "verbs": ["*"]}]});
            self.send(at, DEPLOYER, "patch", (RBAC, "clusterroles"), ("", name), rules.clone());
            self.send(at, ROLES, "patch", (RBAC, "clusterroles"), ("", "admin"), rules);
            let binding = json!({"roleRef": {"kind": "ClusterRole", "name": name}});
            self.send(at, DEPLOYER, "create", (RBAC, "clusterrolebindings"), ("", name), binding);
        }
        for (namespace, name) in
            [("velero", "velero"), ("longhorn-system", "longhorn-ui"), ("keepwatch", "keepwatch")]
        {
            let body =
                json!({"kind": "Deployment", "spec": {"replicas": 1, "template": {"spec": {}}}});
            self.send(at, DEPLOYER, "patch", ("apps", "deployments"), (namespace, name), body);
            for verb in ["list", "create", "delete"] {
                let release = format!("sh.helm.release.v1.{name}.v1");
                let name = if verb == "list" { "" } else { release.as_str() };
                self.act(at, DEPLOYER, verb, (CORE, "secrets"), (namespace, name));
            }
        }
        let service = json!({"kind": "APIService", "spec": {"group": "apps.kio.kasten.io", "service": {"name": "gateway"}}});
        let name = ("", "v1alpha1.apps.kio.kasten.io");
        self.send(at, DEPLOYER, "patch", ("apiregistration.k8s.io", "apiservices"), name, service);
    }

    /// The requests as events of kube-apiserver.
    fn audited(&self) -> Vec<Event> {
        self.acts.iter().enumerate().map(|(id, act)| act.event(id)).collect()
    }

    /// The requests as records of the admission webhook.
    fn reviewed(&self) -> Vec<Event> {
        reviews::reviews(&self.acts)
    }
}

fn person(random: &mut Random) -> &'static str {
    PEOPLE[usize::try_from(random.below(5)).unwrap()]
}

/// Runs a month, and returns the signals and the number of events.
fn run(seed: u64, recorded: fn(&Month) -> Vec<Event>) -> (Vec<Arc<Signal>>, usize) {
    let mut engine = Engine::new(pack::all(), Settings::default());
    let mut events = Vec::new();
    for cluster in 0..CLUSTERS {
        let month = recorded(&Month::of(seed * 10 + cluster));
        events.extend(month.into_iter().map(|mut event| {
            event.audit_id.insert_str(0, &format!("{cluster}-"));
            (cluster, event)
        }));
    }
    events.sort_by_key(|(_, event)| event.stage_timestamp);
    let (mut changes, mut latest): (Vec<SignalChange>, _) = (Vec::new(), BTreeMap::new());
    let mut end = 0;
    for (cluster, event) in &events {
        let event = &EventRef::from(event);
        let (arrival, cluster) = (event.stage_timestamp(), format!("cluster-{cluster}"));
        engine.process(&Input { source: "s", cluster: &cluster, arrival, event }, &mut changes);
        end = arrival.as_micros();
        keep_latest(&mut changes, &mut latest);
    }
    engine.advance(Timestamp::from_micros(end + UPDATE_DELAY), &mut changes);
    engine.finish(&mut changes);
    keep_latest(&mut changes, &mut latest);
    (latest.into_values().collect(), events.len())
}

/// Runs months and checks the number of events of each, and which rules raise low signals. Other
/// rules would be noise.
fn check(recorded: fn(&Month) -> Vec<Event>, events_min: usize, expected: &[&str]) {
    let mut rules = BTreeSet::new();
    for seed in 1..3 {
        let (signals, events) = run(seed, recorded);
        for signal in &signals {
            let spec = &signal.spec;
            assert!(
                spec.severity <= Severity::Low,
                "{}: {}, {:?}",
                spec.rule.id,
                spec.title,
                spec.targets
            );
            rules.insert(spec.rule.id.clone());
        }
        assert!(events > events_min, "{events} events");
    }
    assert_eq!(rules, expected.iter().map(|&rule| rule.to_owned()).collect());
}

#[test]
fn ordinary_work_with_other_backup_tools_raises_no_signal_above_low() {
    check(
        Month::audited,
        60_000,
        &[
            "backup-credentials-changed-by-account",
            "backup-credentials-read",
            "backup-permission-granted-by-account",
            "csi-snapshots-deleted",
            "csi-snapshots-deleted-by-new-account",
            "longhorn-backuptarget-changed-applied",
            "longhorn-configuration-changed-without-body",
            "longhorn-snapshots-deleted",
            "velero-backup-contents-downloaded",
            "velero-backups-deleted",
            "velero-configuration-changed-without-body",
            "velero-storage-location-changed-applied",
        ],
    );
}

#[test]
fn ordinary_work_in_admission_raises_no_signal_above_low() {
    check(
        Month::reviewed,
        20_000,
        &[
            "csi-snapshots-deleted",
            "csi-snapshots-deleted-by-new-account",
            "longhorn-snapshots-deleted",
            "velero-backup-contents-downloaded",
            "velero-backups-deleted",
        ],
    );
}
