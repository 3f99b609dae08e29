//! RBAC manifests for users who work with signals.
//!
//! A standalone server writes them to its folder of manifests; in a cluster the chart installs the
//! same roles.

/// Pairs of file name and content.
pub const ROLES: &[(&str, &str)] =
    &[("keepwatch-people.yaml", include_str!("roles/keepwatch-people.yaml"))];
