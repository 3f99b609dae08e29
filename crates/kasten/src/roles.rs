//! Who may do what in a standalone server, as manifests.

/// File names and contents.
pub const ROLES: &[(&str, &str)] = &[];
