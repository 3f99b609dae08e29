//! What is to be done about one `AuditConfig`: from what is seen to the next steps.
//!
//! Pure. The steps are carried out in order, and then everything is looked at again; when nothing
//! is left to do there are no steps. What must survive a restart is in the object and in the
//! journal's cursor, never in [`Memory`] alone.

use event::Timestamp;
use kasten::config::audit_config::Validation;

use crate::ParkReason;
use crate::resolve::{Resolution, Wish};
use crate::seen::Config;
use crate::settings::Settings;

/// A destination that did not work is tried again after this time.
pub const RECHECK_MICROS: i64 = 15_000_000;
/// Refusals in a row after which the status says so.
const ATTEMPTS_MIN: u32 = 4;

/// What is known of an `AuditConfig` beyond its object, since the controller started.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The journal holds its events.
    pub is_reserved: bool,
    /// The journal holds nothing for it, and why.
    pub parked: Option<ParkReason>,
    /// The last check of a destination.
    pub checked: Option<Checked>,
    /// The destination that gets its events.
    pub in_use: Option<[u8; 32]>,
    /// The last one that worked, for a farewell when profile or Secret are gone already.
    pub last: Option<Wish>,
    /// How delivery ended.
    pub left: Option<Left>,
}

/// A check of a destination.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Of which.
    pub fingerprint: [u8; 32],
    /// What people should know of it, if there is anything; or why it does not work.
    pub outcome: Result<String, String>,
    /// When.
    pub at: Timestamp,
}

/// How delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Events that were recorded before and did not get there.
    pub undelivered: u64,
}

/// How delivery fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fare {
    /// What comes is taken.
    Delivering,
    /// Nothing is taken.
    Failing {
        /// The last error.
        reason: String,
        /// How often it said so in a row.
        attempts: u32,
    },
    /// Nobody has answered for so long that it may be told.
    Silent {
        /// The error.
        reason: String,
    },
}

/// What is to be done next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Put our finalizer on the object.
    Keep,
    /// Take it away.
    Release,
    /// Hold the journal's events for it.
    Reserve,
    /// Write to the destination and read back.
    Check(Box<Wish>),
    /// Deliver there from now on.
    Use(Box<Wish>),
    /// Deliver nothing for now, and forget nothing.
    Pause,
    /// Deliver nothing for now, and hold nothing in the journal.
    Park(ParkReason),
    /// Deliver what is there, in bounded time, and forget the reader.
    Leave,
    /// Write the status, and tell people.
    Report(Report),
    /// Tell people how it ended.
    Farewell(Left),
}

/// A status to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How far it has come.
    pub validation: Validation,
    /// What is wrong.
    pub errors: Vec<String>,
    /// Where events go, when they do.
    pub place: String,
    /// What people should know of that place; often nothing.
    pub remark: String,
    /// Of what is asked for.
    pub hash: i32,
}

/// Everything that a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The object.
    pub config: &'a Config,
    /// What it comes to.
    pub resolution: &'a Resolution,
    /// Of what it asks for, Secret excluded.
    pub hash: i32,
    /// What is known beyond the object.
    pub memory: &'a Memory,
    /// How its delivery fares.
    pub fare: Option<&'a Fare>,
    /// What the operator decided.
    pub settings: &'a Settings,
    /// The time of day.
    pub now: Timestamp,
}

impl Facts<'_> {
    fn has_failed(&self, wish: &Wish) -> bool {
        let checked = self.memory.checked.as_ref();
        checked.is_some_and(|checked| {
            checked.fingerprint == wish.fingerprint && checked.outcome.is_err()
        })
    }
}

/// The next steps.
pub fn next(facts: Facts<'_>) -> Vec<Step> {
    if facts.config.is_going {
        return end(facts);
    }
    let mut steps = Vec::new();
    // Who does not count may not hold the journal, and is not held up when it is deleted.
    let counts = facts.settings.allows(&facts.config.place.namespace);
    let is_on = counts && facts.settings.switched_off.is_none();
    if is_on != facts.config.is_kept() {
        steps.push(if is_on { Step::Keep } else { Step::Release });
    }
    if let Some(reason) = &facts.settings.switched_off {
        park(facts, ParkReason::Off, &mut steps);
        report(facts, Validation::Failed, vec![reason.clone()], &mut steps);
        return steps;
    }
    match facts.resolution {
        Resolution::Unknown => {}
        Resolution::Waiting(what) => {
            park(facts, ParkReason::NoDestination, &mut steps);
            report(facts, Validation::Pending, vec![what.clone()], &mut steps);
        }
        // Only a change of the objects can put it right, which may never come either.
        Resolution::Wrong(errors) => {
            park(facts, ParkReason::NoDestination, &mut steps);
            report(facts, Validation::Failed, errors.clone(), &mut steps);
        }
        Resolution::Ready(wish) => {
            reserve(facts, &mut steps);
            go(facts, wish, &mut steps);
        }
    }
    steps
}

fn reserve(facts: Facts<'_>, steps: &mut Vec<Step>) {
    let counts = facts.settings.allows(&facts.config.place.namespace);
    if counts && !facts.memory.is_reserved {
        steps.push(Step::Reserve);
    }
}

/// Where there is nothing to deliver to, the journal is not held: a destination may never come.
fn park(facts: Facts<'_>, reason: ParkReason, steps: &mut Vec<Step>) {
    let counts = facts.settings.allows(&facts.config.place.namespace);
    if counts && facts.memory.parked != Some(reason) {
        steps.push(Step::Park(reason));
    }
}

/// The destination is clear: check it, use it, say how it fares.
fn go(facts: Facts<'_>, wish: &Wish, steps: &mut Vec<Step>) {
    let checked = facts.memory.checked.as_ref();
    let Some(checked) = checked.filter(|checked| checked.fingerprint == wish.fingerprint) else {
        announce(facts, steps);
        steps.push(Step::Check(Box::new(wish.clone())));
        return;
    };
    match &checked.outcome {
        Ok(_) if facts.memory.in_use != Some(wish.fingerprint) => {
            steps.push(Step::Use(Box::new(wish.clone())));
        }
        Ok(_) => fare(facts, steps),
        Err(error) => {
            stop(facts, steps);
            report(facts, Validation::Failed, vec![error.clone()], steps);
            if facts.now.as_micros() - checked.at.as_micros() >= RECHECK_MICROS {
                steps.push(Step::Check(Box::new(wish.clone())));
            }
        }
    }
}

/// Says that something new is looked at. After a restart of ours nothing is new.
fn announce(facts: Facts<'_>, steps: &mut Vec<Step>) {
    let status = &facts.config.status;
    let before = status.validation.as_deref().unwrap_or_default();
    let is_other =
        facts.memory.checked.is_some() || status.hash.is_some_and(|hash| hash != facts.hash);
    if before.is_empty() || before == Validation::Pending.as_str() {
        report(facts, Validation::Pending, Vec::new(), steps);
    } else if is_other {
        report(facts, Validation::UpdateRequested, Vec::new(), steps);
    }
}

fn fare(facts: Facts<'_>, steps: &mut Vec<Step>) {
    match facts.fare {
        Some(Fare::Failing { reason, attempts }) if *attempts >= ATTEMPTS_MIN => {
            report(facts, Validation::Failed, vec![reason.clone()], steps);
        }
        // However few attempts that were: a silent one takes its time.
        Some(Fare::Silent { reason }) => {
            report(facts, Validation::Failed, vec![reason.clone()], steps);
        }
        // The first failures may be passing; what was said before still holds.
        Some(Fare::Failing { .. })
            if facts.config.status.validation.as_deref() == Some(Validation::Failed.as_str()) => {}
        _ => report(facts, Validation::Success, Vec::new(), steps),
    }
}

fn stop(facts: Facts<'_>, steps: &mut Vec<Step>) {
    if facts.memory.in_use.is_some() {
        steps.push(Step::Pause);
    }
}

/// Deleted: what was recorded before is delivered if it can be, and then the object may go.
fn end(facts: Facts<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(left) = &facts.memory.left {
        if facts.config.is_kept() {
            steps.push(Step::Release);
            steps.push(Step::Farewell(left.clone()));
        }
        return steps;
    }
    if !facts.config.is_kept() && !facts.memory.is_reserved && facts.memory.parked.is_none() {
        return steps;
    }
    report(facts, Validation::DeleteRequested, Vec::new(), &mut steps);
    if facts.memory.in_use.is_none() && facts.settings.switched_off.is_none() {
        let wish = match facts.resolution {
            Resolution::Unknown => return steps,
            // One that was found not to work is not waited for.
            Resolution::Ready(wish) => Some(&**wish).filter(|wish| !facts.has_failed(wish)),
            Resolution::Waiting(_) => facts.memory.last.as_ref(),
            Resolution::Wrong(_) => None,
        };
        steps.extend(wish.map(|wish| Step::Use(Box::new(wish.clone()))));
    }
    steps.push(Step::Leave);
    steps
}

/// A status is written when it says something new. The hash is not compared where the server does
/// not keep it.
fn report(facts: Facts<'_>, validation: Validation, errors: Vec<String>, steps: &mut Vec<Step>) {
    let status = &facts.config.status;
    let is_same = status.validation.as_deref() == Some(validation.as_str())
        && status.error.as_deref().unwrap_or_default() == errors
        && status.hash.is_none_or(|hash| hash == facts.hash);
    if is_same {
        return;
    }
    let place = match facts.resolution {
        Resolution::Ready(wish) => wish.place(),
        _ => String::new(),
    };
    let checked = facts.memory.checked.as_ref().filter(|_| validation == Validation::Success);
    let remark = checked.and_then(|checked| checked.outcome.clone().ok()).unwrap_or_default();
    steps.push(Step::Report(Report { validation, errors, place, remark, hash: facts.hash }));
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
