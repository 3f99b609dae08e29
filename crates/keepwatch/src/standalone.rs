//! What a cluster would do for the server, done by the server itself: certificates, namespaces,
//! RBAC, and somebody who carries actions out.
//!
//! Only `keepwatch up` uses this. Everything in here that changes anything is an ordinary client of
//! the API, with a certificate of its own, over HTTPS.

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

/// The K10 of a server that is alone: as its chart comes. Roles and story name its groups.
pub(crate) const INSTALLATION: Installation = Installation::DEFAULT;

/// Who empties namespaces, as in every cluster.
pub(crate) const NAMESPACE_CONTROLLER: User = User {
    context: "namespace-controller",
    common_name: "system:serviceaccount:kube-system:namespace-controller",
    organizations: &["system:serviceaccounts", "system:serviceaccounts:kube-system"],
};

/// Who follows `AuditConfig`s and moves delivery.
pub(crate) const CONTROLLER: User = User {
    context: "controller",
    common_name: "system:serviceaccount:keepwatch:controller",
    organizations: &["system:serviceaccounts", "system:serviceaccounts:keepwatch"],
};
