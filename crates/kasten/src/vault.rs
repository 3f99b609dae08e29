//! Group `vault.kio.kasten.io`: what backups are encrypted with.

pub mod passkey;
