//! What the tests share: the control plane, Keepwatch behind it, the users, and manifests.

use std::path::Path;
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use e2e::fixtures::{ControlPlane, Keepwatch, User};
use serde_json::{Value, json};

/// The folder of the control plane and its servers. It is kept after a run.
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/cluster");

pub(crate) const AUDIT_POLICY: &str = include_str!("../data/audit-policy.yaml");

static PLANE: LazyLock<RwLock<ControlPlane>> = LazyLock::new(|| {
    let plane = ControlPlane::start(Path::new(FOLDER)).unwrap();
    plane.apply(include_str!("../data/users.yaml")).unwrap();
    RwLock::new(plane)
});

static KEEPWATCH: LazyLock<RwLock<Keepwatch>> =
    LazyLock::new(|| RwLock::new(Keepwatch::start(&plane(), AUDIT_POLICY).unwrap()));

/// The control plane, shared with other tests.
pub(crate) fn plane() -> RwLockReadGuard<'static, ControlPlane> {
    PLANE.read().unwrap_or_else(PoisonError::into_inner)
}

/// The control plane and Keepwatch, shared with other tests.
pub(crate) fn shared()
-> (RwLockReadGuard<'static, ControlPlane>, RwLockReadGuard<'static, Keepwatch>) {
    LazyLock::force(&KEEPWATCH);
    // The same order everywhere, so that two tests cannot deadlock.
    let plane = plane();
    (plane, KEEPWATCH.read().unwrap_or_else(PoisonError::into_inner))
}

/// The control plane and Keepwatch, while no other test uses them.
pub(crate) fn alone()
-> (RwLockWriteGuard<'static, ControlPlane>, RwLockWriteGuard<'static, Keepwatch>) {
    LazyLock::force(&KEEPWATCH);
    let plane = PLANE.write().unwrap_or_else(PoisonError::into_inner);
    (plane, KEEPWATCH.write().unwrap_or_else(PoisonError::into_inner))
}

/// An ordinary user: has K10's role `k10-basic` in every namespace, and nothing else.
pub(crate) fn alice(plane: &ControlPlane) -> User {
    plane.user("alice", Some("shop-team"))
}

/// A backup administrator: K10's `k10-admin`.
pub(crate) fn bob(plane: &ControlPlane) -> User {
    plane.user("bob", Some("k10:admins"))
}

/// A user with a valid certificate and no rights.
pub(crate) fn mallory(plane: &ControlPlane) -> User {
    plane.user("mallory", None)
}

/// The user that executes actions: one of K10's own service accounts.
pub(crate) fn executor(plane: &ControlPlane) -> User {
    let group = Some("system:serviceaccounts:kasten-io");
    plane.user("system:serviceaccount:kasten-io:executor-svc", group)
}

/// A new namespace for one test.
pub(crate) fn namespace(plane: &ControlPlane, name: &str) {
    plane.admin().kubectl(&format!("create namespace {name}")).unwrap();
}

/// Creates a restore point and its `RestorePointContent`.
pub(crate) fn restore_point(plane: &ControlPlane, namespace: &str, name: &str) {
    let content = format!("{namespace}-{name}");
    let manifest = json!({"apiVersion": "apps.kio.kasten.io/v1alpha1",
        "kind": "RestorePointContent", "metadata": {"name": content, "labels": {
            "k10.kasten.io/appName": namespace, "k10.kasten.io/appNamespace": namespace}}});
    let executor = executor(plane);
    executor.kubectl_with("create -f -", &manifest.to_string()).unwrap();
    let manifest = json!({"apiVersion": "apps.kio.kasten.io/v1alpha1", "kind": "RestorePoint",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"restorePointContentRef": {"name": content}}});
    executor.kubectl_with("create -f -", &manifest.to_string()).unwrap();
}

/// The manifest of a backup of the namespace's own application.
pub(crate) fn backup(namespace: &str, name: &str) -> String {
    json!({"apiVersion": "actions.kio.kasten.io/v1alpha1", "kind": "BackupAction",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"subject": {"name": namespace, "namespace": namespace}}})
    .to_string()
}

/// Like [`backup`], but the server generates the name.
pub(crate) fn backup_template(namespace: &str) -> String {
    backup(namespace, "backup-").replace("\"name\":\"backup-\"", "\"generateName\":\"backup-\"")
}

/// The string at a JSON pointer, or "" without one.
pub(crate) fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
