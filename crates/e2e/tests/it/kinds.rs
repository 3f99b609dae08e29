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
    test_user: TestUser,
    scope: ResourceScope,
    /// Whether label and patch work. Otherwise they get 405.
    is_patchable: bool,
    spec: Value,
}

const ACTIONS: &str = "actions";
const NAMESPACE: &str = "kinds";

#[rustfmt::skip]
fn kinds() -> Vec<Kind> {
    use ResourceScope::{Application, Cluster, K10};
    use TestUser::{Alice, Bob, Executor};
    let kind = |group, name, plural, test_user, scope, is_patchable, spec| Kind {
        group, name, plural, test_user, scope, is_patchable, spec,
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
        match self.test_user {
            TestUser::Alice => alice(plane),
            TestUser::Bob => bob(plane),
            TestUser::Executor => executor(plane),
        }
    }

    fn namespace(&self) -> Option<&'static str> {
        match self.scope {
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

    let mut failures = Vec::new();
    for kind in kinds() {
        if let Err(error) = daily_commands(&plane, &keepwatch, &kind) {
            failures.push(format!("{}: {error:#}", kind.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn daily_commands(plane: &ControlPlane, keepwatch: &Keepwatch, kind: &Kind) -> anyhow::Result<()> {
    let user = kind.user(plane);
    let resource = format!("{}.{}.kio.kasten.io", kind.plural, kind.group);
    let suffix = kind.namespace().map(|name| format!(" -n {name}")).unwrap_or_default();
    let command = |verb: &str, rest: &str| format!("{verb} {resource} {rest}{suffix}");
    let name = "daily-1";

    let explanation = user.kubectl(&format!("explain {resource} --recursive"))?;
    anyhow::ensure!(explanation.contains(kind.name), "explained as {explanation}");
    let watch =
        KubectlWatch::start(&user, &format!("get {resource}{suffix} -w --output-watch-events"));

    user.kubectl_with("create -f -", &kind.manifest(name))?;
    watch.wait_for("ADDED", name)?;
    let object = user.json(&command("get", name))?;
    anyhow::ensure!(text(&object, "/metadata/name") == name, "got {object}");
    let table = user.kubectl(&command("get", ""))?;
    anyhow::ensure!(table.contains(name), "listed as {table}");
    let description = user.kubectl(&command("describe", name))?;
    anyhow::ensure!(description.contains(kind.name), "described as {description}");

    let second_create = user.try_kubectl_with("create -f -", &kind.manifest(name))?;
    anyhow::ensure!(
        second_create.stderr.contains("AlreadyExists")
            || kind.name.starts_with("KastenDR")
            || kind.name == "RestorePoint",
        "created twice: {second_create:?}"
    );
    let patch = r#"{"metadata":{"annotations":{"note":"x"}}}"#;
    for line in [
        command("label", &format!("{name} tier=gold")),
        command("patch", &format!("{name} --type=merge -p {patch}")),
    ] {
        let output = user.try_kubectl(&line)?;
        if kind.is_patchable {
            anyhow::ensure!(output.success, "{line}: {}", output.stderr);
        } else {
            anyhow::ensure!(output.stderr.contains("MethodNotAllowed"), "{line}: {output:?}");
        }
    }
    keepwatch.audit_log().find("a change, done or refused", |event| {
        text(event, "/Verb") == "patch"
            && text(event, "/ObjectRef/Resource") == kind.plural
            && text(event, "/ObjectRef/Name") == name
            && text(event, "/User/username") == user.name
            && event["ResponseStatus"]["code"] == if kind.is_patchable { 200 } else { 405 }
    })?;
    if kind.is_patchable {
        watch.wait_for("MODIFIED", name)?;
        let selected = user.kubectl(&command("get", "-l tier=gold -o name"))?;
        anyhow::ensure!(selected.contains(name), "selected: {selected}");
    }
    user.kubectl(&command("delete", name))?;
    watch.wait_for("DELETED", name)?;

    let output = user.kubectl_with("apply -f -", &kind.manifest("daily-2"))?;
    anyhow::ensure!(output.contains("created"), "applied: {output}");
    let output = user.kubectl_with("apply -f -", &kind.manifest("daily-2"))?;
    anyhow::ensure!(output.contains("unchanged"), "applied again: {output}");
    user.kubectl(&command("delete", "daily-2")).map(drop)
}

/// A running `kubectl get -w`. It is killed when this is dropped.
struct KubectlWatch {
    child: Child,
    lines: Receiver<String>,
}

impl KubectlWatch {
    fn start(user: &User, line: &str) -> Self {
        let mut child = user.start_kubectl(line).unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    fn wait_for(&self, event_type: &str, name: &str) -> anyhow::Result<()> {
        loop {
            let line = self.lines.recv_timeout(WAIT_MAX / 6);
            let line =
                line.map_err(|_| anyhow::anyhow!("the watch reported no {event_type} {name}"))?;
            if line.starts_with(event_type) && line.contains(name) {
                return Ok(());
            }
        }
    }
}

impl Drop for KubectlWatch {
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
    let output = alice.try_kubectl("delete applications followed -n followed").unwrap();
    assert!(output.stderr.contains("MethodNotAllowed"), "{}", output.stderr);
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
    let output = alice.try_kubectl("get cancelactions -n cancelled").unwrap();
    assert!(!output.success, "{}", output.stdout);
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
    let output = alice(&plane).try_kubectl("delete restorepointcontents --all").unwrap();
    assert!(output.stderr.contains("Forbidden"), "{}", output.stderr);
}
