//! Readers of the journal whose `AuditConfig` is not there, when it is first looked for.
//!
//! One that was deleted while the server was down is forgotten. Where `AuditConfigs` may not be read, or
//! do not count any more, they may be back: their readers keep their place, and nothing is held for them.
//! Deliberately absent: an `AuditConfig` that goes later, which is its keeper's business.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::seen::{Config, READERS};
use crate::{ParkReason, Parts, Start};

/// What was settled. The empty namespace stands for all.
#[derive(Default)]
pub(crate) struct Orphans {
    listed: BTreeSet<String>,
    unread: BTreeSet<String>,
}

impl Orphans {
    /// Settles what can be settled now: once in each namespace that is listed, and once in each that may
    /// not be read.
    pub(crate) async fn settle(
        &mut self,
        parts: &Parts,
        (listed, unread): (BTreeSet<String>, BTreeSet<String>),
        configs: &[Config],
    ) {
        let is_new = |scopes: &BTreeSet<String>, before: &BTreeSet<String>, namespace: &str| {
            let mut scopes = scopes.iter().filter(|scope| !before.contains(*scope));
            scopes.any(|scope| scope.is_empty() || scope == namespace)
        };
        if listed.is_subset(&self.listed) && unread.is_subset(&self.unread) {
            return;
        }
        for reader in parts.corridors.readers() {
            let Some(namespace) = namespace(&reader) else { continue };
            let is_known = || configs.iter().any(|config| config.reader() == reader);
            let outcome = if !parts.settings.allows(namespace) {
                park(parts, &reader, ParkReason::Off).await
            } else if is_new(&listed, &self.listed, namespace) && !is_known() {
                tracing::warn!(reader, "its AuditConfig is gone; the journal holds nothing for it");
                parts.corridors.leave(&reader, Duration::ZERO).await.map(drop)
            } else if is_new(&unread, &self.unread, namespace) {
                let is_off = parts.settings.switched_off.is_some();
                let reason = if is_off { ParkReason::Off } else { ParkReason::NoDestination };
                park(parts, &reader, reason).await
            } else {
                Ok(())
            };
            if let Err(error) = outcome {
                tracing::warn!(reader, error, "the reader could not be released; tried again");
                return;
            }
        }
        (self.listed, self.unread) = (listed, unread);
    }
}

async fn park(parts: &Parts, reader: &str, reason: ParkReason) -> Result<(), String> {
    parts.corridors.park(reader, Start::Oldest, reason).await.map(drop)
}

/// The namespace of a reader's `AuditConfig`, if it has one.
fn namespace(reader: &str) -> Option<&str> {
    reader.strip_prefix(READERS)?.split('/').next()
}
