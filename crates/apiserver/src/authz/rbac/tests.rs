//! Table tests against the semantics of `rbac.authorization.k8s.io/v1`.

use std::sync::Arc;

use event::UserInfo;

use super::Rbac;
use crate::Attributes;

const MANIFESTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- apiGroups: ["apps.example.io"]
  resources: ["restorepoints", "policies"]
  verbs: ["get", "list", "watch"]
- nonResourceURLs: ["/metrics", "/logs/*"]
  verbs: ["get"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: everything}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
- {nonResourceURLs: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: subresources}
rules:
- {apiGroups: ["a.io"], resources: ["things/status", "*/scale"], verbs: ["update"]}
- {apiGroups: ["a.io"], resources: ["things"], resourceNames: ["one"], verbs: ["get", "list", "create"]}
---
---
apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: editor, namespace: shop}
  rules:
  - {apiGroups: ["apps.example.io"], resources: ["restorepoints"], verbs: ["create", "delete"]}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: readers}
  subjects:
  - {kind: Group, name: readers, apiGroup: rbac.authorization.k8s.io}
  roleRef: {kind: ClusterRole, name: reader, apiGroup: rbac.authorization.k8s.io}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: root}
  subjects: [{kind: User, name: root}]
  roleRef: {kind: ClusterRole, name: everything}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: sub}
  subjects: [{kind: User, name: sub}]
  roleRef: {kind: ClusterRole, name: subresources}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: editors, namespace: shop}
  subjects: [{kind: User, name: alice}, {kind: ServiceAccount, name: robot}]
  roleRef: {kind: Role, name: editor}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: local-readers, namespace: bank}
  subjects: [{kind: User, name: alice}, {kind: ServiceAccount, name: robot, namespace: shop}]
  roleRef: {kind: ClusterRole, name: reader}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: dangling}
  subjects: [{kind: User, name: alice}]
  roleRef: {kind: ClusterRole, name: not-there}
"#;

/// `yes|no user[,group] verb group/resource[/sub] namespace name`, or `yes|no user verb /path`.
fn check(table: &str) {
    let rbac = Rbac::from_manifests([("test", MANIFESTS)]).unwrap();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut names = words[1].split(',').map(str::to_owned);
        let user = UserInfo {
            username: names.next().unwrap(),
            groups: names.collect(),
            ..UserInfo::default()
        };
        let mut attributes =
            Attributes { user: Arc::new(user), verb: words[2].to_owned(), ..Attributes::default() };
        if words[3].starts_with('/') {
            words[3].clone_into(&mut attributes.path);
        } else {
            let mut target = words[3].split('/').map(str::to_owned);
            attributes.group = target.next().unwrap();
            attributes.resource = target.next().unwrap();
            attributes.subresource = target.next().unwrap_or_default();
            let word = |index: usize| {
                words.get(index).filter(|word| **word != "-").map(|word| (*word).to_owned())
            };
            attributes.namespace = word(4).unwrap_or_default();
            attributes.name = word(5).unwrap_or_default();
        }
        assert_eq!(rbac.decide(&attributes).is_some(), words[0] == "yes", "{line}");
    }
}

#[test]
fn rules_match_as_in_kubernetes() {
    check(
        "
        yes x,readers get apps.example.io/restorepoints shop rp
        yes x,readers list apps.example.io/restorepoints -
        no  x,readers delete apps.example.io/restorepoints shop rp
        no  x,readers get other.io/restorepoints shop rp
        no  x,readers get apps.example.io/restorepoints/details shop rp
        no  x,others get apps.example.io/restorepoints shop rp
        no  readers get apps.example.io/restorepoints shop rp
        yes x,readers get /metrics
        yes x,readers get /logs/a/b
        no  x,readers get /logs
        no  x,readers post /metrics
        no  x,readers get /metrics/cadvisor
        yes root deletecollection any.io/any/sub ns n
        yes root get /anything
        yes sub update a.io/things/status ns one
        no  sub update a.io/things ns one
        no  sub update a.io/others/status ns one
        yes sub update a.io/others/scale ns one
        yes sub get a.io/things ns one
        no  sub get a.io/things ns two
        yes sub list a.io/things ns one
        no  sub list a.io/things ns
        no  sub create a.io/things ns
        ",
    );
}

#[test]
fn a_role_binding_applies_only_in_its_namespace() {
    check(
        "
        yes alice delete apps.example.io/restorepoints shop rp
        no  alice delete apps.example.io/restorepoints bank rp
        no  alice delete apps.example.io/restorepoints - rp
        yes alice get apps.example.io/restorepoints bank rp
        no  alice get apps.example.io/restorepoints shop rp
        no  alice get /metrics
        yes system:serviceaccount:shop:robot delete apps.example.io/restorepoints shop rp
        no  system:serviceaccount:bank:robot delete apps.example.io/restorepoints shop rp
        yes system:serviceaccount:shop:robot get apps.example.io/restorepoints bank rp
        no  system:serviceaccount:bank:robot get apps.example.io/restorepoints bank rp
        ",
    );
}

#[test]
fn the_reason_names_the_binding() {
    let rbac = Rbac::from_manifests([("test", MANIFESTS)]).unwrap();
    let user = UserInfo { username: "alice".to_owned(), ..UserInfo::default() };
    let attributes = Attributes {
        user: Arc::new(user),
        verb: "delete".to_owned(),
        group: "apps.example.io".to_owned(),
        resource: "restorepoints".to_owned(),
        namespace: "shop".to_owned(),
        name: "rp".to_owned(),
        ..Attributes::default()
    };
    let expected =
        r#"RBAC: allowed by RoleBinding "editors/shop" of Role "editor" to User "alice""#;
    assert_eq!(rbac.decide(&attributes).unwrap(), expected);
}

#[test]
fn invalid_manifests_are_named_in_the_error() {
    for (text, message) in [
        ("kind: Pod", r#"f.yaml contains a "Pod", which is not an RBAC kind"#),
        ("a: [", "f.yaml is not YAML"),
        (
            "kind: ClusterRole\nmetadata: {}",
            "ClusterRole in f.yaml is not valid: missing field `name`",
        ),
        (
            "kind: RoleBinding\nmetadata: {name: x}\nroleRef: {kind: Role, name: y}",
            r#"RoleBinding "x" in f.yaml has no namespace"#,
        ),
    ] {
        let error = Rbac::from_manifests([("f.yaml", text)]).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}
