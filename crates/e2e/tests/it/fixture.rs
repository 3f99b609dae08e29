//! What all tests share: the control plane, Keepwatch behind it, and the people.

use std::path::Path;
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use e2e::fixtures::{ControlPlane, Keepwatch, User};
use serde_json::{Value, json};

/// Everything the suite's servers keep is here after a run.
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/cluster");

pub(crate) const AUDIT_POLICY: &str = include_str!("../data/audit-policy.yaml");

static PLANE: LazyLock<RwLock<ControlPlane>> = LazyLock::new(|| {
    let plane = ControlPlane::start(Path::new(FOLDER)).unwrap();
    plane.apply(include_str!("../data/people.yaml")).unwrap();
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
    // In this order everywhere, so that two tests never wait for each other.
    let plane = plane();
    (plane, KEEPWATCH.read().unwrap_or_else(PoisonError::into_inner))
}

/// The control plane and Keepwatch, with no other test running.
pub(crate) fn alone()
-> (RwLockWriteGuard<'static, ControlPlane>, RwLockWriteGuard<'static, Keepwatch>) {
    LazyLock::force(&KEEPWATCH);
    let plane = PLANE.write().unwrap_or_else(PoisonError::into_inner);
    (plane, KEEPWATCH.write().unwrap_or_else(PoisonError::into_inner))
}

/// An ordinary user: K10's `k10-basic` everywhere, nothing else.
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

/// What carries actions out: one of K10's own service accounts.
pub(crate) fn executor(plane: &ControlPlane) -> User {
    let group = Some("system:serviceaccounts:kasten-io");
    plane.user("system:serviceaccount:kasten-io:executor-svc", group)
}

/// A new namespace for one test.
pub(crate) fn namespace(plane: &ControlPlane, name: &str) {
    plane.admin().kubectl(&format!("create namespace {name}")).unwrap();
}

/// A restore point with a content of its own.
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

/// A manifest of a backup of the namespace's own application.
pub(crate) fn backup(namespace: &str, name: &str) -> String {
    json!({"apiVersion": "actions.kio.kasten.io/v1alpha1", "kind": "BackupAction",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"subject": {"name": namespace, "namespace": namespace}}})
    .to_string()
}

/// Like [`backup`], with a name the server makes.
pub(crate) fn backup_template(namespace: &str) -> String {
    backup(namespace, "backup-").replace("\"name\":\"backup-\"", "\"generateName\":\"backup-\"")
}

/// The string at `pointer`, or nothing.
pub(crate) fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
