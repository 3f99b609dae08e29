//! Group `repositories`: where backups are kept.

pub mod storage_repository;
