//! The manifests a standalone server starts with.

use crate::roles::{ROLES, USERS};

#[test]
fn every_user_and_role_has_a_manifest() {
    let all: String = ROLES.iter().map(|(_, manifest)| *manifest).collect::<Vec<_>>().join("---\n");
    for role in ["k10-admin", "k10-basic", "k10-config-view", "backup-cleaner", "system:discovery"]
    {
        assert!(all.contains(&format!("kind: ClusterRole\nmetadata:\n  name: {role}\n")), "{role}");
    }
    for user in ["alice", "mallory"] {
        assert!(all.contains(&format!("kind: User\n  name: {user}\n")), "{user}");
    }
    let contexts = USERS.map(|user| user.context);
    assert_eq!(contexts, ["admin", "alice", "mallory", "kasten"]);
}

#[test]
fn the_careless_role_reaches_neither_passkeys_nor_retire_actions_for_good() {
    let users = ROLES.iter().find(|(file, _)| *file == "users.yaml").unwrap().1;
    let role = users.split("name: backup-cleaner").nth(1).unwrap().split("---").next().unwrap();
    let passkeys = role.split("resources: [\"passkeys\"]").nth(1).unwrap();
    assert!(passkeys.starts_with("\n  verbs: [\"get\", \"list\", \"watch\"]"));
    assert!(!role.contains("retireactions"));
}
