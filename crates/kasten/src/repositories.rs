//! Group `repositories.kio.kasten.io`: where backups are kept.

pub mod storage_repository;
