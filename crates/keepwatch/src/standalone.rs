//! The services of a cluster that a standalone server provides itself: certificates, namespaces,
//! RBAC, and an executor of actions.
//!
//! Only `keepwatch up` uses this. Every component that changes objects is an ordinary HTTPS client
//! of the API, with its own certificate.

pub(crate) mod client;
pub(crate) mod core_events;
pub(crate) mod data_dir;
pub(crate) mod demo;
pub(crate) mod destinations;
pub(crate) mod encrypted_storage;
pub(crate) mod executor;
pub(crate) mod kubeconfig;
pub(crate) mod namespace_controller;
pub(crate) mod namespaces;
pub(crate) mod pki;
pub(crate) mod rbac;
pub(crate) mod reviews;
pub(crate) mod secrets;
pub(crate) mod services;

use kasten::Installation;
use kasten::roles::User;

/// The installation of K10 in a standalone server: the chart's defaults, which its roles and demo
/// use.
pub(crate) const INSTALLATION: Installation = Installation::DEFAULT;

/// The client that empties namespaces, as in any cluster.
pub(crate) const NAMESPACE_CONTROLLER: User = User {
    context: "namespace-controller",
    common_name: "system:serviceaccount:kube-system:namespace-controller",
    organizations: &["system:serviceaccounts", "system:serviceaccounts:kube-system"],
};

/// The client that reconciles `AuditConfig` objects.
pub(crate) const CONTROLLER: User = User {
    context: "controller",
    common_name: "system:serviceaccount:keepwatch:controller",
    organizations: &["system:serviceaccounts", "system:serviceaccounts:keepwatch"],
};
