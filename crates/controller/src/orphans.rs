//! Handles journal readers whose `AuditConfig` is missing at the first lookup.
//!
//! If the `AuditConfig` was deleted while the server was down, its reader is removed. If
//! `AuditConfigs` cannot be read, or their namespace is no longer allowed, they may become
//! available again, so their readers are parked. An `AuditConfig` in a namespace that is no longer
//! allowed is not watched, so it is released here: once after the start, as if delivery was
//! switched off.
//!
//! Deliberately absent: an `AuditConfig` that is deleted later; its reconciler handles that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kasten::kinds::AUDIT_CONFIG;
use tokio::task::JoinSet;

use crate::backoff::Backoff;
use crate::event_recorder::{EventNote, ObjectReference};
use crate::objects::{AuditConfigView, NamespacedName, READERS};
use crate::uninstall::{self, ReleaseError};
use crate::{Context, DeliveryError, ParkReason, Start};

/// The namespaces that were handled. The empty one means all.
#[derive(Default)]
pub(crate) struct Orphans {
    listed: BTreeSet<String>,
    unavailable: BTreeSet<String>,
    /// Readers outside the allowed namespaces whose `AuditConfig` is released, or will be.
    disallowed: BTreeSet<String>,
    /// One task for each release. Dropping this ends them.
    releases: JoinSet<()>,
}

impl Orphans {
    /// Handles the readers of each namespace once when it is listed, and once when it cannot be
    /// read. After an error the caller tries again. Requests to kube-apiserver are made in separate
    /// tasks, because a slow one must not delay other `AuditConfigs`.
    pub(crate) async fn reconcile(
        &mut self,
        context: &Arc<Context>,
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
                let parked = context.delivery.park(&reader, Start::Oldest, ParkReason::Off).await;
                parked.map(|undelivered| {
                    if self.disallowed.insert(reader.clone()) {
                        let context = Arc::clone(context);
                        self.releases.spawn(release_until_done(
                            context,
                            reader.clone(),
                            undelivered,
                        ));
                    }
                })
            } else if is_newly_in(&listed, &self.listed, namespace) && !is_known() {
                tracing::warn!(reader, "its AuditConfig does not exist; the reader is removed");
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

async fn release_until_done(context: Arc<Context>, reader: String, undelivered: Option<u64>) {
    let mut backoff = Backoff::default();
    while !release(&context, &reader, undelivered).await {
        tokio::time::sleep(backoff.failed()).await;
    }
}

/// Releases the `AuditConfig` of a reader outside the allowed namespaces, and reports it in an
/// Event. Returns whether this is done, or can never be done.
async fn release(context: &Context, reader: &str, undelivered: Option<u64>) -> bool {
    let Some((key, uid)) = object(reader) else { return true };
    if context.settings.sees_all && undelivered.is_none() {
        return true;
    }
    let reason = format!(
        "namespace `{}` is not in --audit-config-namespaces: nothing is delivered",
        key.namespace
    );
    // If all namespaces are watched, the object's reconciler writes its status.
    if !context.settings.sees_all {
        match uninstall::release_one(&context.status_writer, &key, &uid, &reason).await {
            Ok(true) => {}
            Ok(false) => return true,
            Err(ReleaseError::Refused(error)) => {
                tracing::warn!(
                    config = %key,
                    %error,
                    "its namespace is not in --audit-config-namespaces, and its finalizer and status may not be \
                     changed; to release it, run `keepwatch uninstall --audit-config-namespaces {}`",
                    key.namespace
                );
                return true;
            }
            Err(ReleaseError::Failed(error)) => {
                tracing::warn!(config = %key, %error, "cannot release it; trying again");
                return false;
            }
        }
    }
    let events = undelivered.map_or_else(String::new, |undelivered| {
        format!("; {undelivered} recorded events were not delivered")
    });
    let message = format!("{reason}{events}, and the journal no longer keeps events for it");
    let note = EventNote { is_warning: true, reason: "Released", message };
    let object = ObjectReference { names: AUDIT_CONFIG, key: &key, uid: &uid };
    context.recorder.record(&object, &note, (context.clock)()).await;
    true
}

/// The `AuditConfig` of a reader and its UID.
fn object(reader: &str) -> Option<(NamespacedName, String)> {
    let mut parts = reader.strip_prefix(READERS)?.split('/').map(str::to_owned);
    let key = NamespacedName { namespace: parts.next()?, name: parts.next()? };
    Some((key, parts.next()?))
}

/// The namespace of a reader's `AuditConfig`, if it has one.
fn namespace(reader: &str) -> Option<&str> {
    reader.strip_prefix(READERS)?.split('/').next()
}
