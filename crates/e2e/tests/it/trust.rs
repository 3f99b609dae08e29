//! Whose `X-Remote-*` headers the server trusts.

use e2e::fixtures::{ControlPlane, Keepwatch, https, until};
use testkit::pki::{Authority, Identity};

use crate::fixture::{alice, alone, shared, text};

const LIST: &str = "GET /apis/actions.kio.kasten.io/v1alpha1/namespaces/default/backupactions";

fn as_front_proxy(keepwatch: &Keepwatch, identity: Option<&Identity>, agent: &str) -> u16 {
    let headers =
        [("X-Remote-User", "root"), ("X-Remote-Group", "system:masters"), ("User-Agent", agent)];
    https::request(&keepwatch.target(identity), LIST, &headers, "").unwrap().code
}

#[test]
fn user_headers_are_ignored_without_the_front_proxys_certificate() {
    let (plane, keepwatch) = shared();
    let other_authority = Authority::new("front-proxy-ca");
    let other_identity = other_authority.client("front-proxy-client", &[]);
    let alice = alice(&plane);
    // Each with the expected code and recorded user. Without a certificate the user is anonymous;
    // alice's certificate makes her alice, who may list.
    let cases = [
        ("no-certificate", None, 403, "system:anonymous"),
        ("foreign-authority", Some(&other_identity), 401, ""),
        ("users-certificate", Some(&alice.identity), 200, "alice"),
        ("front-proxy", Some(plane.front_proxy()), 200, "root"),
    ];
    for (agent, identity, code, user) in cases {
        assert_eq!(as_front_proxy(&keepwatch, identity, agent), code, "{agent}");
        let event =
            keepwatch.audit_log().find(agent, |event| text(event, "/UserAgent") == agent).unwrap();
        assert_eq!(event.pointer("/ResponseStatus/code"), Some(&code.into()), "{agent}");
        assert_eq!(text(&event, "/User/username"), user, "{agent}");
    }
}

#[test]
fn the_front_proxys_ca_is_replaced_without_a_restart() {
    let (mut plane, keepwatch) = alone();
    let new_authority = Authority::new("front-proxy-ca-2");
    check_rotation(&mut plane, &keepwatch, &new_authority, |plane| {
        plane.set_front_proxy_cas(&[&new_authority]);
        plane.set_front_proxy_certificate(new_authority.client("front-proxy-client", &[]));
    });
}

#[test]
fn the_front_proxys_ca_is_replaced_when_kube_apiserver_restarts_with_another() {
    let (mut plane, keepwatch) = alone();
    let new_authority = Authority::new("front-proxy-ca-3");
    check_rotation(&mut plane, &keepwatch, &new_authority, |plane| {
        plane.set_front_proxy_cas(&[&new_authority]);
        plane.set_front_proxy_certificate(new_authority.client("front-proxy-client", &[]));
        plane.restart_apiserver().unwrap();
    });
}

/// `change` makes the cluster use certificates of `new_authority`. The running server must follow,
/// and must no longer trust the old CA once it is removed from the ConfigMap.
fn check_rotation(
    plane: &mut ControlPlane,
    keepwatch: &Keepwatch,
    new_authority: &Authority,
    change: impl FnOnce(&mut ControlPlane),
) {
    let old_identity = plane.front_proxy().clone();
    let process = keepwatch.process.id();
    let is_accepted =
        |identity: &Identity| as_front_proxy(keepwatch, Some(identity), "rotated") == 200;
    assert!(is_accepted(&old_identity), "the old certificate is accepted at first");
    change(plane);
    until("the new certificate is accepted", || Ok(is_accepted(plane.front_proxy()).then_some(())))
        .unwrap();
    // kube-apiserver only adds to the ConfigMap: an administrator removes the old CA.
    let file = "requestheader-client-ca-file";
    let patch = serde_json::json!({"data": {file: new_authority.pem()}}).to_string();
    let configmap = "configmap extension-apiserver-authentication -n kube-system";
    plane
        .admin()
        .kubectl_with(&format!("patch {configmap} --type=merge --patch-file=/dev/stdin"), &patch)
        .unwrap();
    until("the old certificate is no longer accepted", || {
        Ok((!is_accepted(&old_identity)).then_some(()))
    })
    .unwrap();
    assert!(is_accepted(plane.front_proxy()), "the new certificate is still accepted");
    let alice = alice(plane);
    until("kubectl works again", || {
        Ok(alice.try_kubectl("get backupactions -n default")?.success.then_some(()))
    })
    .unwrap();
    assert_eq!(keepwatch.process.id(), process);
}
