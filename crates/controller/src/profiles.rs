//! Validates profiles and writes their status. Runs only in standalone mode, where K10 does not do
//! it.
//!
//! Profiles are processed one after the other. Each is resolved and checked like the destination of
//! an `AuditConfig`. The status reports the result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use kasten::config::profile::ProfileStatus;
use kasten::kinds::PROFILE;
use serde_json::json;

use crate::Context;
use crate::backoff::Backoff;
use crate::event_recorder::{EventNote, ObjectReference};
use crate::objects::NamespacedName;
use crate::plan::{LastCheck, RECHECK_MICROS};
use crate::resolve::{self, Resolution, ResolvedDestination};

/// Time between two reconciliations if no object changes.
const RESYNC_PERIOD: Duration = Duration::from_secs(5);

/// The next step of a profile's reconciliation.
#[derive(Debug)]
pub enum ProfileAction {
    /// Write to the destination and read back.
    Check(Box<ResolvedDestination>),
    /// Write the status with these errors; an empty list means success.
    WriteStatus(Vec<String>),
}

/// The next action; `None` if the status is current, or the cache is not filled yet.
pub fn plan_profile(
    status: &ProfileStatus,
    resolution: &Resolution,
    checked: Option<&LastCheck>,
    now: Timestamp,
) -> Option<ProfileAction> {
    let errors = match resolution {
        Resolution::Unknown => return None,
        Resolution::Pending(reason) => vec![reason.clone()],
        Resolution::Invalid(errors) => errors.clone(),
        Resolution::Ready(resolved) => {
            let last = checked.filter(|checked| checked.fingerprint == resolved.fingerprint);
            let is_due = last.is_none_or(|last| {
                last.outcome.is_err()
                    && now.as_micros() - last.checked_at.as_micros() >= RECHECK_MICROS
            });
            if is_due {
                return Some(ProfileAction::Check(resolved.clone()));
            }
            let error = last.and_then(|last| last.outcome.as_ref().err());
            error.map(ToString::to_string).into_iter().collect()
        }
    };
    let is_reported = status.validation.as_deref() == Some(validation(&errors))
        && status.error.as_deref().unwrap_or_default() == errors;
    (!is_reported).then_some(ProfileAction::WriteStatus(errors))
}

/// The value of `status.validation`.
fn validation(errors: &[String]) -> &'static str {
    if errors.is_empty() { "Success" } else { "Failed" }
}

/// Keeps the status of all profiles current. Never returns.
pub(crate) async fn run(context: Arc<Context>) {
    let mut changes = context.cache.changes();
    let (mut checked, mut backoff) = (BTreeMap::new(), Backoff::default());
    loop {
        let keys = context.cache.profiles();
        checked.retain(|key, _| keys.contains(key));
        let mut all_written = true;
        for key in keys {
            all_written &= reconcile_profile(&context, &key, &mut checked).await;
        }
        if !all_written {
            tokio::time::sleep(backoff.failed()).await;
            continue;
        }
        backoff.succeeded();
        // A timeout is not an error. `changed` cannot fail, because the cache holds the sender.
        _ = tokio::time::timeout(RESYNC_PERIOD, changes.changed()).await;
    }
}

/// Applies the actions of one profile. Returns whether its status is current.
async fn reconcile_profile(
    context: &Context,
    key: &NamespacedName,
    checked: &mut BTreeMap<NamespacedName, LastCheck>,
) -> bool {
    // Two steps suffice: a check, then the status.
    for _ in 0..2 {
        let Some(profile) = context.cache.profile(key) else { return true };
        let spec = context.cache.profile_spec(key);
        let secret = resolve::referenced_secret(key, &spec);
        let secret = secret.map(|secret| context.cache.secret(&secret)).unwrap_or_default();
        let resolution = resolve::resolve_profile(key, &spec, &secret, None, &context.settings);
        let status = profile.get("status").cloned().unwrap_or_default();
        let status = serde_json::from_value(status).unwrap_or_default();
        match plan_profile(&status, &resolution, checked.get(key), (context.clock)()) {
            None => return true,
            Some(ProfileAction::Check(resolved)) => {
                let outcome = context.delivery.check(&resolved.destination).await;
                let checked_at = (context.clock)();
                let latest = LastCheck { fingerprint: resolved.fingerprint, outcome, checked_at };
                checked.insert(key.clone(), latest);
            }
            Some(ProfileAction::WriteStatus(errors)) => {
                let uid = profile["metadata"]["uid"].as_str().unwrap_or_default();
                return write_status(context, key, uid, &errors).await;
            }
        }
    }
    true
}

/// Writes the status, and an Event if that succeeds. Returns whether the status was written.
async fn write_status(
    context: &Context,
    key: &NamespacedName,
    uid: &str,
    errors: &[String],
) -> bool {
    let listed = (!errors.is_empty()).then_some(errors);
    let status = json!({"validation": validation(errors), "error": listed});
    match context.status_writer.status(PROFILE, key, status).await {
        Ok(written) => context.cache.apply_own_profile_write(&written),
        Err(error) => {
            tracing::debug!(%error, "cannot write the status of a profile");
            return false;
        }
    }
    let note = if errors.is_empty() {
        let message = "was written to and read back".to_owned();
        EventNote { is_warning: false, reason: "Validated", message }
    } else {
        EventNote { is_warning: true, reason: "Failed", message: errors.join("; ") }
    };
    let object = ObjectReference { names: PROFILE, key, uid };
    context.recorder.record(&object, &note, (context.clock)()).await;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_profile_is_written_once() {
        let invalid = Resolution::Invalid(vec!["VBR cannot take events".to_owned()]);
        let now = Timestamp::from_micros(1);
        let Some(ProfileAction::WriteStatus(errors)) =
            plan_profile(&ProfileStatus::default(), &invalid, None, now)
        else {
            panic!("nothing is reported");
        };
        let status = ProfileStatus {
            validation: Some(validation(&errors).to_owned()),
            error: Some(errors),
            hash: None,
        };
        assert_eq!(status.validation.as_deref(), Some("Failed"));
        assert!(plan_profile(&status, &invalid, None, now).is_none());
        assert!(plan_profile(&status, &Resolution::Unknown, None, now).is_none());
    }
}
