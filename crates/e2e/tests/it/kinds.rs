//! Every kind, used with kubectl by users with permission: the everyday commands, and the errors
//! that K10's users know.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use e2e::fixtures::{ControlPlane, Keepwatch, User, WAIT_MAX};
use serde_json::{Value, json};

use crate::fixture::{alice, backup, bob, executor, namespace, restore_point, shared, text};

/// A user that works with a kind.
#[derive(Clone, Copy)]
enum TestUser {
    /// An ordinary user with `k10-basic`.
    Alice,
    /// A backup administrator.
    Bob,
    /// K10's own account. Only it may create some kinds.
    Executor,
}

/// The scope of a kind.
#[derive(Clone, Copy)]
enum ResourceScope {
    Application,
    K10,
    Cluster,
}

struct Kind {
    group: &'static str,
    name: &'static str,
    plural: &'static str,
    person: TestUser,
    home: ResourceScope,
    /// Whether label and patch work. Otherwise they get 405.
    changeable: bool,
    spec: Value,
}

const ACTIONS: &str = "actions";
const NAMESPACE: &str = "kinds";

#[rustfmt::skip]
fn kinds() -> Vec<Kind> {
    use ResourceScope::{Application, Cluster, K10};
    use TestUser::{Alice, Bob, Executor};
    let kind = |group, name, plural, person, home, changeable, spec| Kind {
        group, name, plural, person, home, changeable, spec,
    };
    let point = json!({"kind": "RestorePoint", "name": "rp", "namespace": NAMESPACE});
    let profile = json!({"name": "s3", "namespace": "kasten-io"});
    let source = json!({"sourceClusterInfo": {"profileName": "s3", "sourceClusterID": "c-1"}});
    vec![
        kind(ACTIONS, "BackupAction", "backupactions", Alice, Application, false,
            json!({"subject": {"name": NAMESPACE, "namespace": NAMESPACE}})),
        kind(ACTIONS, "RestoreAction", "restoreactions", Alice, Application, false,
            json!({"subject": point, "targetNamespace": NAMESPACE})),
        kind(ACTIONS, "ExportAction", "exportactions", Bob, K10, false,
            json!({"subject": point, "profile": profile})),
        kind(ACTIONS, "ImportAction", "importactions", Executor, K10, false,
            json!({"profile": profile, "receiveString": "r"})),
        kind(ACTIONS, "RunAction", "runactions", Bob, K10, false,
            json!({"subject": {"kind": "Policy", "name": "daily", "namespace": "kasten-io"}})),
        kind(ACTIONS, "RetireAction", "retireactions", Executor, Cluster, false, json!({})),
        kind(ACTIONS, "BackupClusterAction", "backupclusteractions", Bob, Cluster, false, json!({})),
        kind(ACTIONS, "RestoreClusterAction", "restoreclusteractions", Bob, Cluster, false,
            json!({"subject": {"kind": "ClusterRestorePoint", "name": "crp"}})),
        kind(ACTIONS, "BatchRestoreAction", "batchrestoreactions", Bob, K10, false,
            json!({"subjects": [{"namespace": NAMESPACE, "restorePointName": "rp"}]})),
        kind(ACTIONS, "ReportAction", "reportactions", Bob, K10, false,
            json!({"subject": {"kind": "Namespace", "name": "kasten-io"}, "statsIntervalDays": 1})),
        kind(ACTIONS, "UpgradeAction", "upgradeactions", Bob, K10, false,
            json!({"subject": {"kind": "Policy", "name": "daily", "namespace": "kasten-io"}})),
        kind(ACTIONS, "ValidateAction", "validateactions", Bob, K10, false,
            json!({"subject": point})),
        kind(ACTIONS, "StageAction", "stageactions", Executor, K10, false, json!({})),
        kind(ACTIONS, "MigrateFCDAction", "migratefcdactions", Executor, K10, false, json!({})),
        kind("apps", "RestorePoint", "restorepoints", Bob, Application, false,
            json!({"restorePointContentRef": {"name": "loose"}})),
        kind("apps", "RestorePointContent", "restorepointcontents", Executor, Cluster, true,
            json!({})),
        kind("apps", "ClusterRestorePoint", "clusterrestorepoints", Executor, Cluster, false,
            json!({})),
        kind("repositories", "StorageRepository", "storagerepositories", Executor, K10, true,
            json!({"disableMaintenance": false})),
        kind("vault", "Passkey", "passkeys", Bob, Cluster, true,
            json!({"secret": {"name": "s", "namespace": "kasten-io"}})),
        kind("dr", "KastenDRReview", "kastendrreviews", Bob, K10, false, source.clone()),
        kind("dr", "KastenDRRestore", "kastendrrestores", Bob, K10, false, source),
    ]
}

impl Kind {
    fn user(&self, plane: &ControlPlane) -> User {
        match self.person {
            TestUser::Alice => alice(plane),
            TestUser::Bob => bob(plane),
            TestUser::Executor => executor(plane),
        }
    }

    fn namespace(&self) -> Option<&'static str> {
        match self.home {
            ResourceScope::Application => Some(NAMESPACE),
            ResourceScope::K10 => Some("kasten-io"),
            ResourceScope::Cluster => None,
        }
    }

    fn manifest(&self, name: &str) -> String {
        let mut object = json!({"apiVersion": format!("{}.kio.kasten.io/v1alpha1", self.group),
            "kind": self.name, "metadata": {"name": name}, "spec": self.spec});
        if let Some(namespace) = self.namespace() {
            object["metadata"]["namespace"] = namespace.into();
        }
        object.to_string()
    }
}

#[test]
fn the_everyday_commands_work_on_every_kind() {
    let (plane, keepwatch) = shared();
    namespace(&plane, NAMESPACE);
    restore_point(&plane, NAMESPACE, "rp");
    let executor = executor(&plane);
    for (kind, name) in [("RestorePointContent", "loose"), ("ClusterRestorePoint", "crp")] {
        let manifest = json!({"apiVersion": "apps.kio.kasten.io/v1alpha1", "kind": kind,
            "metadata": {"name": name}});
        executor.kubectl_with("create -f -", &manifest.to_string()).unwrap();
    }
    let passkey = json!({"apiVersion": "vault.kio.kasten.io/v1alpha1", "kind": "Passkey",
        "metadata": {"name": "other"}, "spec": {"awscmkkeyid": "k"}});
    bob(&plane).kubectl_with("create -f -", &passkey.to_string()).unwrap();

    let mut problems = Vec::new();
    for kind in kinds() {
        if let Err(error) = daily_commands(&plane, &keepwatch, &kind) {
            problems.push(format!("{}: {error:#}", kind.name));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn daily_commands(plane: &ControlPlane, keepwatch: &Keepwatch, kind: &Kind) -> anyhow::Result<()> {
    let user = kind.user(plane);
    let resource = format!("{}.{}.kio.kasten.io", kind.plural, kind.group);
    let suffix = kind.namespace().map(|name| format!(" -n {name}")).unwrap_or_default();
    let on = |verb: &str, rest: &str| format!("{verb} {resource} {rest}{suffix}");
    let name = "daily-1";

    let explained = user.kubectl(&format!("explain {resource} --recursive"))?;
    anyhow::ensure!(explained.contains(kind.name), "explained as {explained}");
    let watch = Watch::start(&user, &format!("get {resource}{suffix} -w --output-watch-events"));

    user.kubectl_with("create -f -", &kind.manifest(name))?;
    watch.wait_for("ADDED", name)?;
    let got = user.json(&on("get", name))?;
    anyhow::ensure!(text(&got, "/metadata/name") == name, "got {got}");
    let table = user.kubectl(&on("get", ""))?;
    anyhow::ensure!(table.contains(name), "listed as {table}");
    let described = user.kubectl(&on("describe", name))?;
    anyhow::ensure!(described.contains(kind.name), "described as {described}");

    let again = user.try_kubectl_with("create -f -", &kind.manifest(name))?;
    anyhow::ensure!(
        again.err.contains("AlreadyExists")
            || kind.name.starts_with("KastenDR")
            || kind.name == "RestorePoint",
        "created twice: {again:?}"
    );
    let change = r#"{"metadata":{"annotations":{"note":"x"}}}"#;
    for line in [
        on("label", &format!("{name} tier=gold")),
        on("patch", &format!("{name} --type=merge -p {change}")),
    ] {
        let answer = user.try_kubectl(&line)?;
        if kind.changeable {
            anyhow::ensure!(answer.success, "{line}: {}", answer.err);
        } else {
            anyhow::ensure!(answer.err.contains("MethodNotAllowed"), "{line}: {answer:?}");
        }
    }
    keepwatch.audit_log().find("a change, done or refused", |event| {
        text(event, "/Verb") == "patch"
            && text(event, "/ObjectRef/Resource") == kind.plural
            && text(event, "/ObjectRef/Name") == name
            && text(event, "/User/username") == user.name
            && event["ResponseStatus"]["code"] == if kind.changeable { 200 } else { 405 }
    })?;
    if kind.changeable {
        watch.wait_for("MODIFIED", name)?;
        let labelled = user.kubectl(&on("get", "-l tier=gold -o name"))?;
        anyhow::ensure!(labelled.contains(name), "selected: {labelled}");
    }
    user.kubectl(&on("delete", name))?;
    watch.wait_for("DELETED", name)?;

    let applied = user.kubectl_with("apply -f -", &kind.manifest("daily-2"))?;
    anyhow::ensure!(applied.contains("created"), "applied: {applied}");
    let applied = user.kubectl_with("apply -f -", &kind.manifest("daily-2"))?;
    anyhow::ensure!(applied.contains("unchanged"), "applied again: {applied}");
    user.kubectl(&on("delete", "daily-2")).map(drop)
}

/// A running `kubectl get -w`. It is killed when this is dropped.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(user: &User, line: &str) -> Self {
        let mut child = user.start_kubectl(line).unwrap();
        let out = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    fn wait_for(&self, change: &str, name: &str) -> anyhow::Result<()> {
        loop {
            let line = self.lines.recv_timeout(WAIT_MAX / 6);
            let line =
                line.map_err(|_| anyhow::anyhow!("the watch reported no {change} {name}"))?;
            if line.starts_with(change) && line.contains(name) {
                return Ok(());
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn applications_follow_namespaces_and_are_read_only() {
    let (plane, _keepwatch) = shared();
    namespace(&plane, "followed");
    let alice = alice(&plane);
    e2e::fixtures::until("the application appears", || {
        Ok(alice.try_kubectl("get applications followed -n followed")?.success.then_some(()))
    })
    .unwrap();
    let answer = alice.try_kubectl("delete applications followed -n followed").unwrap();
    assert!(answer.err.contains("MethodNotAllowed"), "{}", answer.err);
}

#[test]
fn a_cancellation_is_recorded_and_not_stored() {
    let (plane, keepwatch) = shared();
    namespace(&plane, "cancelled");
    let alice = alice(&plane);
    alice.kubectl_with("create -f -", &backup("cancelled", "b")).unwrap();
    let executor = executor(&plane);
    let running = r#"{"status":{"state":"Running"}}"#;
    executor
        .kubectl(&format!(
            "patch backupactions b -n cancelled --subresource=status --type=merge -p {running}"
        ))
        .unwrap();
    let manifest = json!({"apiVersion": "actions.kio.kasten.io/v1alpha1", "kind": "CancelAction",
        "metadata": {"generateName": "cancel-", "namespace": "cancelled"},
        "spec": {"subject": {"kind": "BackupAction", "name": "b", "namespace": "cancelled"}}});
    alice.kubectl_with("create -f -", &manifest.to_string()).unwrap();
    let answer = alice.try_kubectl("get cancelactions -n cancelled").unwrap();
    assert!(!answer.success, "{}", answer.out);
    keepwatch
        .audit_log()
        .find("the cancellation", |event| {
            text(event, "/ObjectRef/Resource") == "cancelactions"
                && text(event, "/User/username") == "alice"
        })
        .unwrap();
}

#[test]
fn the_basic_role_cannot_delete_restore_point_contents() {
    let (plane, _keepwatch) = shared();
    let answer = alice(&plane).try_kubectl("delete restorepointcontents --all").unwrap();
    assert!(answer.err.contains("Forbidden"), "{}", answer.err);
}
