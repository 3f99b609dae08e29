//! The file of the store in a data folder.

use std::path::Path;

use anyhow::{Result, anyhow};
use store::{OpenError, Sqlite};

use crate::clock;

/// Its name.
pub(crate) const STORE_FILE: &str = "keepwatch.db";

/// Opens the store in `path`.
pub(crate) fn open_store(path: &Path, settings: store::Settings) -> Result<Sqlite> {
    Sqlite::open(path, settings, clock::for_store()).map_err(|error| match error {
        // SQLite's own error contains no further information.
        OpenError::Locked { .. } => anyhow!("{error}"),
        other => other.into(),
    })
}
