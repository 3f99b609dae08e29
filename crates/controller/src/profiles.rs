//! The status of profiles, where nobody else writes it: without a cluster there is no K10.
//!
//! One profile after the other: it is resolved and checked like a destination of events, and its
//! status says what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use kasten::config::profile::ProfileStatus;
use kasten::domain::PROFILE;
use serde_json::json;

use crate::Parts;
use crate::backoff::Backoff;
use crate::decide::{Checked, RECHECK_MICROS};
use crate::pen::{About, Saying};
use crate::resolve::{self, Resolution, Wish};
use crate::seen::Place;

/// How often profiles that do not work are looked at again.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// What is to be done about a profile.
#[derive(Debug)]
pub enum Step {
    /// Write to the destination and read back.
    Check(Box<Wish>),
    /// Write the status: what is wrong; nothing is.
    Report(Vec<String>),
}

/// The next step, if there is one.
pub fn next(
    status: &ProfileStatus,
    resolution: &Resolution,
    checked: Option<&Checked>,
    now: Timestamp,
) -> Option<Step> {
    let errors = match resolution {
        Resolution::Unknown => return None,
        Resolution::Waiting(what) => vec![what.clone()],
        Resolution::Wrong(errors) => errors.clone(),
        Resolution::Ready(wish) => {
            let last = checked.filter(|checked| checked.fingerprint == wish.fingerprint);
            let is_due = last.is_none_or(|last| {
                last.outcome.is_err() && now.as_micros() - last.at.as_micros() >= RECHECK_MICROS
            });
            if is_due {
                return Some(Step::Check(wish.clone()));
            }
            last.and_then(|last| last.outcome.clone().err()).into_iter().collect()
        }
    };
    let is_said = status.validation.as_deref() == Some(word(&errors))
        && status.error.as_deref().unwrap_or_default() == errors;
    (!is_said).then_some(Step::Report(errors))
}

/// The value of `status.validation`.
fn word(errors: &[String]) -> &'static str {
    if errors.is_empty() { "Success" } else { "Failed" }
}

/// Keeps the status of all profiles, for ever.
pub(crate) async fn keep(parts: Arc<Parts>) {
    let mut news = parts.mirror.news();
    let (mut checked, mut backoff) = (BTreeMap::new(), Backoff::default());
    loop {
        let places = parts.mirror.profiles();
        checked.retain(|place, _| places.contains(place));
        let mut all_written = true;
        for place in places {
            all_written &= look_at(&parts, &place, &mut checked).await;
        }
        if !all_written {
            tokio::time::sleep(backoff.failed()).await;
            continue;
        }
        backoff.succeeded();
        // The sender is in the mirror.
        drop(tokio::time::timeout(LOOK_PERIOD, news.changed()).await);
    }
}

/// Whether the status says what there is to be said.
async fn look_at(parts: &Parts, place: &Place, all: &mut BTreeMap<Place, Checked>) -> bool {
    // A check and a report are all there can be.
    for _ in 0..2 {
        let Some(profile) = parts.mirror.profile(place) else { return true };
        let spec = parts.mirror.profile_spec(place);
        let secret = resolve::secret_of(place, &spec);
        let secret = secret.map(|secret| parts.mirror.secret(&secret)).unwrap_or_default();
        let resolution = resolve::of_profile(place, &spec, &secret, None, &parts.settings);
        let status = profile.get("status").cloned().unwrap_or_default();
        let status = serde_json::from_value(status).unwrap_or_default();
        match next(&status, &resolution, all.get(place), (parts.clock)()) {
            None => return true,
            Some(Step::Check(wish)) => {
                let outcome = parts.corridors.check(&wish.destination).await;
                let at = (parts.clock)();
                let one = Checked { fingerprint: wish.fingerprint, outcome, at };
                all.insert(place.clone(), one);
            }
            Some(Step::Report(errors)) => {
                let uid = profile["metadata"]["uid"].as_str().unwrap_or_default();
                return report(parts, place, uid, &errors).await;
            }
        }
    }
    true
}

/// Whether the status was written.
async fn report(parts: &Parts, place: &Place, uid: &str, errors: &[String]) -> bool {
    let listed = (!errors.is_empty()).then_some(errors);
    let status = json!({"validation": word(errors), "error": listed});
    match parts.pen.status(PROFILE, place, status).await {
        Ok(written) => parts.mirror.learn_profile(&written),
        Err(error) => {
            tracing::debug!(%error, "cannot write the status of a profile");
            return false;
        }
    }
    let saying = if errors.is_empty() {
        let message = "was written to and read back".to_owned();
        Saying { is_warning: false, reason: "Validated", message }
    } else {
        Saying { is_warning: true, reason: "Failed", message: errors.join("; ") }
    };
    parts.pen.tell(&About { names: PROFILE, place, uid }, &saying, (parts.clock)()).await;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_says_what_is_wrong_with_it_once() {
        let wrong = Resolution::Wrong(vec!["VBR cannot take events".to_owned()]);
        let now = Timestamp::from_micros(1);
        let Some(Step::Report(errors)) = next(&ProfileStatus::default(), &wrong, None, now) else {
            panic!("nothing is said");
        };
        let status = ProfileStatus {
            validation: Some(word(&errors).to_owned()),
            error: Some(errors),
            hash: None,
        };
        assert_eq!(status.validation.as_deref(), Some("Failed"));
        assert!(next(&status, &wrong, None, now).is_none());
        assert!(next(&status, &Resolution::Unknown, None, now).is_none());
    }
}
