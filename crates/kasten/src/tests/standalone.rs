//! The manifests a standalone server starts with, as its own authorizer reads them.

use std::sync::Arc;

use apiserver::Attributes;
use apiserver::authz::rbac::Rbac;
use event::UserInfo;

use crate::roles::{ROLES, USERS};

/// Lines of `yes|no user verb resource.group[/subresource] [namespace]`.
#[track_caller]
fn check(table: &str) {
    let rbac = Rbac::from_manifests(ROLES.iter().copied()).unwrap();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (resource_and_group, subresource) =
            fields[3].split_once('/').unwrap_or((fields[3], ""));
        let (resource, group) =
            resource_and_group.split_once('.').unwrap_or((resource_and_group, ""));
        let attributes = Attributes {
            user: Arc::new(user(fields[1])),
            verb: fields[2].to_owned(),
            group: if group.is_empty() { String::new() } else { format!("{group}.kio.kasten.io") },
            version: "v1alpha1".to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: fields.get(4).copied().unwrap_or_default().to_owned(),
            ..Attributes::default()
        };
        assert_eq!(rbac.decide(&attributes).is_some(), fields[0] == "yes", "{line}");
    }
}

fn user(name: &str) -> UserInfo {
    let demo_user = USERS.iter().find(|user| user.context == name);
    let groups = demo_user.map_or(&[][..], |user| user.organizations).iter();
    UserInfo {
        username: demo_user.map_or(name, |user| user.common_name).to_owned(),
        groups: groups.map(|&group| group.to_owned()).collect(),
        ..UserInfo::default()
    }
}

#[test]
fn the_four_users_may_do_what_the_demo_needs() {
    check(
        "
        yes admin   create passkeys.vault
        yes admin   update restorepoints.apps/status        crm
        yes kasten  create restorepointcontents.apps
        yes kasten  update backupactions.actions/status     shop

        yes alice   create backupactions.actions            shop
        yes alice   get    backupactions.actions/details    shop
        no  alice   update backupactions.actions/status     shop
        yes alice   create restoreactions.actions           blog
        yes alice   delete restorepoints.apps               crm
        no  alice   delete restorepoints.apps               bank
        no  alice   list   restorepoints.apps
        no  alice   delete restorepointcontents.apps
        no  alice   get    passkeys.vault
        yes alice   delete namespaces                       blog
        no  alice   delete namespaces                       kasten-io
        yes alice   list   namespaces

        yes mallory create backupactions.actions            shop
        yes mallory list   restorepoints.apps
        yes mallory delete restorepoints.apps               bank
        yes mallory delete restorepointcontents.apps
        yes mallory delete clusterrestorepoints.apps
        yes mallory create cancelactions.actions            kasten-io
        yes mallory get    passkeys.vault
        no  mallory delete passkeys.vault
        no  mallory update passkeys.vault
        no  mallory create retireactions.actions
        no  mallory delete retireactions.actions
        no  mallory delete namespaces                       blog
        no  mallory update restorepointcontents.apps

        yes system:serviceaccount:kube-system:namespace-controller delete restorepoints.apps shop
        no  system:serviceaccount:kube-system:namespace-controller create restorepoints.apps shop
        ",
    );
}

#[test]
fn k10s_own_roles_exist_under_their_names() {
    for role in ["k10-admin", "k10-basic", "k10-config-view"] {
        let (_, manifest) = ROLES.iter().find(|(file, _)| *file == format!("{role}.yaml")).unwrap();
        assert!(manifest.contains(&format!("kind: ClusterRole\nmetadata:\n  name: {role}\n")));
    }
}
