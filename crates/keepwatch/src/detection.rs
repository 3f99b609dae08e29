//! The detector of this server: its rules, and where it writes signals.
//!
//! Rules are the built-in packs and the `DetectionRule` objects; suppressions are `Suppression`
//! objects. Both are watched in the store, so a change takes effect when it is committed.
//!
//! Deliberately absent: the evaluation of rules (crate `detect`) and reading the journal (crate
//! `delivery`).

pub(crate) mod remaining;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apiserver::{Clock as _, Registry};
use delivery::{Delivery, Detector, DetectorParts, SignalWriter, Written};
use event::signal::{Signal, SignalState};
use event::{Severity, Timestamp};
use kasten::Installation;
use serde_json::{Map, Value};
use siem::signal::{self, SIGNALS};
use store::{Sqlite, Transaction};
use tokio::sync::watch;

use crate::clock::SystemClock;
use remaining::RemainingBackups;
use rules::{RuleFollower, RuleSource};

/// Where the detector's events come from.
pub(crate) struct Origin {
    /// Name of the cluster of this server's own events; empty if unknown.
    pub(crate) cluster: String,
    /// Time for which the detector waits for earlier events of each source.
    pub(crate) lateness: BTreeMap<String, Duration>,
    /// Whether requests to other servers are recorded, which the rules about other backup tools
    /// need.
    pub(crate) has_other_events: bool,
}

/// The detector, and the task that passes changed rules to it.
pub(crate) struct Detection {
    pub(crate) detector: Detector,
    pub(crate) follower: RuleFollower,
}

impl Detection {
    /// Loads the rules and the detector's cursor.
    pub(crate) async fn open(
        delivery: &mut Delivery,
        store: &Sqlite,
        registry: &Registry,
        installation: &Installation,
        origin: Origin,
    ) -> Result<Self> {
        let storage = Arc::new(store.clone());
        let options = crate::rule_files::load_options(installation);
        let source = RuleSource::new(registry.clone(), store.clone(), options);
        source.install(origin.has_other_events).await?;
        let watches = source.watches().await.context("cannot follow the rules")?;
        let (loaded, errors) = source.load().await?;
        let (sender, receiver) = watch::channel(loaded);
        let parts = DetectorParts {
            writer: Arc::new(SignalObjects(registry.clone())),
            enricher: Box::new(RemainingBackups::new(storage, installation, &origin.cluster)),
            rules: receiver,
            settings: detect::Settings {
                lateness_by_source: origin.lateness,
                ..detect::Settings::default()
            },
            cluster: origin.cluster,
            clock: Arc::new(|| SystemClock.now()),
        };
        let detector = delivery.detector(parts).await.context("cannot start the detector")?;
        let follower = RuleFollower::new(source, watches, sender, detector.status(), errors);
        Ok(Self { detector, follower })
    }
}

/// Writes signals as objects of the API.
struct SignalObjects(Registry);

impl SignalWriter for SignalObjects {
    fn write(
        &self,
        transaction: &mut dyn Transaction,
        signal: &Signal,
        time: Timestamp,
    ) -> Option<Written> {
        self.0.unaudited(transaction, |objects| {
            let stored = objects.get(SIGNALS, "", &signal.id);
            let written = if stored.is_some() { Written::Updated } else { Written::Created };
            if stored.is_some_and(|stored| is_up_to_date(&stored, signal)) {
                return None;
            }
            if let Err(error) = signal::write(objects, signal, time) {
                let (id, message) = (&signal.id, &error.status.message);
                tracing::error!(signal = id, message, "a signal cannot be stored");
            }
            Some(written)
        })
    }
}

/// Whether the stored object is as new as `signal`, because its change was committed before a
/// crash.
fn is_up_to_date(stored: &Map<String, Value>, signal: &Signal) -> bool {
    let text = |section: &str, field: &str| {
        stored.get(section).and_then(|section| section.get(field)).and_then(Value::as_str)
    };
    let count = stored.get("spec").and_then(|spec| spec.get("count")).and_then(Value::as_u64);
    let severity = text("spec", "severity").and_then(|text| text.parse::<Severity>().ok());
    let is_closed = text("status", "state") == Some(SignalState::Closed.as_str());
    let is_new = signal.state == SignalState::Closed && !is_closed
        || severity.is_none_or(|severity| severity < signal.spec.severity);
    !is_new && count.is_some_and(|count| count >= signal.spec.count)
}
