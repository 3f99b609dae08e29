//! What all tests share: the control plane, Keepwatch behind it, and the people.

use std::path::Path;
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cluster::{ControlPlane, Keepwatch, User};

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
    plane.user("alice", Some("shop-team")).unwrap()
}

/// A backup administrator: K10's `k10-admin`.
pub(crate) fn bob(plane: &ControlPlane) -> User {
    plane.user("bob", Some("k10:admins")).unwrap()
}

/// Somebody with a valid certificate and no rights.
pub(crate) fn mallory(plane: &ControlPlane) -> User {
    plane.user("mallory", None).unwrap()
}

/// A new namespace for one test.
pub(crate) fn namespace(plane: &ControlPlane, name: &str) {
    plane.admin().kubectl(&format!("create namespace {name}")).unwrap();
}

/// The string at `pointer`, or nothing.
pub(crate) fn text<'a>(event: &'a serde_json::Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default()
}
