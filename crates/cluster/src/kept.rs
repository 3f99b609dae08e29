//! What a server that is no longer running has kept, opened with the store's own code.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use store::{Journal, Settings, Sqlite, Storage};

/// A store that no server holds.
pub(crate) struct Kept {
    sqlite: Sqlite,
}

/// Opens the store below `home`, the folder of `keepwatch up`.
pub(crate) fn open(home: &Path) -> anyhow::Result<Kept> {
    let file = home.join("keepwatch.db");
    let sqlite = Sqlite::open(&file, Settings::default(), now())
        .with_context(|| format!("cannot open {}", file.display()))?;
    Ok(Kept { sqlite })
}

impl Kept {
    /// The events.
    pub(crate) fn journal(&self) -> Journal {
        self.sqlite.journal()
    }

    /// The objects.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        self.sqlite.storage()
    }
}
