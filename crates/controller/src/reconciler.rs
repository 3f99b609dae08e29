//! Reconciles one `AuditConfig`: it observes the state, plans, applies the actions, and repeats.
//!
//! Decisions are in [`plan`](crate::plan). A check of a destination is cancelled when the
//! `AuditConfig` gets another destination, so that the new destination does not wait.

use std::sync::Arc;
use std::time::Duration;

use kasten::config::audit_config::Validation;
use kasten::kinds::AUDIT_CONFIG;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::event_recorder::{EventNote, ObjectReference};
use crate::objects::{AuditConfigView, Lookup, NamespacedName};
use crate::plan::{Action, DrainOutcome, LastCheck, Observed, Report, State, plan};
use crate::resolve::{self, Resolution, ResolvedDestination};
use crate::{Context, ParkReason, Start};

/// Time between two observations if no object changes: the health of delivery is polled.
const RESYNC_PERIOD: Duration = Duration::from_secs(1);

/// Reconciles one `AuditConfig`.
pub(crate) struct Reconciler {
    context: Arc<Context>,
    key: NamespacedName,
    uid: String,
    state: State,
    changes: watch::Receiver<u64>,
}

/// An action failed; reconcile again after a delay.
struct Requeue;

impl Reconciler {
    pub(crate) fn new(context: Arc<Context>, config: &AuditConfigView) -> Self {
        let changes = context.cache.changes();
        let (key, uid) = (config.key.clone(), config.uid.clone());
        Self { context, key, uid, state: State::default(), changes }
    }

    /// Runs until the object is deleted.
    pub(crate) async fn run(mut self) {
        let (mut reader, mut backoff) = (String::new(), Backoff::default());
        while let Some(config) = self.config() {
            reader = config.reader();
            if self.reconcile(&config).await.is_err() {
                tokio::time::sleep(backoff.failed()).await;
                continue;
            }
            backoff.succeeded();
            // The sender is in the cache, which lives as long as this. A timeout is not an error.
            _ = tokio::time::timeout(RESYNC_PERIOD, self.changes.changed()).await;
        }
        // The object was deleted without its finalizer: it was removed by another client, or never
        // added.
        if self.state.drained.is_none() && (self.state.is_reserved || self.state.parked.is_some()) {
            tracing::warn!(reader, "AuditConfig was deleted without its finalizer; delivery ends");
            if let Err(error) = self.context.delivery.drain(&reader, Duration::ZERO).await {
                tracing::warn!(
                    reader,
                    %error,
                    "cannot remove the reader; trying again at the next start"
                );
            }
        }
    }

    /// The object; `None` if it was deleted, or replaced by another of its name.
    fn config(&self) -> Option<AuditConfigView> {
        let config = AuditConfigView::from_object(&self.context.cache.config(&self.key)?);
        (config.uid == self.uid).then_some(config)
    }

    fn resolution(&self, config: &AuditConfigView) -> (Resolution, i32) {
        let (cache, settings) = (&self.context.cache, &self.context.settings);
        let key = config.profile_key().unwrap_or_default();
        let profile = cache.profile_spec(&key);
        let secret = resolve::referenced_secret(&key, &profile);
        let secret = secret.map(|secret| cache.secret(&secret)).unwrap_or_default();
        let hash = desired_hash(config, &profile);
        (resolve::resolve_config(config, &profile, &secret, settings), hash)
    }

    async fn reconcile(&mut self, config: &AuditConfigView) -> Result<(), Requeue> {
        let (resolution, hash) = self.resolution(config);
        let health = self.context.delivery.health(&config.reader());
        let actions = plan(Observed {
            config,
            resolution: &resolution,
            hash,
            state: &self.state,
            health: health.as_ref(),
            settings: &self.context.settings,
            now: (self.context.clock)(),
        });
        let needs_replan = actions.iter().any(|action| {
            matches!(action, Action::CheckDestination(_) | Action::Deliver(_) | Action::Drain)
        });
        for action in actions {
            self.apply(config, action).await?;
        }
        if needs_replan {
            // The result requires the next decision immediately.
            self.changes.mark_changed();
        }
        Ok(())
    }

    async fn apply(&mut self, config: &AuditConfigView, action: Action) -> Result<(), Requeue> {
        let reader = config.reader();
        let context = Arc::clone(&self.context);
        match action {
            Action::AddFinalizer => context
                .cache
                .apply_own_write(or_requeue(context.status_writer.finalizer(config, true).await)?),
            Action::RemoveFinalizer => context
                .cache
                .apply_own_write(or_requeue(context.status_writer.finalizer(config, false).await)?),
            Action::ReserveCursor => {
                or_requeue(context.delivery.reserve(&reader, start_of(config)).await)?;
                (self.state.is_reserved, self.state.parked) = (true, None);
            }
            Action::Park(reason) => self.park(config, reason).await?,
            Action::CheckDestination(resolved) => self.check(&resolved).await,
            Action::Deliver(resolved) => {
                match context.delivery.start(&reader, &resolved.destination).await {
                    Ok(()) => {
                        self.state.in_use = Some(resolved.fingerprint);
                        self.state.last = Some(*resolved);
                    }
                    // A deleted object does not wait for an unusable destination.
                    Err(error) if config.is_deleting => {
                        tracing::warn!(
                            reader,
                            %error,
                            "cannot deliver the events recorded before the deletion"
                        );
                    }
                    Err(error) => or_requeue(Err(error))?,
                }
            }
            Action::Pause => {
                context.delivery.pause(&reader).await;
                self.state.in_use = None;
            }
            Action::Drain => {
                let time = context.settings.drain_time;
                let undelivered = or_requeue(context.delivery.drain(&reader, time).await)?;
                self.state.drained = Some(DrainOutcome { undelivered });
            }
            Action::WriteStatus(report) => self.write_status(config, &report).await?,
            Action::RecordDrained(outcome) => self.record_drained(config, &outcome).await,
        }
        Ok(())
    }

    async fn park(&mut self, config: &AuditConfigView, reason: ParkReason) -> Result<(), Requeue> {
        let delivery = Arc::clone(&self.context.delivery);
        let undelivered =
            or_requeue(delivery.park(&config.reader(), start_of(config), reason).await)?;
        (self.state.is_reserved, self.state.in_use) = (false, None);
        self.state.parked = Some(reason);
        let Some(undelivered) = undelivered else { return Ok(()) };
        let message = match reason {
            ParkReason::Off => format!(
                "delivery is switched off; {undelivered} recorded events were not delivered, and the \
                 journal no longer keeps events for it"
            ),
            ParkReason::NoDestination => format!(
                "there is no destination; {undelivered} recorded events are not delivered yet; they and \
                 later ones are kept only for the journal's retention"
            ),
        };
        self.record(config, EventNote { is_warning: true, reason: "Released", message }).await;
        Ok(())
    }

    /// Checks a destination. The check is cancelled if the desired destination changes.
    async fn check(&mut self, resolved: &ResolvedDestination) {
        let context = Arc::clone(&self.context);
        let mut changes = self.changes.clone();
        let destination_changed = async {
            loop {
                let is_unchanged = self.config().is_some_and(|config| {
                    !config.is_deleting
                        && matches!(self.resolution(&config).0, Resolution::Ready(now)
                            if now.fingerprint == resolved.fingerprint)
                });
                if !is_unchanged || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let outcome = tokio::select! {
            outcome = context.delivery.check(&resolved.destination) => outcome,
            () = destination_changed => return,
        };
        let checked_at = (context.clock)();
        self.state.checked =
            Some(LastCheck { fingerprint: resolved.fingerprint, outcome, checked_at });
    }

    async fn write_status(&self, config: &AuditConfigView, report: &Report) -> Result<(), Requeue> {
        let errors = (!report.errors.is_empty()).then_some(&report.errors);
        let status = json!({
            "validation": report.validation.as_str(),
            "error": errors,
            "hash": report.hash,
        });
        let written = self.context.status_writer.status(AUDIT_CONFIG, &config.key, status).await;
        self.context.cache.apply_own_write(or_requeue(written)?);
        self.record(config, note_of(report)).await;
        Ok(())
    }

    async fn record_drained(&self, config: &AuditConfigView, outcome: &DrainOutcome) {
        let undelivered = outcome.undelivered;
        let message = if undelivered == 0 {
            "all events recorded before the deletion were delivered; delivery has ended".to_owned()
        } else {
            format!("delivery has ended; {undelivered} recorded events were not delivered")
        };
        let is_warning = undelivered > 0;
        self.record(config, EventNote { is_warning, reason: "Stopped", message }).await;
    }

    async fn record(&self, config: &AuditConfigView, note: EventNote) {
        let object = ObjectReference { names: AUDIT_CONFIG, key: &config.key, uid: &config.uid };
        self.context.recorder.record(&object, &note, (self.context.clock)()).await;
    }
}

/// The position from which its events are delivered.
fn start_of(config: &AuditConfigView) -> Start {
    if config.starts_at_oldest { Start::Oldest } else { Start::Since(config.created) }
}

/// The Event about a status.
fn note_of(report: &Report) -> EventNote {
    let errors = report.errors.join("; ");
    let (is_warning, reason, message) = match report.validation {
        Validation::Pending if errors.is_empty() => {
            (false, "Pending", format!("checking {}", report.destination))
        }
        Validation::Pending => (false, "Pending", format!("waiting: {errors}")),
        Validation::UpdateRequested => {
            (false, "UpdateRequested", format!("changed; checking {}", report.destination))
        }
        Validation::DeleteRequested => (
            false,
            "DeleteRequested",
            "delivers the events recorded before the deletion, then ends".to_owned(),
        ),
        Validation::Success if report.remark.is_empty() => {
            (false, "Delivering", format!("events go to {}", report.destination))
        }
        Validation::Success => {
            (false, "Delivering", format!("events go to {}; {}", report.destination, report.remark))
        }
        Validation::Failed => (true, "Failed", errors),
    };
    EventNote { is_warning, reason, message }
}

/// Logs an error and requests another reconciliation.
fn or_requeue<T, E: std::fmt::Display>(outcome: Result<T, E>) -> Result<T, Requeue> {
    outcome.map_err(|error| {
        tracing::debug!(%error, "an action of the controller failed");
        Requeue
    })
}

/// A hash of the desired state of an `AuditConfig`, without the Secret. It is written to
/// `status.hash`, so it is computed from JSON with sorted keys, which does not change with the
/// code.
fn desired_hash(config: &AuditConfigView, profile: &Lookup<Value>) -> i32 {
    let profile = match profile {
        Lookup::Found(spec) => spec,
        Lookup::NotSynced | Lookup::NotFound | Lookup::Forbidden(_) => &Value::Null,
    };
    let mut desired = json!({
        "profileRef": config.profile_key().map(|key| key.to_string()),
        "retention": config.retention,
        "profile": profile,
    });
    desired.sort_all_objects();
    crc32fast::hash(desired.to_string().as_bytes()).cast_signed()
}

#[cfg(test)]
mod tests {
    use kasten::config::audit_config::{AuditConfigStatus, ProfileReference};

    use super::*;

    fn hash(retention: Option<&str>, profile: &str) -> i32 {
        let config = AuditConfigView {
            key: NamespacedName { namespace: "kasten-io".to_owned(), name: "siem".to_owned() },
            uid: String::new(),
            created: event::Timestamp::UNSET,
            is_deleting: false,
            finalizers: Vec::new(),
            starts_at_oldest: false,
            retention: retention.map(str::to_owned),
            profile: Ok(ProfileReference { name: "p".to_owned(), namespace: None }),
            status: AuditConfigStatus::default(),
        };
        desired_hash(&config, &Lookup::Found(serde_json::from_str(profile).unwrap()))
    }

    /// Regression: the hash was computed from `Debug` text, which an upgrade could change.
    #[test]
    fn the_hash_depends_on_the_spec_and_not_on_its_formatting() {
        let spec_hash = hash(None, r#"{"type":"Location","locationSpec":{"type":"FileStore"}}"#);
        assert_eq!(
            spec_hash,
            hash(None, r#"{"locationSpec": {"type": "FileStore"}, "type": "Location"}"#)
        );
        assert_eq!(spec_hash, 1_427_705_256, "written by earlier versions");
        assert_ne!(
            spec_hash,
            hash(Some("governance"), r#"{"type":"Location","locationSpec":{"type":"FileStore"}}"#)
        );
        assert_ne!(spec_hash, hash(None, r#"{"type":"Location"}"#));
    }
}
