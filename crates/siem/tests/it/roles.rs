//! The RBAC roles for users, evaluated by the authorizer of a standalone server.

use std::sync::Arc;

use apiserver::Attributes;
use apiserver::authz::rbac::Rbac;
use event::UserInfo;

/// Bindings of each role to a user with its name.
fn role_bindings() -> String {
    ["view", "analyst", "admin"]
        .map(|role| {
            format!(
                "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  \
                 name: {role}\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  \
                 name: keepwatch-{role}\nsubjects:\n- apiGroup: rbac.authorization.k8s.io\n  kind: User\n  \
                 name: {role}\n"
            )
        })
        .join("---\n")
}

/// Each line has a verb, a resource and the users who are allowed, of the three test users.
#[track_caller]
fn check(table: &str) {
    let bindings = role_bindings();
    let manifests = siem::ROLES.iter().copied().chain([("bindings.yaml", bindings.as_str())]);
    let rbac = Rbac::from_manifests(manifests).unwrap();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (resource, subresource) = fields[1].split_once('/').unwrap_or((fields[1], ""));
        for user in ["view", "analyst", "admin"] {
            let attributes = Attributes {
                user: Arc::new(UserInfo { username: user.to_owned(), ..UserInfo::default() }),
                verb: fields[0].to_owned(),
                group: siem::GROUP.to_owned(),
                version: siem::VERSION.to_owned(),
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                ..Attributes::default()
            };
            let may = rbac.decide(&attributes).is_some();
            assert_eq!(may, fields[2..].contains(&user), "{user}: {line}");
        }
    }
}

#[test]
fn each_role_has_the_required_permissions() {
    check(
        "list signals view analyst admin
         watch auditevents view analyst admin
         list eventsources view analyst admin
         get detectionrules view analyst admin
         get notifiers admin
         patch signals/triage analyst admin
         update signals/status analyst admin
         delete signals admin
         create suppressions analyst admin
         patch suppressions admin
         delete suppressions admin
         create detectionrules admin
         patch detectionrules admin
         create notifiers/test admin",
    );
}
