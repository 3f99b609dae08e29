//! Decides the next actions for one `AuditConfig` from the observed state.
//!
//! Pure. The actions are applied in order, and then everything is observed again; if the state is
//! as desired, there are no actions. State that must survive a restart is in the object and in the
//! journal's cursor, never only in [`State`].

use event::Timestamp;
use kasten::config::audit_config::Validation;
use objectstore::Capabilities;
use sink::DeliveryHealth;

use crate::objects::AuditConfigView;
use crate::resolve::{Resolution, ResolvedDestination};
use crate::settings::Settings;
use crate::{DestinationError, ParkReason};

/// A destination that failed its check is checked again after this time, in microseconds.
pub const RECHECK_MICROS: i64 = 15_000_000;
/// Number of consecutive failures after which the status reports them.
const ATTEMPTS_MIN: u32 = 4;

/// The state of an `AuditConfig` in the controller's memory, besides the object.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The journal retains its events.
    pub is_reserved: bool,
    /// Why the journal retains no events for it.
    pub parked: Option<ParkReason>,
    /// The last check of a destination.
    pub checked: Option<LastCheck>,
    /// Fingerprint of the destination that receives its events.
    pub in_use: Option<[u8; 32]>,
    /// The last destination that worked, for the last delivery in case the profile or the Secret is
    /// deleted first.
    pub last: Option<ResolvedDestination>,
    /// The outcome of the last delivery.
    pub drained: Option<DrainOutcome>,
}

/// The last check of a destination.
#[derive(Clone, Debug)]
pub struct LastCheck {
    /// Fingerprint of the destination.
    pub fingerprint: [u8; 32],
    /// The capabilities of the destination, or the error of the check.
    pub outcome: Result<Capabilities, DestinationError>,
    /// The time of the check.
    pub checked_at: Timestamp,
}

/// The outcome of the last delivery of a deleted `AuditConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainOutcome {
    /// Number of events that were recorded before and not delivered.
    pub undelivered: u64,
}

/// The next action.
#[derive(Clone, Debug)]
pub enum Action {
    /// Add the finalizer to the object.
    AddFinalizer,
    /// Remove it.
    RemoveFinalizer,
    /// Make the journal retain its events.
    ReserveCursor,
    /// Write an object to the destination and read it back.
    CheckDestination(Box<ResolvedDestination>),
    /// Start delivery to the destination.
    Deliver(Box<ResolvedDestination>),
    /// Stop delivery; the journal retains its events.
    Pause,
    /// Stop delivery; the journal retains no events for it.
    Park(ParkReason),
    /// Deliver the remaining events of the journal, in bounded time, and remove the reader.
    Drain,
    /// Write the status, and an Event about it.
    WriteStatus(Report),
    /// Write an Event about the outcome of the last delivery.
    RecordDrained(DrainOutcome),
}

/// A status to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The phase.
    pub validation: Validation,
    /// The error messages.
    pub errors: Vec<String>,
    /// A description of the destination, if there is one.
    pub destination: String,
    /// A remark about the destination; often empty.
    pub remark: String,
    /// Hash of the desired state.
    pub hash: i32,
}

/// Everything that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The object.
    pub config: &'a AuditConfigView,
    /// The destination that it describes.
    pub resolution: &'a Resolution,
    /// Hash of the desired state, without the Secret.
    pub hash: i32,
    /// The state in memory.
    pub state: &'a State,
    /// Health of its delivery, if there is any.
    pub health: Option<&'a DeliveryHealth>,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The current time.
    pub now: Timestamp,
}

impl Observed<'_> {
    fn has_failed(&self, resolved: &ResolvedDestination) -> bool {
        let checked = self.state.checked.as_ref();
        checked.is_some_and(|checked| {
            checked.fingerprint == resolved.fingerprint && checked.outcome.is_err()
        })
    }
}

/// The next actions.
pub fn plan(observed: Observed<'_>) -> Vec<Action> {
    if observed.config.is_deleting {
        return plan_deletion(observed);
    }
    let mut actions = Vec::new();
    // An AuditConfig outside the allowed namespaces must not pin journal records, and its deletion
    // must not wait for this server.
    let is_allowed = observed.settings.allows(&observed.config.key.namespace);
    let is_on = is_allowed && observed.settings.switched_off.is_none();
    if is_on != observed.config.has_finalizer() {
        actions.push(if is_on { Action::AddFinalizer } else { Action::RemoveFinalizer });
    }
    if let Some(reason) = &observed.settings.switched_off {
        park(observed, ParkReason::Off, &mut actions);
        report(observed, Validation::Failed, vec![reason.clone()], &mut actions);
        return actions;
    }
    match observed.resolution {
        Resolution::Unknown => {}
        Resolution::Pending(message) => {
            park(observed, ParkReason::NoDestination, &mut actions);
            report(observed, Validation::Pending, vec![message.clone()], &mut actions);
        }
        // Only a change of the objects can correct it, and may never happen.
        Resolution::Invalid(errors) => {
            park(observed, ParkReason::NoDestination, &mut actions);
            report(observed, Validation::Failed, errors.clone(), &mut actions);
        }
        Resolution::Ready(resolved) => {
            reserve(observed, &mut actions);
            plan_delivery(observed, resolved, &mut actions);
        }
    }
    actions
}

fn reserve(observed: Observed<'_>, actions: &mut Vec<Action>) {
    let is_allowed = observed.settings.allows(&observed.config.key.namespace);
    if is_allowed && !observed.state.is_reserved {
        actions.push(Action::ReserveCursor);
    }
}

/// Without a destination the journal retains no events, because there may never be one.
fn park(observed: Observed<'_>, reason: ParkReason, actions: &mut Vec<Action>) {
    let is_allowed = observed.settings.allows(&observed.config.key.namespace);
    if is_allowed && observed.state.parked != Some(reason) {
        actions.push(Action::Park(reason));
    }
}

/// The destination is known: check it, deliver to it, report its health.
fn plan_delivery(
    observed: Observed<'_>,
    resolved: &ResolvedDestination,
    actions: &mut Vec<Action>,
) {
    let checked = observed.state.checked.as_ref();
    let Some(checked) = checked.filter(|checked| checked.fingerprint == resolved.fingerprint)
    else {
        plan_pending(observed, actions);
        actions.push(Action::CheckDestination(Box::new(resolved.clone())));
        return;
    };
    match &checked.outcome {
        Ok(_) if observed.state.in_use != Some(resolved.fingerprint) => {
            actions.push(Action::Deliver(Box::new(resolved.clone())));
        }
        Ok(_) => report_health(observed, actions),
        Err(error) => {
            pause(observed, actions);
            report(observed, Validation::Failed, vec![error.to_string()], actions);
            if observed.now.as_micros() - checked.checked_at.as_micros() >= RECHECK_MICROS {
                actions.push(Action::CheckDestination(Box::new(resolved.clone())));
            }
        }
    }
}

/// Reports that a new desired state is being checked. A restart of the controller does not count as
/// a new state.
fn plan_pending(observed: Observed<'_>, actions: &mut Vec<Action>) {
    let status = &observed.config.status;
    let last_validation = status.validation.as_deref().unwrap_or_default();
    let is_new_state =
        observed.state.checked.is_some() || status.hash.is_some_and(|hash| hash != observed.hash);
    if last_validation.is_empty() || last_validation == Validation::Pending.as_str() {
        report(observed, Validation::Pending, Vec::new(), actions);
    } else if is_new_state {
        report(observed, Validation::UpdateRequested, Vec::new(), actions);
    }
}

fn report_health(observed: Observed<'_>, actions: &mut Vec<Action>) {
    match observed.health {
        Some(DeliveryHealth::Failing { reason, attempts }) if *attempts >= ATTEMPTS_MIN => {
            report(observed, Validation::Failed, vec![reason.clone()], actions);
        }
        // Also reported after few attempts, because an attempt without a response takes long.
        Some(DeliveryHealth::NoResponse { reason }) => {
            report(observed, Validation::Failed, vec![reason.clone()], actions);
        }
        Some(DeliveryHealth::CursorLost { reason }) => {
            let error = format!("{reason}; restart the server");
            report(observed, Validation::Failed, vec![error], actions);
        }
        // The first failures may be transient, so the status remains.
        Some(DeliveryHealth::Failing { .. })
            if observed.config.status.validation.as_deref()
                == Some(Validation::Failed.as_str()) => {}
        _ => report(observed, Validation::Success, Vec::new(), actions),
    }
}

fn pause(observed: Observed<'_>, actions: &mut Vec<Action>) {
    if observed.state.in_use.is_some() {
        actions.push(Action::Pause);
    }
}

/// The object is deleted: deliver what was recorded before if possible, then release the object.
fn plan_deletion(observed: Observed<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    if let Some(drained) = &observed.state.drained {
        if observed.config.has_finalizer() {
            actions.push(Action::RemoveFinalizer);
            actions.push(Action::RecordDrained(drained.clone()));
        }
        return actions;
    }
    if !observed.config.has_finalizer()
        && !observed.state.is_reserved
        && observed.state.parked.is_none()
    {
        return actions;
    }
    report(observed, Validation::DeleteRequested, Vec::new(), &mut actions);
    if observed.state.in_use.is_none() && observed.settings.switched_off.is_none() {
        let resolved = match observed.resolution {
            Resolution::Unknown => return actions,
            // A destination that failed its check is skipped.
            Resolution::Ready(resolved) => {
                Some(&**resolved).filter(|resolved| !observed.has_failed(resolved))
            }
            Resolution::Pending(_) => observed.state.last.as_ref(),
            Resolution::Invalid(_) => None,
        };
        actions.extend(resolved.map(|resolved| Action::Deliver(Box::new(resolved.clone()))));
    }
    actions.push(Action::Drain);
    actions
}

/// Writes the status if it differs. The hash is not compared if the API server drops it.
fn report(
    observed: Observed<'_>,
    validation: Validation,
    errors: Vec<String>,
    actions: &mut Vec<Action>,
) {
    let status = &observed.config.status;
    let is_same = status.validation.as_deref() == Some(validation.as_str())
        && status.error.as_deref().unwrap_or_default() == errors
        && status.hash.is_none_or(|hash| hash == observed.hash);
    if is_same {
        return;
    }
    let destination = match observed.resolution {
        Resolution::Ready(resolved) => resolved.description(),
        _ => String::new(),
    };
    let checked = observed.state.checked.as_ref().filter(|_| validation == Validation::Success);
    let remark = checked.and_then(|checked| checked.outcome.as_ref().ok());
    let remark = remark.map(Capabilities::remark).unwrap_or_default();
    actions.push(Action::WriteStatus(Report {
        validation,
        errors,
        destination,
        remark,
        hash: observed.hash,
    }));
}

#[cfg(test)]
mod test_cluster;
#[cfg(test)]
mod tests;
