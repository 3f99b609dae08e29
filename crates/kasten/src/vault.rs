//! Group `vault`: the keys that backups are encrypted with.

pub mod passkey;
