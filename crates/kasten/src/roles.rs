//! The RBAC of a standalone server: the manifests it starts with, and the four users they bind.
//!
//! K10's roles grant what its chart grants. A server in a cluster does not use these manifests.

/// File names and contents, for the folder of RBAC manifests of a standalone server.
pub const ROLES: &[(&str, &str)] = &[
    ("k10-admin.yaml", include_str!("roles/k10-admin.yaml")),
    ("k10-basic.yaml", include_str!("roles/k10-basic.yaml")),
    ("k10-config-view.yaml", include_str!("roles/k10-config-view.yaml")),
    ("kubernetes.yaml", include_str!("roles/kubernetes.yaml")),
    ("users.yaml", include_str!("roles/users.yaml")),
];

/// A user with a client certificate.
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
