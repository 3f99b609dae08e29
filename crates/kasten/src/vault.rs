//! Group `vault`: what backups are encrypted with.

pub mod passkey;
