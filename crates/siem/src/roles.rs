//! Roles for people who work with signals, as manifests.
//!
//! A standalone server puts them beside its other manifests; in a cluster the chart brings the same.

/// File names and contents.
pub const ROLES: &[(&str, &str)] =
    &[("keepwatch-people.yaml", include_str!("roles/keepwatch-people.yaml"))];
