//! Handles journal readers whose `AuditConfig` does not exist when it is first looked for.
//!
//! The reader of an `AuditConfig` that was deleted while the server was down is forgotten. If
//! `AuditConfigs` cannot be read, or their namespace is no longer allowed, they may come back: their
//! readers are parked.
//!
//! Deliberately absent: an `AuditConfig` that is deleted later; its reconciler handles that.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::objects::{AuditConfigView, READERS};
use crate::{Context, DeliveryError, ParkReason, Start};

/// The namespaces that were handled. The empty one means all.
#[derive(Default)]
pub(crate) struct Orphans {
    listed: BTreeSet<String>,
    unavailable: BTreeSet<String>,
}

impl Orphans {
    /// Handles the readers of each namespace once when it is listed, and once when it cannot be read.
    ///
    /// # Errors
    ///
    /// A reader could not be released; the caller tries again.
    pub(crate) async fn reconcile(
        &mut self,
        context: &Context,
        (listed, unavailable): (BTreeSet<String>, BTreeSet<String>),
        configs: &[AuditConfigView],
    ) -> Result<(), DeliveryError> {
        let is_newly_in =
            |scopes: &BTreeSet<String>, handled: &BTreeSet<String>, namespace: &str| {
                let mut scopes = scopes.iter().filter(|scope| !handled.contains(*scope));
                scopes.any(|scope| scope.is_empty() || scope == namespace)
            };
        if listed.is_subset(&self.listed) && unavailable.is_subset(&self.unavailable) {
            return Ok(());
        }
        for reader in context.delivery.readers() {
            let Some(namespace) = namespace(&reader) else { continue };
            let is_known = || configs.iter().any(|config| config.reader() == reader);
            let outcome = if !context.settings.allows(namespace) {
                park(context, &reader, ParkReason::Off).await
            } else if is_newly_in(&listed, &self.listed, namespace) && !is_known() {
                tracing::warn!(reader, "its AuditConfig does not exist; the reader is forgotten");
                context.delivery.drain(&reader, Duration::ZERO).await.map(drop)
            } else if is_newly_in(&unavailable, &self.unavailable, namespace) {
                let is_off = context.settings.switched_off.is_some();
                let reason = if is_off { ParkReason::Off } else { ParkReason::NoDestination };
                park(context, &reader, reason).await
            } else {
                Ok(())
            };
            if let Err(error) = outcome {
                tracing::warn!(reader, %error, "cannot release the reader; trying again");
                return Err(error);
            }
        }
        (self.listed, self.unavailable) = (listed, unavailable);
        Ok(())
    }
}

async fn park(context: &Context, reader: &str, reason: ParkReason) -> Result<(), DeliveryError> {
    context.delivery.park(reader, Start::Oldest, reason).await.map(drop)
}

/// The namespace of a reader's `AuditConfig`, if it has one.
fn namespace(reader: &str) -> Option<&str> {
    reader.strip_prefix(READERS)?.split('/').next()
}
