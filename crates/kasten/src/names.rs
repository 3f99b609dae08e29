//! The names in K10's API: groups, labels, and the type of a kind's names.
//!
//! Data only. The kinds are in [`kinds`](crate::kinds), and the parameters of an installation in
//! [`Installation`](crate::Installation).

use apiserver::Scope;

use Group::{Actions, Apps, Config, Dr, Repositories, Vault};

/// The default domain of the aggregated groups.
pub const DOMAIN: &str = "kio.kasten.io";
/// The group of policies and profiles, which are custom resources. K10's chart can move the
/// aggregated groups to another domain. According to public documentation, this group does not
/// move.
pub const CONFIG: &str = "config.kio.kasten.io";
/// The version of every group.
pub const VERSION: &str = "v1alpha1";

/// The default namespace of K10.
pub const K10_NAMESPACE: &str = "kasten-io";
/// The name that K10 uses for cluster-scoped resources instead of an application's namespace.
pub const CLUSTER_APPLICATION: &str = "kasten-io-cluster";

/// Label: name of the application or virtual machine.
pub const APP_NAME: &str = "k10.kasten.io/appName";
/// Label: namespace of the application.
pub const APP_NAMESPACE: &str = "k10.kasten.io/appNamespace";
/// Label: `namespace`, `virtualMachine` or `cluster`.
pub const APP_TYPE: &str = "k10.kasten.io/appType";
/// Label: the policy that created the object; absent on objects that a user created.
pub const POLICY_NAME: &str = "k10.kasten.io/policyName";
/// Label: namespace of the policy.
pub const POLICY_NAMESPACE: &str = "k10.kasten.io/policyNamespace";

/// An API group, without the domain that differs between installations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Actions: backups, restores, exports and others.
    Actions,
    /// Applications and their restore points.
    Apps,
    /// Storage repositories.
    Repositories,
    /// Passkeys.
    Vault,
    /// Disaster recovery of K10 itself.
    Dr,
    /// [`CONFIG`].
    Config,
}

impl Group {
    /// The aggregated groups, in the order of K10's chart.
    pub const AGGREGATED: [Self; 5] = [Actions, Apps, Repositories, Vault, Dr];

    /// The first label of the group's name, before the domain.
    pub const fn label(self) -> &'static str {
        match self {
            Actions => "actions",
            Apps => "apps",
            Repositories => "repositories",
            Vault => "vault",
            Dr => "dr",
            Config => "config",
        }
    }
}

/// Names of a kind that are the same in every installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceNames {
    /// API group.
    pub group: Group,
    /// Such as `RestorePoint`.
    pub kind: &'static str,
    /// Such as `restorepoints`.
    pub plural: &'static str,
    /// Such as `restorepoint`.
    pub singular: &'static str,
    /// Whether objects live in namespaces.
    pub scope: Scope,
}
