//! What a server that is no longer running has kept, opened with the store's own code.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use store::{Journal, Settings, Sqlite, Storage};

/// A store that no server holds.
pub(crate) struct Kept(Sqlite);

/// Opens the store below `home`, the folder of `keepwatch up`.
pub(crate) fn open(home: &Path) -> anyhow::Result<Kept> {
    let file = home.join("keepwatch.db");
    let sqlite = Sqlite::open(&file, Settings::default(), Arc::new(now))
        .with_context(|| format!("cannot open {}", file.display()))?;
    Ok(Kept(sqlite))
}

impl Kept {
    /// The events.
    pub(crate) fn journal(&self) -> Arc<dyn Journal> {
        self.0.journal()
    }

    /// The objects.
    pub(crate) fn storage(&self) -> &dyn Storage {
        &self.0
    }

    /// Lets go of the file, so that the next life of the server can have it.
    pub(crate) async fn close(self) {
        self.0.close().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a test program has no clock but the machine's")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
