//! Who may do what in a standalone server: manifests to start with, and the four users they name.
//!
//! K10's roles grant what its chart grants. Behind a kube-apiserver none of this is used.

/// File names and contents, for the folder a standalone server takes its RBAC manifests from.
pub const ROLES: &[(&str, &str)] = &[
    ("k10-admin.yaml", include_str!("roles/k10-admin.yaml")),
    ("k10-basic.yaml", include_str!("roles/k10-basic.yaml")),
    ("k10-config-view.yaml", include_str!("roles/k10-config-view.yaml")),
    ("kubernetes.yaml", include_str!("roles/kubernetes.yaml")),
    ("users.yaml", include_str!("roles/users.yaml")),
];

/// Somebody with a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Name of the context in the kubeconfig.
    pub context: &'static str,
    /// Common name of the certificate: the user.
    pub common_name: &'static str,
    /// Organizations of the certificate: the groups.
    pub organizations: &'static [&'static str],
}

/// The users of a standalone server.
pub const USERS: [User; 4] = [
    User {
        context: "admin",
        common_name: "admin",
        organizations: &["k10:admins", "system:masters"],
    },
    User { context: "alice", common_name: "alice", organizations: &["developers"] },
    User { context: "mallory", common_name: "mallory", organizations: &["developers"] },
    User {
        context: "kasten",
        common_name: "system:serviceaccount:kasten-io:k10-k10",
        organizations: &["system:serviceaccounts", "system:serviceaccounts:kasten-io"],
    },
];
