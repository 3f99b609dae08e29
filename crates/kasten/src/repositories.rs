//! Group `repositories`: the repositories that backups are written to.

pub mod storage_repository;
